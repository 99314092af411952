import { HIGHEST_FLAG, PREFIX_BYTES } from '../codec/grpc-message.js';

/** How far a request has come, in messages. */
export interface RequestMessages {
  readonly requestBytes: number;
  messageEndsAt: number;
  prefixOctets: number;
  prefixLength: number;
}

/**
 * Finds where the message ends that octets `[start, end)`, the last ones of the request, are part of. Only for octets that
 * reach its known end: a frame in the middle of a message costs a comparison. As `MessageCounter`, in fields of the call.
 */
export function findMessageEnd(call: RequestMessages, buffer: Buffer, start: number, end: number): void {
  const { requestBytes } = call;
  let { prefixOctets, prefixLength } = call;
  let at = prefixOctets > 0 ? start : end - (requestBytes - call.messageEndsAt);
  while (at < end) {
    if (prefixOctets === 0 && buffer[at]! > HIGHEST_FLAG) {
      // No message, so that its end never comes.
      call.messageEndsAt = Number.POSITIVE_INFINITY;
      return;
    }
    if (prefixOctets === 0 && end - at >= PREFIX_BYTES) {
      at += PREFIX_BYTES + buffer.readUInt32BE(at + 1);
      continue;
    }
    prefixLength = prefixOctets === 0 ? 0 : prefixLength * 256 + buffer[at]!;
    at++;
    if (++prefixOctets < PREFIX_BYTES) continue;
    prefixOctets = 0;
    at += prefixLength;
  }
  call.prefixOctets = prefixOctets;
  call.prefixLength = prefixLength;
  // Within a prefix the end is not known: not before its next octet.
  call.messageEndsAt = prefixOctets > 0 ? requestBytes + 1 : requestBytes + at - end;
}
