import { type HeaderField, makeField } from '../http2/hpack/field.js';

const GRPC = makeField('content-type', 'application/grpc');
/** Types beside the usual one that are remembered; a peer may send as many as it likes. */
const REMEMBERED = 16;
const fields = new Map<string, HeaderField>();

/**
 * The content type of an answer of our own to a request of this type, which is gRPC's: the same one, because a client of
 * `application/grpc+json` expects that (gRPC over HTTP/2, "Content-Type"). Few objects come again and again, so that lists made of
 * them can be remembered.
 */
export function replyContentType(requested: string): HeaderField {
  if (requested === GRPC.value || requested === '') return GRPC;
  let field = fields.get(requested);
  if (field === undefined) {
    field = makeField('content-type', requested);
    if (fields.size < REMEMBERED) fields.set(requested, field);
  }
  return field;
}
