import { PREFIX_BYTES } from '../codec/grpc-message.js';
import { type LocalReplyReason, ModelReplyReasons } from '../core/outcome/local-reply-reason.js';
import { metadataValue } from '../http2/header-view.js';
import { canInflate, inflatedPrefixes, MAX_INFLATED_BYTES } from '../relay/inflate-prefix.js';
import { type LocalReply, makeLocalReply } from '../relay/local-reply.js';
import type { InboundCall } from './call.js';

/** What the sidecar says itself. */
export type FrontAnswer =
  | { readonly kind: 'message'; readonly message: Buffer }
  | { readonly kind: 'refused'; readonly reason: LocalReplyReason; readonly detail: string };

/** Methods that concern all models, and that no process of a single one could answer. */
export interface FrontMethods {
  /** Whether it answers this method. */
  has(path: string): boolean;
  /** Never rejects. `message`: the request without its prefix. */
  answer(path: string, message: Buffer): Promise<FrontAnswer>;
}

/** Longest request of such a method, bytes: a name and a few parameters. */
export const MAX_FRONT_REQUEST_BYTES = 16 * 1024;

/** The one message of a request that is complete, inflated where it is compressed; else why it cannot be read. */
export function messageOf(call: InboundCall): Buffer | LocalReply {
  const body = call.buffered?.whole() ?? Buffer.alloc(0);
  const bytes = body.subarray(PREFIX_BYTES);
  if (body.length < PREFIX_BYTES || body.readUInt32BE(1) !== bytes.length)
    return unreadable('the bytes are not one message');
  if (body[0] === 0) return bytes;
  const encoding = metadataValue(call.block, 'grpc-encoding') ?? 'identity';
  if (!canInflate(encoding)) return unreadable(`it is compressed as '${encoding.slice(0, 40)}'`);
  for (const prefix of inflatedPrefixes(encoding, bytes, true)) if (prefix.isWhole) return prefix.bytes;
  return unreadable(`the bytes are not compressed as '${encoding}', or are more than ${MAX_INFLATED_BYTES}`);
}

function unreadable(detail: string): LocalReply {
  return makeLocalReply(ModelReplyReasons.badRequest, { detail: `the request cannot be read: ${detail}` });
}
