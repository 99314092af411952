/** Whose certificate has expired does not go on. */
import type { FaultKind, FaultPlan } from '../plan/plan.js';
import type { World } from '../world/world.js';
import { replicasOf } from './evidence.js';

/** A call goes on for so long behind the end of the certificate of its caller: clocks may differ, and calls under way have time to end, ms. */
const BOUND_MS = 15_500;
/** Whoever stands still ends nothing, and clocks that jump say something else. */
const JUDGED_OTHERWISE: readonly FaultKind[] = [
  'freeze-sidecar',
  'freeze-caller',
  'clock-jump',
  'roots-change',
];

/** @param byMs since the begin of the run. */
function drains({ kind, target, atMs }: FaultPlan, name: string, byMs: number): boolean {
  return target === name && atMs <= byMs && (kind === 'drain' || kind === 'takeover');
}

export function judgeIdentity(world: World): void {
  const { plan, records, originMs } = world;
  const { certificateMs } = plan;
  if (certificateMs === undefined) return;
  if (plan.faults.some(({ kind }) => JUDGED_OTHERWISE.includes(kind))) return;
  for (const { kind, target, atMs, untilMs } of plan.faults) {
    // The last one that it was given is over by then.
    const byMs = atMs + certificateMs + BOUND_MS;
    if (kind !== 'identity-expires' || untilMs < byMs) continue;
    for (const { plan: call, executions } of records) {
      if (plan.callers[call.caller]!.name !== target) continue;
      // Where a replica drains, its caller cannot show a new certificate: its calls have as long as the drain.
      const own = replicasOf(plan, call.upstream).filter(
        (name) => !plan.faults.some((fault) => drains(fault, name, byMs)),
      );
      const going = executions.find(
        ({ replica, startMs, endMs }) =>
          own.includes(replica) && startMs < originMs + byMs && (endMs < 0 || endMs > originMs + byMs),
      );
      if (going !== undefined)
        world.find(
          'identity',
          `call ${call.id} went on at ${going.replica}, and its caller's certificate had expired`,
          [call.id],
        );
    }
  }
}
