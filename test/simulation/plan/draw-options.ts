/** Parts of the files of callers. */
import type { Dice } from '../dice.js';
import type { ReplicaPlan } from './plan.js';

/** What the file of a caller says of endpoints. */
export interface Reachable {
  readonly replicas: readonly ReplicaPlan[];
  /** The one without new calls. */
  readonly idle?: string;
  /** By DNS: the name that has one of them. */
  readonly isFew?: boolean;
}

/** Of extra attempts: soon used up. */
export const SMALL_BUDGETS = [
  { ratio: 0, per_second: 1 },
  { ratio: 0.05, per_second: 0.1 },
  { ratio: 0.2, per_second: 0 },
];

/** @param ofEngine of a run whose model is an engine: there calls are limited by tokens, too. */
export function rateLimits(
  perSecond: number,
  ofEngine: Dice | undefined,
  has: (feature: string) => boolean,
): object {
  const isSaid = has('said-options');
  const ofModel = has('rollout') && !has('engines') ? { models: ['digits'], version: '1' } : {};
  const more = isSaid ? { methods: ['*'], burst: perSecond, ...(ofEngine === undefined ? ofModel : {}) } : {};
  const limit = { callers: ['app2'], per_second: perSecond, ...more };
  if (ofEngine === undefined) return { rate_limits: [limit] };
  const tokens = ofEngine.of('tokens of callers').pick([60, 300, 3_000]);
  return { engine: 'vllm', rate_limits: [{ ...limit, tokens_per_minute: tokens }] };
}

/** Without one of the replicas of a service, or with one of them only, sometimes. */
function fewer(
  replicas: readonly ReplicaPlan[],
  of: string,
  dice: Dice,
  mayBeAlone: boolean,
): readonly ReplicaPlan[] {
  if (dice.chance(0.4)) return replicas;
  const served = replicas.filter(({ service }) => service === of);
  const one = dice.pick(served);
  if (mayBeAlone && dice.of('alone').chance(0.5))
    return replicas.filter((each) => each === one || !served.includes(each));
  return replicas.filter((each) => each !== one);
}

/** What a caller may reach from a reload on. */
export function reachable(
  all: readonly ReplicaPlan[],
  of: string,
  has: (feature: string) => boolean,
  dice: Dice,
): Reachable {
  // One alone could not carry long calls.
  const mayBeAlone = !has('mixed-durations') && !has('overload');
  const replicas = has('fewer-endpoints') ? fewer(all, of, dice.of('endpoints'), mayBeAlone) : all;
  const served = replicas.filter(({ service }) => service === of);
  const own = dice.of('weights');
  const isIdle = has('weights') && served.length > 1 && own.chance(0.5);
  return {
    replicas,
    ...(isIdle ? { idle: own.pick(served).name } : {}),
    isFew: has('fewer-endpoints') && dice.of('name').chance(0.4),
  };
}
