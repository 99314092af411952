import { DEFAULT_MAX_FRAME, Flag, FRAME_HEADER_BYTES, FrameType } from './constants.js';
import type { OwnedBuffer } from './owned-buffer.js';
import { Chunk, type Stream } from './stream.js';
import { putFrameHeader } from './write-buffer.js';

/** A smaller piece is cheaper to pack than to send from where it lies, unless it follows one that is sent so, bytes. */
const LEAST_BYTES = 4096;
/** Where flags and stream id are in a frame header (RFC 9113 section 4.1). */
const FLAGS_AT = 4;
const ID_AT = 5;
/** Bytes sent in one turn of a stream at most, plus one frame. */
const MOST_BYTES = 64 * 1024;

/**
 * Queues payload that was just received to be sent from the read buffer, with a frame header in front of it: the nine
 * bytes before `start` are the header it came with, or were read before it. Payload in frames that came one after
 * another becomes one piece with their headers between, so that it is neither copied nor cut (RFC 9113 section 4.1).
 * False: it cannot, and nothing has changed. Takes over the headers in `buffer`; the payload may have other readers.
 */
export function appendFramed(stream: Stream, buffer: OwnedBuffer, start: number, end: number): boolean {
  const n = end - start;
  const head = start - FRAME_HEADER_BYTES;
  if (head < 0 || n > DEFAULT_MAX_FRAME) return false;
  const last = stream.lastChunk;
  const follows = last !== null && last.frames > 0 && last.end === head && last.buffer === buffer;
  if (follows && last.end - last.start < MOST_BYTES) {
    last.end = end;
    last.frames++;
    last.lastHead = head;
  } else {
    if (n < LEAST_BYTES) return false;
    const chunk = new Chunk(buffer, head, end);
    chunk.frames = 1;
    chunk.lastHead = head;
    if (last === null) stream.firstChunk = chunk;
    else last.next = chunk;
    stream.lastChunk = chunk;
  }
  putFrameHeader(buffer, head, n, FrameType.data, 0, 0);
  return true;
}

/** A piece with frame headers in it, which only `appendFramed` makes. */
export type FramedChunk = Chunk & { readonly buffer: OwnedBuffer };

/** Whether a piece holds whole frames, headers included. */
export function isFramed(chunk: Chunk): chunk is FramedChunk {
  return chunk.frames > 0;
}

/** Puts the id of the stream into the frames of a piece, which has one only now; `ends`: the last one ends the stream. */
export function completeFrames(
  { buffer, start, end, lastHead }: FramedChunk,
  id: number,
  ends: boolean,
): void {
  for (let at = start; at < end; at += FRAME_HEADER_BYTES + lengthAt(buffer, at)) {
    buffer[at + ID_AT] = id >>> 24;
    buffer[at + ID_AT + 1] = id >>> 16;
    buffer[at + ID_AT + 2] = id >>> 8;
    buffer[at + ID_AT + 3] = id;
  }
  if (ends) buffer[lastHead + FLAGS_AT] = Flag.endStream;
}

/** Length of the payload whose frame header begins at `at`. */
function lengthAt(buffer: Buffer, at: number): number {
  return (buffer[at]! << 16) | (buffer[at + 1]! << 8) | buffer[at + 2]!;
}

/** Bytes of payload in a framed piece. */
export function payloadOf({ start, end, frames }: Chunk): number {
  return end - start - frames * FRAME_HEADER_BYTES;
}

/** Turns framed pieces of `stream` into bare payload: they wait, or cannot be sent whole. */
export function unframe(stream: Stream): void {
  let before: Chunk | null = null;
  for (let chunk = stream.firstChunk; chunk !== null; chunk = chunk.next) {
    if (chunk.frames > 0) chunk = split(stream, before, chunk);
    before = chunk;
  }
}

/**
 * Replaces a framed piece by one piece for each of its frames, whose lengths are read from the headers between them; returns
 * the last one.
 */
function split(stream: Stream, before: Chunk | null, framed: Chunk): Chunk {
  const { buffer, end, next } = framed;
  let last = before;
  for (let at = framed.start; at < end; ) {
    const from = at + FRAME_HEADER_BYTES;
    at = from + lengthAt(buffer, at);
    const piece = new Chunk(buffer, from, at);
    if (last === null) stream.firstChunk = piece;
    else last.next = piece;
    last = piece;
  }
  last!.next = next;
  if (next === null) stream.lastChunk = last;
  return last!;
}
