/** A message of gRPC as it is sent (gRPC over HTTP/2, "Length-Prefixed-Message"): a flag for compression, its length, and its bytes. */

/** Bytes of the flag and the length. */
export const PREFIX_BYTES = 5;
/** The flag says whether the message is compressed; the protocol defines no higher one. */
export const HIGHEST_FLAG = 1;

/** A message with its prefix, not compressed. */
export function framed(message: Buffer): Buffer {
  const bytes = Buffer.alloc(PREFIX_BYTES + message.length);
  bytes.writeUInt32BE(message.length, 1);
  message.copy(bytes, PREFIX_BYTES);
  return bytes;
}

/** The one message in `bytes`; undefined: that is not exactly one, or it is compressed. */
export function unframed(bytes: Buffer): Buffer | undefined {
  if (bytes.length < PREFIX_BYTES || bytes[0] !== 0) return undefined;
  if (bytes.readUInt32BE(1) !== bytes.length - PREFIX_BYTES) return undefined;
  return bytes.subarray(PREFIX_BYTES);
}
