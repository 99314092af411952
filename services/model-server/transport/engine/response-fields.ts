/** Header lists of responses: those that repeat are made once, so that each connection encodes them once (http2/hpack/encoder.ts). */

import { type HeaderField, makeField } from '../../../../sidecar/http2/hpack/field.js';
import { StableList } from '../../../../sidecar/http2/hpack/header-list.js';
import { detailsOf, trailerValue } from '../../protocol/status-details.js';
import { type RpcError, status } from '../../rpc.js';
import { ACCEPTED_ENCODINGS } from './inflate.js';

const HEAD_FIELDS = [
  makeField(':status', '200'),
  makeField('content-type', 'application/grpc'),
  makeField('grpc-accept-encoding', ACCEPTED_ENCODINGS),
];

/** The headers of a response that has messages. */
export const HEAD: StableList = StableList.of(HEAD_FIELDS);

/** The trailers of a call that ended well. */
export const OK: StableList = StableList.of([makeField('grpc-status', '0')]);

const trailers = new Map<number, StableList>();
const trailersOnly = new Map<number, StableList>();

/** The stable part of trailers with this status. */
export function trailersOf(code: number): StableList {
  return remembered(trailers, code, []);
}

/** The same for a response without messages ("Trailers-Only"). */
export function trailersOnlyOf(code: number): StableList {
  return remembered(trailersOnly, code, HEAD_FIELDS);
}

function remembered(
  lists: Map<number, StableList>,
  code: number,
  before: readonly HeaderField[],
): StableList {
  let list = lists.get(code);
  if (list === undefined) {
    list = StableList.of([...before, makeField('grpc-status', String(code))]);
    // Codes come from this program, which knows seventeen.
    if (code in status) lists.set(code, list);
  }
  return list;
}

/** What differs from call to call: the message, and trailing metadata. */
export function statusFields({ message, trailers }: Pick<RpcError, 'message' | 'trailers'>): HeaderField[] {
  const fields = message === '' ? [] : [makeField('grpc-message', percentEncoded(detailsOf(message)))];
  return [...fields, ...metadataFields(trailers)];
}

/** Trailing metadata. */
export function metadataFields(metadata: Readonly<Record<string, string>>): HeaderField[] {
  return Object.entries(metadata).map(([name, value]) =>
    makeField(name.toLowerCase(), trailerValue(value).trim()),
  );
}

/** Status-Message of gRPC over HTTP/2: UTF-8, what is no printable ASCII, and `%`, as `%XX`. */
function percentEncoded(text: string): string {
  return text.replace(/[^ -$&-~]+/g, (part) =>
    Array.from(
      Buffer.from(part, 'utf8'),
      (byte) => `%${byte.toString(16).toUpperCase().padStart(2, '0')}`,
    ).join(''),
  );
}
