/** How a model of the drills behaves, what it is asked, and what it writes down. */

import { rawMethod } from '../../../sidecar/cli/chaos/protocol/raw-method.js';
import type { Lie } from './load-lies.js';

/** `trailers`: headers go first, and the status comes after the work, where a proxy that reads headers misses it. */
export type Form = 'trailers-only' | 'trailers';

export type Behaviour =
  | { readonly does: 'answer' }
  /** Service time times so much. */
  | { readonly does: 'slow'; readonly factor: number }
  | { readonly does: 'hang' }
  /** One call in so many takes so many times as long. */
  | { readonly does: 'lag'; readonly every: number; readonly factor: number }
  /** A share of the calls ends with a status. */
  | { readonly does: 'fail'; readonly code: number; readonly form: Form; readonly ratio: number }
  /** Fails with UNAVAILABLE and answers in turn, for so long each. */
  | { readonly does: 'flap'; readonly everyMs: number; readonly form: Form }
  /** Every number of the answer is NaN. */
  | { readonly does: 'nan' }
  /** Every answer has a load report in its trailers (ORCA). */
  | { readonly does: 'report'; readonly says: Lie | 'truth' }
  /** A call takes as many milliseconds as its id says. */
  | { readonly does: 'take' }
  /** An answer is the answer of another service. */
  | { readonly does: 'ask'; readonly target: string };

export const WELL: Behaviour = { does: 'answer' };

/** Fails every call. UNAVAILABLE unless said. */
export function fails(form: Form, code = 14, ratio = 1): Behaviour {
  return { does: 'fail', code, form, ratio };
}

/** What a model is started with. */
export interface ModelPlan {
  readonly serviceMs: number;
  /** Calls it works on at once; more line up inside it, as in most servers. Absent: any number. */
  readonly places?: number;
  /** Bytes of each output. Absent: as many as the input has, which it is a copy of. */
  readonly answerBytes?: number;
  /** 0: any free one. */
  readonly port: number;
  /** File that it writes down in what it does, a line for each event. It outlives the process. */
  readonly log: string;
}

/** `ran`: the work on a call began. `cancelled`: its caller went away before its end. */
export type EventKind = 'ran' | 'cancelled';

/** One line of a model's log. */
export interface ModelEvent {
  /** `performance.now()` of this process. */
  readonly atMs: number;
  readonly kind: EventKind;
  /** What the caller calls it. */
  readonly id: string;
}

/** A unary method that no route calls idempotent; its request is the call's id. */
export const ONCE = rawMethod('/faults.Model/Once');

/** Said on a held stream: from then on it sends as fast as it is read. */
export const FLOOD = 'flood';
/** A call whose id begins so kills the model that works on it. */
export const POISON = 'poison';

/** A time with at most one call in it counts as one without ordinary traffic, ms. */
export const SINGLE_MS = 500;

/** Time from `fromMs` until at most one of `times` lies in a stretch of `SINGLE_MS`; undefined when none does before `toMs`. */
export function untilSingle(times: readonly number[], fromMs: number, toMs: number): number | undefined {
  for (let atMs = fromMs; atMs + SINGLE_MS <= toMs; atMs += 10)
    if (times.filter((each) => each >= atMs && each < atMs + SINGLE_MS).length <= 1) return atMs - fromMs;
  return undefined;
}
