/** Requests that every replica fails accuse none of them: whether they may have ejected one all the same (decision 231). */
import type { FaultKind } from '../plan/plan.js';
import type { Execution } from '../world/records.js';
import type { World } from '../world/world.js';
import { addressOf, type Evidence, replicasOf } from './evidence.js';

/** Statuses of bad requests in a plan. */
const BAD: readonly number[] = [2, 13];
/** A sidecar compares what replicas answered in the last ten seconds; which of these it still has is not known exactly, ms. */
const WINDOWS_MS = [8_000, 11_500];
/** Of a peer of which something is known for certain. */
const LEAST_CALLS = 10;
const LEAST_FAULTS = 3;
/** What is more likely than this is chance for the oracle; a sidecar takes a hundredth of it for chance. */
const CHANCE = 1e-4;
/** An ejection is over by then, ms. */
const LONGEST_EJECTION_MS = 20_000;
/** After these a sidecar may know nothing of what was before. */
const FORGETTING: readonly FaultKind[] = [
  ...(['reload', 'kill-sidecar', 'takeover', 'drain', 'freeze-sidecar', 'freeze-caller'] as const),
];

export interface Ejected {
  readonly sidecar: string;
  readonly label: string;
  readonly atMs: number;
  /** As the sidecar says it. */
  readonly why: string;
}

/** Bad requests may have ejected it: a peer did better, or not enough was known of one. */
export function mayBeForRequests(
  world: World,
  evidence: Evidence,
  replica: string,
  ejected: Ejected,
): boolean {
  const { plan, originMs } = world;
  const { sidecar, atMs, why } = ejected;
  if (!plan.features.includes('bad-requests')) return false;
  const caller = plan.callers.findIndex(({ name }) => name === sidecar);
  const answeredBy = (name: string, windowMs: number): readonly Execution[] =>
    evidence
      .runsOf(name)
      .filter(({ record }) => record.plan.caller === caller)
      .map(({ execution }) => execution)
      .filter(({ ended, endMs }) => ended === 'answered' && endMs > atMs - windowMs && endMs <= atMs)
      .filter(({ status }) => status === 0 || BAD.includes(status));
  const answersOf = (name: string, windowMs: number): { faults: number; calls: number } => {
    const own = answeredBy(name, windowMs);
    return { calls: own.length, faults: own.filter(({ status }) => status !== 0).length };
  };
  const [narrowMs, wideMs] = WINDOWS_MS as [number, number];
  const ofIt = answersOf(replica, wideMs);
  if (ofIt.faults === 0) return false;
  const hasForgotten = plan.faults.some(
    ({ kind, target, atMs: fromMs, untilMs }) =>
      FORGETTING.includes(kind) &&
      (target === sidecar || target === replica) &&
      originMs + fromMs <= atMs &&
      originMs + untilMs >= atMs - wideMs,
  );
  if (hasForgotten) return true;
  const { service } = plan.replicas.find(({ name }) => name === replica)!;
  const peers = replicasOf(plan, service).filter((name) => name !== replica);
  const wasOut = (name: string): boolean =>
    world.ejectionsSeen.some(
      (each) =>
        each.sidecar === sidecar &&
        each.label === addressOf(plan, name) &&
        each.atMs <= atMs &&
        each.atMs >= atMs - LONGEST_EJECTION_MS,
    );
  if (peers.length === 0 || peers.some(wasOut)) return true;
  const answers = peers.flatMap((name) => [answersOf(name, narrowMs), answersOf(name, wideMs)]);
  if (answers.some(({ calls, faults }) => calls < LEAST_CALLS || faults < LEAST_FAULTS)) return true;
  const best = Math.min(...answers.map(({ calls, faults }) => (faults + 1) / (calls + 2)));
  // It names the least number of faults; the row may be longer.
  const leastInARow = Number(/^(\d+) faults in a row/.exec(why)?.[1] ?? 0);
  if (leastInARow > 0) {
    const last = [...answeredBy(replica, Number.POSITIVE_INFINITY)].sort((a, b) => b.endMs - a.endMs);
    const good = last.findIndex(({ status }) => status === 0);
    return best ** Math.max(leastInARow, good < 0 ? last.length : good) <= CHANCE;
  }
  const own = answersOf(replica, narrowMs);
  return own.calls === 0 || own.faults / own.calls > best;
}
