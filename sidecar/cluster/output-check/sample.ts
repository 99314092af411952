import { EjectionState } from '../../core/outlier/ejection.js';
import type { ChunkList } from '../../transport/chunk-list.js';
import type { Endpoint } from '../endpoint.js';
import type { AnswerReader } from './answer-readers.js';
import type { ReplayRequest } from './replay.js';

/** An answer that is looked at, after its call. */
export interface Sample {
  readonly endpoint: Endpoint;
  readonly startMs: number;
  readonly read: AnswerReader;
  readonly answer: ChunkList;
  /** Null: the request may not be sent again, or is not kept. */
  readonly request: ReplayRequest | null;
  /** Bytes of the memory budget that it takes. */
  readonly bytes: number;
  /** Where in its numbers the sample falls. */
  readonly seed: number;
}

/** Whether it says something of its endpoint as it is now: what began before an ejection ended is history. */
export function isCounted({ endpoint: { ejection }, startMs }: Sample): boolean {
  return ejection.state === EjectionState.admitted && startMs >= ejection.sinceMs;
}
