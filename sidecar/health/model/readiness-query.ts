/**
 * Asks a model server of ours whether it serves one of its models, and if not, why: ModelMetadata says it in its
 * properties. The health service says only yes or no, and a model that is loading says no too.
 */

import { decodeProperties, encodeMetadataRequest, MODEL_METADATA } from '../../codec/inference.js';
import { Status } from '../../core/outcome/status.js';
import type { GrpcClient, UnaryAnswer } from './grpc-client.js';

export type ModelAnswer =
  | { readonly kind: 'ready' }
  /** It will not be served by this process. */
  | { readonly kind: 'failed'; readonly why: string }
  /** It is loading, or nothing has answered. */
  | { readonly kind: 'unknown' };

const MAX_BYTES = 1024 * 1024;

/** Never rejects. */
export async function queryModel(client: GrpcClient, name: string, timeoutMs: number): Promise<ModelAnswer> {
  const question = encodeMetadataRequest(name, '');
  return judge(await client.call(MODEL_METADATA, question, { timeoutMs, maxBytes: MAX_BYTES }));
}

/** A server that tells no state of its models has those that it tells anything of. */
function judge(answer: UnaryAnswer): ModelAnswer {
  if (answer.kind === 'silent') return { kind: 'unknown' };
  if (answer.kind === 'status') {
    if (answer.status === Status.UNIMPLEMENTED) return { kind: 'ready' };
    return answer.status === Status.NOT_FOUND ? { kind: 'failed', why: answer.message } : { kind: 'unknown' };
  }
  let properties: ReadonlyMap<string, string>;
  try {
    properties = decodeProperties(answer.message);
  } catch {
    return { kind: 'unknown' };
  }
  const state = properties.get('state');
  if (state === 'FAILED') return { kind: 'failed', why: properties.get('reason') ?? 'it did not load' };
  return state === undefined || state === 'READY' ? { kind: 'ready' } : { kind: 'unknown' };
}
