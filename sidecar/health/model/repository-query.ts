import {
  decodeIndex,
  type IndexedModel,
  REPOSITORY_INDEX,
  writeIndexRequest,
} from '../../codec/repository.js';
import type { Address } from '../../config/model.js';
import { attempt } from '../../runtime/attempt.js';
import type { Timers } from '../../runtime/time/timers.js';
import { GrpcClient } from './grpc-client.js';

const TIMEOUT_MS = 1_000;
const MAX_BYTES = 1024 * 1024;

/** What a model server was asked to do with its models: `unloaded`, all of them; `under-way`: loading or unloading. */
export type RequestedChange = 'none' | 'under-way' | 'unloaded';

/**
 * What a model server says of that by RepositoryIndex; `none` where it has no such method, or does not answer. Never rejects.
 */
export async function requestedChange(address: Address, timers: Timers): Promise<RequestedChange> {
  const client = new GrpcClient(address, timers);
  const options = { timeoutMs: TIMEOUT_MS, maxBytes: MAX_BYTES };
  const answer = await client.call(REPOSITORY_INDEX, writeIndexRequest({ ready: false }), options);
  client.close();
  if (answer.kind !== 'message') return 'none';
  return changeIn(attempt(() => decodeIndex(answer.message), []));
}

/** Triton's words, and those of our own server, for a model that nobody asked to be there. */
const UNLOADED = /^(unloaded|it is not loaded)?$/;

/** What the index of a server that does not serve shows. */
export function changeIn(models: readonly IndexedModel[]): RequestedChange {
  if (models.some(({ state }) => state === 'LOADING' || state === 'UNLOADING')) return 'under-way';
  const isUnloaded = ({ state, reason }: IndexedModel) => state !== 'READY' && UNLOADED.test(reason);
  return models.length > 0 && models.every(isUnloaded) ? 'unloaded' : 'none';
}
