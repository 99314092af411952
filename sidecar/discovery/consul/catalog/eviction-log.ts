/** What is said when Consul is not believed, and when it is again: one line each. */

import type { EvictionGuard, HoldEnd, Listed } from '../../../core/discovery/eviction-guard.js';
import type { Logger } from '../../../runtime/log/logger.js';

export function logEvictionsHeld<I extends Listed>(
  logger: Logger,
  target: string,
  hold: EvictionGuard<I>,
  answer: readonly I[],
): void {
  const listed = answer.filter(({ status }) => status !== 'critical').length;
  const kept = hold.kept.size;
  const graceMs = hold.untilMs - hold.sinceMs;
  logger.warn(
    { target, before: hold.size, listed, kept, graceMs },
    `Consul took away most of a working set at once: ${kept} of ${hold.size} instances stay in use for now`,
  );
}

const ENDS: Readonly<Record<HoldEnd, string>> = {
  recovered: 'it lists enough instances',
  expired: 'the grace time is over',
  silent: 'the instances it took away do not answer any more',
};

export function logHoldEnded(logger: Logger, target: string, end: HoldEnd, members: readonly Listed[]): void {
  const fields = { target, instances: members.length };
  const message = `Consul is believed again: ${ENDS[end]}`;
  if (end === 'recovered') logger.info(fields, message);
  else logger.warn(fields, message);
}
