import type { EvictionGuard, GuardEnd, Listed } from '../../../core/discovery/eviction-guard.js';
import type { Logger } from '../../../runtime/log/logger.js';

/** One line in the log when instances stay in use although Consul no longer lists them. */
export function logEvictionsHeld<I extends Listed>(
  logger: Logger,
  target: string,
  hold: EvictionGuard<I>,
  answer: readonly I[],
): void {
  const listed = answer.filter(({ status }) => status !== 'critical').length;
  const kept = hold.retained.size;
  const graceMs = hold.untilMs - hold.sinceMs;
  logger.warn(
    { target, before: hold.size, listed, kept, graceMs },
    `Consul took away most of a working set at once: ${kept} of ${hold.size} instances stay in use for now`,
  );
}

/** Why a hold ended, as it stands in the log. */
const ENDS: Readonly<Record<GuardEnd, string>> = {
  recovered: 'it lists enough instances',
  expired: 'the grace time is over',
  silent: 'the instances it took away do not answer any more',
};

/** One line in the log when the list of Consul counts again, and why. */
export function logHoldEnded(
  logger: Logger,
  target: string,
  end: GuardEnd,
  members: readonly Listed[],
): void {
  const fields = { target, instances: members.length };
  const message = `Consul is believed again: ${ENDS[end]}`;
  if (end === 'recovered') logger.info(fields, message);
  else logger.warn(fields, message);
}
