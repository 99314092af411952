/** Ends a message that was cut. */
const MARK = '...';

/**
 * A percent-encoded `grpc-message` (gRPC over HTTP/2, "Status-Message") cut to `maxBytes`: never within an escape, nor within the bytes
 * of one UTF-8 character, escaped or not. What was cut ends with `...`. One char of `encoded` is one byte.
 */
export function cutMessage(encoded: string, maxBytes: number): string {
  if (encoded.length <= maxBytes) return encoded;
  if (maxBytes <= MARK.length) return '';
  return encoded.slice(0, endOfCharacter(encoded, maxBytes - MARK.length)) + MARK;
}

/** The end of the last whole character at `end` or before it. */
function endOfCharacter(encoded: string, end: number): number {
  let at = end;
  if (encoded[at - 1] === '%') at -= 1;
  else if (encoded[at - 2] === '%') at -= 2;
  // A character has three bytes after its first one, at most.
  for (let bytes = 0; bytes < 3 && isContinuation(encoded, at); bytes++)
    at -= encoded[at - 3] === '%' ? 3 : 1;
  return Math.max(at, 0);
}

/** Whether the byte that begins here, as it is or escaped, continues a UTF-8 character: 0x80 to 0xbf. */
function isContinuation(encoded: string, at: number): boolean {
  const code = encoded.charCodeAt(at);
  if (code >= 0x80 && code < 0xc0) return true;
  return encoded[at] === '%' && /^[89ab]/i.test(encoded[at + 1] ?? '');
}
