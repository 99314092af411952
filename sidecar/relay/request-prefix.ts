import { PREFIX_BYTES } from '../codec/grpc-message.js';
import type { ChunkList } from '../transport/chunk-list.js';

/** Bytes of a body that is one message of `bytes` bytes at most; 0: there is to be none. */
export function messageBytes(bytes: number): number {
  return bytes === 0 ? 0 : bytes + PREFIX_BYTES;
}

/** The first `bytes` bytes, or as many as there are. */
export function prefixOf(chunks: ChunkList, bytes: number): Buffer {
  const parts: Buffer[] = [];
  let left = bytes;
  for (let i = 0; i < chunks.count && left > 0; i++) {
    const { buffer, start, end } = chunks.at(i);
    const part = buffer.subarray(start, Math.min(end, start + left));
    parts.push(part);
    left -= part.length;
  }
  return parts.length === 1 ? parts[0]! : Buffer.concat(parts);
}
