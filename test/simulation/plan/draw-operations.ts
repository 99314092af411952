/** What operators and time do in a plan. */
import type { Dice } from '../dice.js';
import { type CallerPlan, type FaultPlan, OPERATIONS, type ReplicaPlan, ROOT_FAULTS } from './plan.js';

interface About {
  readonly replicas: readonly ReplicaPlan[];
  readonly callers: readonly CallerPlan[];
  readonly forMs: number;
  /** A certificate of a caller is not renewed to the end. */
  readonly isExpiryLong: boolean;
}

export function operations(
  dice: Dice,
  has: (feature: string) => boolean,
  { replicas, callers, forMs, isExpiryLong }: About,
): FaultPlan[] {
  const all = [...replicas, ...callers].map(({ name }) => name);
  // Where a sidecar starts its models, one ends before the next begins.
  const alone = [...replicas, ...callers].filter(({ file }) => !('model' in file)).map(({ name }) => name);
  const served = replicas.filter(({ service }) => service === replicas[0]!.service).map(({ name }) => name);
  return [...OPERATIONS, ...ROOT_FAULTS]
    .filter((kind) => has(kind))
    .map((kind): FaultPlan => {
      const own = dice.of(kind);
      if (kind === 'identity-expires' && isExpiryLong)
        return {
          kind,
          atMs: Math.round(own.next() * 0.12 * forMs),
          untilMs: forMs,
          target: own.pick(callers).name,
          amount: 0,
        };
      const atMs = Math.round(own.next() * forMs * 0.7);
      return {
        kind,
        atMs,
        untilMs: Math.min(forMs, atMs + own.logBetween(200, 8_000)),
        target: own.pick(kind === 'drain' ? served : kind === 'takeover' ? alone : all),
        amount: kind === 'clock-jump' ? own.pick([-1, 1]) * own.logBetween(100, 90_000_000) : 0,
      };
    });
}
