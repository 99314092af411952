/**
 * A header block that violates RFC 7541, which makes the shared compression state useless: the connection ends with
 * COMPRESSION_ERROR (RFC 9113 section 4.3). `message` names the rule and contains no bytes of the block.
 */
export class HpackError extends Error {
  override readonly name = 'HpackError';
}
