/** What operators and time do in a plan. */
import type { Dice } from '../dice.js';
import type { CallerPlan, FaultPlan, ReplicaPlan } from './plan.js';

const OPERATIONS = ['drain', 'clock-jump', 'identity-expires'] as const;

export function operations(
  dice: Dice,
  has: (feature: string) => boolean,
  replicas: readonly ReplicaPlan[],
  callers: readonly CallerPlan[],
  forMs: number,
): FaultPlan[] {
  const all = [...replicas, ...callers].map(({ name }) => name);
  const served = replicas.filter(({ service }) => service === replicas[0]!.service).map(({ name }) => name);
  return OPERATIONS.filter((kind) => has(kind)).map((kind): FaultPlan => {
    const own = dice.of(kind);
    const atMs = Math.round(own.next() * forMs * 0.7);
    return {
      kind,
      atMs,
      untilMs: Math.min(forMs, atMs + own.logBetween(200, 8_000)),
      target: own.pick(kind === 'drain' ? served : all),
      amount: kind === 'clock-jump' ? own.pick([-1, 1]) * own.logBetween(100, 90_000_000) : 0,
    };
  });
}
