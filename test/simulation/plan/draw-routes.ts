/** Routes of callers: what may be done with a call. */
import type { Dice } from '../dice.js';
import { INFER, INFERENCE_ROUTES, modelOf, STREAM_INFER } from './draw-rollout.js';
import { GENERATE } from './plan.js';

type Has = (feature: string) => boolean;

export const SERVICE = 'digits';
export const SHADOW = 'shadow';
export const PACKAGE = '/sim.Model';

export interface RouteFacts {
  readonly has: Has;
  /** The other service is there. */
  readonly hasShadow: boolean;
  /** Calls of a rollout have one unary method: it is idempotent in this run, or not. */
  readonly isInferSafe: boolean;
  /** Its unary routes are for calls of one model. */
  readonly isByModel: boolean;
}

/** Of the request, what is kept for another attempt. */
export function replayOf(has: Has, dice: Dice): object {
  return has('small-replay') ? { replay: dice.pick(['1KiB', '16KiB']) } : {};
}

/** Of the service that copies and fallbacks go to. */
export function plainRoutes(has: Has, dice: Dice): object[] {
  return [
    { methods: [`${PACKAGE}/Unary`, `${PACKAGE}/Safe`], kind: 'unary', ...replayOf(has, dice) },
    ...(has('rollout') ? INFERENCE_ROUTES : []),
    { methods: ['*'], kind: 'streaming', ...replayOf(has, dice) },
  ];
}

export function routesOf(dice: Dice, { has, hasShadow, isInferSafe, isByModel }: RouteFacts): object[] {
  const said = has('said-options');
  const own = dice.of('said');
  const retry = has('retry') ? { retry: retryOf(has, dice) } : {};
  const hold = has('small-hold') ? { hold: '1KiB' } : {};
  const mirror = has('mirror') && hasShadow ? { mirror: mirrorOf(dice, said ? own : undefined) } : {};
  const attempt = has('attempt-timeout') ? { attempt_timeout: dice.pick(['300ms', '2s']) } : {};
  const hedge = has('hedge') ? { hedge: hedgeOf(has, own) } : {};
  const toShadow = has('fallback-upstream') && hasShadow ? [{ kind: 'upstream', upstream: SHADOW }] : [];
  const fallback = [...toShadow, ...(has('last-good') ? [lastGoodOf(said ? own : undefined)] : [])];
  const first = has('first-message-timeout') ? { first_message_timeout: '2s' } : {};
  const idle = has('idle-timeout') ? { idle_timeout: '10s' } : {};
  const times = said ? { max_timeout: '10m' } : {};
  const draining = said ? { drain_timeout: '30s' } : {};
  const unary = {
    ...{ kind: 'unary', timeout: '30s', ...hold, ...replayOf(has, dice), ...mirror, ...times },
    ...(said ? { sample: own.pick(['0B', '64KiB']) } : {}),
  };
  const silence = said ? { message_timeout: '20s' } : {};
  const split = has('split') && hasShadow ? { split: splitOf(said ? own : undefined) } : {};
  const outcomes = has('bad-requests') && own.of('outcomes').chance(0.2) ? { outcomes: OUTCOMES } : {};
  const [one, safe] = has('rollout')
    ? isInferSafe
      ? ([[], [INFER]] as const)
      : ([[INFER], []] as const)
    : ([[`${PACKAGE}/Unary`], [`${PACKAGE}/Safe`]] as const);
  const ofVersion = said && own.of('version').chance(0.3) ? { version: '1' } : {};
  const byModel = has('rollout') && isByModel ? { models: [modelOf('').name], ...ofVersion } : {};
  const resume = has('approximate') ? { resume: 'approximate' } : {};
  return [
    one.length > 0 && {
      ...{ methods: one, ...byModel, ...unary, ...outcomes, ...split },
      ...(toShadow.length > 0 ? { fallback: toShadow } : {}),
    },
    safe.length > 0 && {
      methods: safe,
      ...byModel,
      ...unary,
      ...outcomes,
      idempotent: true,
      ...retry,
      ...attempt,
      ...hedge,
      ...(fallback.length > 0 ? { fallback } : {}),
    },
    has('rollout') && { methods: [STREAM_INFER], kind: 'streaming' },
    !has('rollout') && {
      methods: [`${PACKAGE}/Tokens`],
      kind: 'streaming',
      idempotent: true,
      ...retry,
      ...first,
      ...idle,
      ...silence,
      ...(has('resumable') && has('retry')
        ? { resumable: true, ...(has('deterministic') ? { deterministic: true } : {}) }
        : {}),
    },
    has('engines') && said && { methods: [GENERATE], kind: 'streaming', ...silence, ...resume },
    { methods: ['*'], kind: 'streaming', ...replayOf(has, dice), ...idle, ...draining, ...resume },
  ].filter((route) => route !== false);
}

/** What the models of a run say to bad requests is declared to be about these. */
const OUTCOMES = {
  neutral: ['internal'],
  fault: ['data_loss'],
  success: ['not_found'],
  overload: ['aborted'],
};

function retryOf(has: Has, dice: Dice): object {
  const attempts = dice.between(2, 4);
  const own = dice.of('retried');
  const more = has('more-retried')
    ? [own.pick(['internal', 'unknown', 'resource_exhausted', 'aborted', 'data_loss']), 'deadline_exceeded']
    : [];
  return {
    ...{ attempts, on: ['unavailable', ...more], backoff: { base: '5ms', max: '50ms' } },
    ...(has('more-retried') ? { final: own.chance(0.3) } : {}),
  };
}

function hedgeOf(has: Has, own: Dice): object {
  if (!has('other-hedges')) return { max_ratio: 0.3 };
  return {
    max_ratio: own.pick([0.1, 0.5]),
    percentile: own.pick([0.6, 0.99]),
    min_delay: own.pick(['1ms', '80ms']),
  };
}

function mirrorOf(dice: Dice, own: Dice | undefined): object {
  const max_in_flight = dice.pick([8, 200]);
  const more = own === undefined ? {} : { ratio: own.pick([0.5, 1]), tolerance: 0.001 };
  return { upstream: SHADOW, max_in_flight, ...more };
}

function lastGoodOf(own: Dice | undefined): object {
  const more = own === undefined ? {} : { max_bytes: '1MiB', vary: [own.pick(['x-session', 'x-class'])] };
  return { kind: 'last-good', max_age: '5s', ...more };
}

function splitOf(own: Dice | undefined): object {
  const weights = { [SERVICE]: 9, [SHADOW]: 1 };
  if (own === undefined || own.of('split').chance(0.4)) return { weights };
  const match = [{ key: 'x-session', value: 's1', upstream: SHADOW }];
  return { weights, match, sticky_by: 'x-session' };
}
