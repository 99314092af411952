// The one error of the HPACK codec. Whatever breaks RFC 7541 makes the shared compression state useless,
// so the connection that sees it answers COMPRESSION_ERROR (RFC 9113 4.3) and closes; nothing here recovers.

/** A block that RFC 7541 forbids. `message` says which rule; it never contains octets of the block. */
export class HpackError extends Error {
  override readonly name = 'HpackError';
}
