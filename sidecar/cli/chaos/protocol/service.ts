/**
 * What the models of a drill are asked, and how: the contract between the clients and the model process. Three kinds of calls,
 * as services of models have them: short ones that may be made twice, long ones that must not, and streams.
 */

import { protocols } from '../../../../proto/load.js';
import type { ModelInferRequest, ModelInferResponse } from '../../../../proto/messages.js';
import { rawMethod } from './raw-method.js';

/**
 * The long-running model: a job that must not be done twice, so that no route and no policy calls it idempotent. The request is the id of
 * the call, the answer is the id again.
 */
export const JOB = rawMethod('/outrider.chaos.Jobs/Run');

/** Trailer that names the replica which answered. */
export const REPLICA_KEY = 'chaos-replica';

/** Time of one run of each model without a fault, ms: on top of the network for digits; waited only for the others. */
export const RUN_MS = { digits: 10, long: 400, streamPause: 50 } as const;

export const STREAM_MESSAGES = 20;

/** Runs that a model process does at once; more line up inside it, as in most servers. */
export const PLACES = 8;

export function streamRequest(id: string): ModelInferRequest {
  return {
    model_name: 'stream',
    id,
    inputs: [{ name: 'messages', datatype: 'INT64', shape: ['0'] }],
    raw_input_contents: [new Uint8Array()],
  };
}

/** Message `i` (from 0) of a stream: its number. */
export function streamMessage(id: string, i: number): ModelInferResponse {
  const raw = Buffer.alloc(8);
  raw.writeBigInt64LE(BigInt(i));
  return {
    model_name: 'stream',
    model_version: '1',
    id,
    parameters: {},
    outputs: [{ name: 'n', datatype: 'INT64', shape: ['1'] }],
    raw_output_contents: [raw],
  };
}

/** The number that a message of a stream carries; undefined: it carries none. */
export function numberIn(message: ModelInferResponse | null | undefined): number | undefined {
  const raw = message?.raw_output_contents[0];
  return raw?.length === 8 ? Number(Buffer.from(raw).readBigInt64LE()) : undefined;
}

/** The methods of the inference protocol that the models answer. */
export function inferMethods() {
  const { ModelInfer, ModelStreamInfer } = protocols().inference;
  return { ModelInfer, ModelStreamInfer };
}
