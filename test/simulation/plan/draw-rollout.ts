/** The part of a plan that is about versions of a model. */
import type { Dice } from '../dice.js';
import { CANDIDATES, type RolloutPlan } from './plan.js';

const INFERENCE = '/inference.GRPCInferenceService/';
export const INFER = `${INFERENCE}ModelInfer`;
export const STREAM_INFER = `${INFERENCE}ModelStreamInfer`;

export const INFERENCE_ROUTES = [
  { methods: [INFER], kind: 'unary' },
  { methods: [STREAM_INFER], kind: 'streaming' },
];

export function modelOf(version: string) {
  return { name: 'digits', version };
}

/** Half of the versions are good: they have to come through. */
export function drawRollout(dice: Dice, forMs: number): RolloutPlan {
  return {
    atMs: Math.round(dice.next() * forMs * 0.4),
    spreadMs: dice.pick([0, 500, 3_000]),
    candidate: dice.chance(0.5) ? 'good' : dice.pick(CANDIDATES),
    share: dice.pick([0.1, 0.3, 1]),
    status: dice.pick([2, 13, 14]),
    sparesCopies: dice.chance(0.7),
    factor: dice.pick([4, 10, 40]),
  };
}

/** What the file of a replica says of its models. */
export function rolloutFile(dice: Dice, name: string): object {
  return {
    state_dir: `/sim/${name}/state`,
    model: {
      command: ['model', '{socket}', '{model}', '{version}'],
      isolation: 'process',
      rollout: {
        samples: dice.pick([0, 10, 30]),
        window: dice.pick(['1s', '2s']),
        canary: dice.pick([0, 0.1, 0.5]),
      },
    },
  };
}
