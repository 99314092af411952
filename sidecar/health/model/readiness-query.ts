import { decodeProperties, encodeMetadataRequest, MODEL_METADATA } from '../../codec/inference.js';
import { Status } from '../../core/outcome/status.js';
import type { ModelClient, UnaryAnswer } from './grpc-client.js';

/** The state of one model, as its server reports it. */
export type ModelAnswer =
  | { readonly kind: 'ready' }
  /** The process will not serve it. */
  | { readonly kind: 'failed'; readonly why: string }
  /** It is loading (`isWarming`: loaded, and its golden input runs), or the server has not answered. */
  | { readonly kind: 'unknown'; readonly isWarming?: boolean };

const MAX_BYTES = 1024 * 1024;

/**
 * Asks a model server of our own for the state of one model, by the properties of ModelMetadata
 * (`state`, `reason`). The health service cannot tell a model that loads from one that failed.
 * Never rejects.
 */
export async function queryModel(client: ModelClient, name: string, timeoutMs: number): Promise<ModelAnswer> {
  const request = encodeMetadataRequest(name, '');
  return answerOf(await client.call(MODEL_METADATA, request, { timeoutMs, maxBytes: MAX_BYTES }));
}

/** A server of another make has no property `state`: a model whose metadata it returns is ready. */
function answerOf(answer: UnaryAnswer): ModelAnswer {
  if (answer.kind === 'silent') return { kind: 'unknown' };
  if (answer.kind === 'status') {
    if (answer.status === Status.UNIMPLEMENTED) return { kind: 'ready' };
    return answer.status === Status.NOT_FOUND ? { kind: 'failed', why: answer.message } : { kind: 'unknown' };
  }
  try {
    const properties = decodeProperties(answer.message);
    const state = properties.get('state');
    if (state === 'FAILED') return { kind: 'failed', why: properties.get('reason') ?? 'it did not load' };
    if (state === undefined || state === 'READY') return { kind: 'ready' };
    return { kind: 'unknown', isWarming: properties.get('phase') === 'WARMING' };
  } catch {
    return { kind: 'unknown' };
  }
}
