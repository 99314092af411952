/** What a model of the drills is told beside the faults of any model, what it is asked, and what it is started with. */

import type { Behaviour } from '../../../sidecar/cli/chaos/protocol/behaviour.js';
import { rawMethod } from '../../../sidecar/cli/chaos/protocol/raw-method.js';
import type { Lie } from './load-lies.js';

/** What is the matter of this model alone. */
export type OwnBehaviour =
  /** Every answer has a load report in its trailers (ORCA). */
  | { readonly does: 'report'; readonly says: Lie | 'truth' }
  /** A call takes as many milliseconds as its id says. */
  | { readonly does: 'take' }
  /** An answer is the answer of another service. */
  | { readonly does: 'ask'; readonly target: string };

export type ModelBehaviour = Behaviour | OwnBehaviour;

export interface ModelPlan {
  readonly serviceMs: number;
  /** Calls it works on at once; more line up inside it, as in most servers. Absent: any number. */
  readonly places?: number;
  /** Bytes of each output. Absent: as many as the input has, which it is a copy of. */
  readonly answerBytes?: number;
  /** 0: any free one. */
  readonly port: number;
  /** File of its log of executions, which outlives the process. */
  readonly log: string;
}

/** A unary method that no route calls idempotent; its request is the call's id. */
export const ONCE = rawMethod('/faults.Model/Once');

/** Said on a held stream: from then on it sends as fast as it is read. */
export const FLOOD = 'flood';

/** A time with at most one call in it counts as one without ordinary traffic, ms. */
export const SINGLE_MS = 500;

/** Time from `fromMs` until at most one of `times` lies in a stretch of `SINGLE_MS`; undefined when none does before `toMs`. */
export function untilSingle(times: readonly number[], fromMs: number, toMs: number): number | undefined {
  for (let atMs = fromMs; atMs + SINGLE_MS <= toMs; atMs += 10)
    if (times.filter((each) => each >= atMs && each < atMs + SINGLE_MS).length <= 1) return atMs - fromMs;
  return undefined;
}
