/**
 * The ids in requests of engines, also where a request cannot be read in place: its client compresses it, or only its beginning is kept. So Abort
 * finds the engine of such a request as well.
 */

import { bodyIn } from '../codec/body-reader.js';
import { readAbortedIds } from '../codec/engines/abort-request.js';
import type { EngineCodec } from '../codec/engines/engine-codec.js';
import { requestIdIn } from '../codec/engines/request-id.js';
import { framed, PREFIX_BYTES } from '../codec/grpc-message.js';
import { metadataValue } from '../http2/header-view.js';
import { canInflate, inflatedPrefixes, inflateWhole, MAX_INFLATED_BYTES } from '../relay/inflate-prefix.js';
import { prefixOf } from '../relay/request-prefix.js';
import type { OutboundCall } from './call.js';

/** Bytes of a request that are looked at for its id. */
const BEGINNING_BYTES = 4 * 1024;

/** The id of a request of `Generate`; empty: none that can be told. */
export function requestIdOf({ buffered, original }: OutboundCall, codec: EngineCodec): string {
  if (buffered === null) return '';
  const head = prefixOf(buffered, PREFIX_BYTES + BEGINNING_BYTES);
  if (head.length <= PREFIX_BYTES) return '';
  const message = head.subarray(PREFIX_BYTES);
  if (head[0] === 0) return requestIdIn(codec, message);
  const encoding = metadataValue(original, 'grpc-encoding') ?? '';
  if (head[0] !== 1 || !canInflate(encoding)) return '';
  for (const { bytes } of inflatedPrefixes(encoding, message, false)) {
    const id = requestIdIn(codec, bytes);
    if (id !== '') return id;
  }
  return '';
}

/** The ids that a request of `Abort` names; none where they cannot be told. */
export function abortedIdsOf({ buffered, original }: OutboundCall, codec: EngineCodec): string[] {
  if (buffered === null || buffered.bytes < PREFIX_BYTES) return [];
  if (prefixOf(buffered, 1)[0] === 0) return readAbortedIds(codec, buffered);
  const encoding = metadataValue(original, 'grpc-encoding') ?? '';
  if (buffered.bytes > MAX_INFLATED_BYTES || !canInflate(encoding)) return [];
  const message = inflateWhole(encoding, buffered.whole().subarray(PREFIX_BYTES));
  return typeof message === 'string' ? [] : readAbortedIds(codec, bodyIn(framed(message)));
}
