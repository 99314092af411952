import type { GuardEnd, Listed, Registry } from '../../../core/discovery/eviction-guard.js';
import type { Logger } from '../../../runtime/log/logger.js';

/** One line in the log when instances stay in use although Consul no longer lists them. */
export function logEvictionsHeld(logger: Logger, target: string, { guard, answer }: Registry<Listed>): void {
  if (guard === undefined) return;
  const listed = answer.filter(({ status }) => status !== 'critical').length;
  const { expected, untilMs, sinceMs, retained } = guard;
  const before = expected.size;
  logger.warn(
    { target, before, listed, kept: retained.size, graceMs: untilMs - sinceMs },
    `Consul took away most of a working set at once: ${retained.size} of ${before} instances stay in use for now`,
  );
}

/** Why a hold ended, as it stands in the log. */
const ENDS: Readonly<Record<GuardEnd, string>> = {
  recovered: 'it lists enough instances',
  expired: 'the grace time is over',
  silent: 'the instances it took away do not answer any more',
};

/** One line in the log when the list of Consul counts again, and why. */
export function logHoldEnded(logger: Logger, target: string, { ended, members }: Registry<Listed>): void {
  if (ended === undefined) return;
  const level = ended === 'recovered' ? 'info' : 'warn';
  logger[level]({ target, instances: members.length }, `Consul is believed again: ${ENDS[ended]}`);
}
