import { unframe } from './framed-data.js';
import { Chunk, type Stream } from './stream.js';

/** Buffers up to this size may stay referenced whatever part of them is used, bytes. */
const POOLED_BYTES = 16 * 1024;
/** Pieces below this size are gathered in common buffers, bytes. */
const SMALL_BYTES = 4096;
/** Size of those buffers, bytes; the first ones are smaller. */
const GATHER_BYTES = 16 * 1024;
const FIRST_GATHER_BYTES = 512;

/**
 * Appends `buffer[start, end)` to the payload that waits on `stream`, for a window or for the socket. Waiting payload is
 * kept at about its own size: a slice pins the whole read buffer it came from, and a piece of one byte costs a hundred of
 * bookkeeping. So slices are copied out of large buffers, small pieces gathered, and large pieces left where they are.
 */
export function hold(stream: Stream, buffer: Buffer, start: number, end: number): void {
  if (!stream.isCompact) compact(stream);
  stream.pendingBytes += end - start;
  append(stream, buffer, start, end);
}

/** Copies what waits on `stream` into buffers of about its own size, once; see `hold`. */
export function compact(stream: Stream): void {
  if (stream.isCompact) return;
  stream.isCompact = true;
  const first = stream.firstChunk;
  // Most streams have one piece, in a small buffer.
  if (first === null || (first.next === null && !isWasteful(first.buffer, first.end - first.start))) return;
  unframe(stream);
  let chunk = stream.firstChunk;
  stream.firstChunk = null;
  stream.lastChunk = null;
  for (; chunk !== null; chunk = chunk.next) {
    if (chunk.spare >= 0) push(stream, new Chunk(chunk.buffer, chunk.start, chunk.end), chunk.spare);
    else append(stream, chunk.buffer, chunk.start, chunk.end);
  }
}

function append(stream: Stream, buffer: Buffer, start: number, end: number): void {
  const n = end - start;
  const last = stream.lastChunk;
  if (n < SMALL_BYTES && last !== null && last.spare >= n) {
    buffer.copy(last.buffer, last.end, start, end);
    last.end += n;
    last.spare -= n;
    return;
  }
  const isPinned = last !== null && last.buffer.buffer === buffer.buffer;
  if (n >= SMALL_BYTES && (isPinned || !isWasteful(buffer, n)))
    return push(stream, new Chunk(buffer, start, end), -1);
  const size = n >= SMALL_BYTES ? n : gatherBytes(stream, n);
  const own = Buffer.allocUnsafeSlow(size);
  buffer.copy(own, 0, start, end);
  push(stream, new Chunk(own, 0, n), size - n);
}

/** Size of the next buffer: grows with what waits, so that a small message does not occupy a large buffer. */
function gatherBytes(stream: Stream, n: number): number {
  return Math.max(n, FIRST_GATHER_BYTES, Math.min(GATHER_BYTES, stream.pendingBytes));
}

function push(stream: Stream, chunk: Chunk, spare: number): void {
  chunk.spare = spare;
  if (stream.lastChunk === null) stream.firstChunk = chunk;
  else stream.lastChunk.next = chunk;
  stream.lastChunk = chunk;
}

/** Whether a piece of `n` bytes uses too little of its buffer's memory. */
function isWasteful(buffer: Buffer, n: number): boolean {
  const backing = buffer.buffer.byteLength;
  return backing > POOLED_BYTES && n * 5 < backing;
}
