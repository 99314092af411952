import { HIGHEST_FLAG, PREFIX_BYTES } from '../codec/grpc-message.js';

/** How far a request has come, in messages. */
export interface RequestMessages {
  readonly requestBytes: number;
  messageEndsAt: number;
  prefix: PartialPrefix | null;
}

/** A prefix that has come in part: its bytes so far, and the length as far as they say it. */
export interface PartialPrefix {
  bytes: number;
  length: number;
}

/**
 * Finds where the message ends that bytes `[start, end)`, the last ones of the request, are part of. Only for bytes that
 * reach its known end: a frame in the middle of a message costs a comparison. As `MessageCounter`, in fields of the call.
 */
export function findMessageEnd(call: RequestMessages, buffer: Buffer, start: number, end: number): void {
  const { requestBytes, prefix } = call;
  let prefixBytes = prefix === null ? 0 : prefix.bytes;
  let length = prefix === null ? 0 : prefix.length;
  let at = prefixBytes > 0 ? start : end - (requestBytes - call.messageEndsAt);
  while (at < end) {
    if (prefixBytes === 0 && buffer[at]! > HIGHEST_FLAG) {
      // No message, so that its end never comes.
      call.messageEndsAt = Number.POSITIVE_INFINITY;
      return;
    }
    if (prefixBytes === 0 && end - at >= PREFIX_BYTES) {
      at += PREFIX_BYTES + buffer.readUInt32BE(at + 1);
      continue;
    }
    length = prefixBytes === 0 ? 0 : length * 256 + buffer[at]!;
    at++;
    if (++prefixBytes < PREFIX_BYTES) continue;
    prefixBytes = 0;
    at += length;
  }
  if (prefixBytes === 0) call.prefix = null;
  else if (prefix === null) call.prefix = { bytes: prefixBytes, length };
  else {
    prefix.bytes = prefixBytes;
    prefix.length = length;
  }
  // Within a prefix the end is not known: not before its next byte.
  call.messageEndsAt = prefixBytes > 0 ? requestBytes + 1 : requestBytes + at - end;
}
