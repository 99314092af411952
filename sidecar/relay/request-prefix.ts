import type { ChunkList } from '../transport/chunk-list.js';

/** The first `bytes` octets, or as many as there are. */
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
