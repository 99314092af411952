import { FRAME_HEADER_BYTES, FrameType } from '../constants.js';
import { joinProgram, MOST_BYTES, OUTPUT_AT, SMALL_FRAME_BYTES } from './join-program.js';

/** With fewer octets than this in a read there are too few frames to join. */
const LEAST_BYTES = 512;

/** WebAssembly as far as this needs it; the types of Node declare none of it. */
declare const WebAssembly: {
  readonly Module: new (code: Uint8Array) => object;
  readonly Instance: new (
    module: object,
  ) => { readonly exports: { run(end: number): number; readonly memory: { readonly buffer: ArrayBuffer } } };
};

interface Joiner {
  readonly memory: Buffer;
  run(end: number): number;
}

let joiner: Joiner | null | undefined;

/** Null: this Node runs no WebAssembly (`--jitless`), or has no memory for it; frames are then taken one by one. */
function load(): Joiner | null {
  try {
    const { run, memory } = new WebAssembly.Instance(new WebAssembly.Module(joinProgram())).exports;
    return { memory: Buffer.from(memory.buffer), run };
  } catch {
    return null;
  }
}

/** Octets up to the end of the small DATA frame without flags that begins at `at`; 0: there is none, or not all of it. */
function smallFrame(chunk: Buffer, at: number, end: number): number {
  if (end - at <= FRAME_HEADER_BYTES || chunk[at + 3]! !== FrameType.data || chunk[at + 4]! !== 0) return 0;
  const length = (chunk[at]! << 16) | (chunk[at + 1]! << 8) | chunk[at + 2]!;
  const bytes = FRAME_HEADER_BYTES + length;
  return length === 0 || length > SMALL_FRAME_BYTES || bytes > end - at ? 0 : bytes;
}

/** Whether the frames that begin at `a` and `b` are of the same stream, the reserved bit aside. */
function isSameStream(chunk: Buffer, a: number, b: number): boolean {
  return (
    chunk[a + 8]! === chunk[b + 8]! &&
    chunk[a + 7]! === chunk[b + 7]! &&
    chunk[a + 6]! === chunk[b + 6]! &&
    ((chunk[a + 5]! ^ chunk[b + 5]!) & 0x7f) === 0
  );
}

/**
 * Joins small DATA frames in `chunk[at, end)`, in place: of frames that follow each other, those of one stream become one of up
 * to 16 KiB, as RFC 9113 leaves it to the sender how payload is cut into frames. Frames of other kinds, with flags or without
 * payload stay as they are and where they are in the order; none passes another one of its stream. What costs a frame, costs a
 * stream then, and the payload is sent on from where it lies.
 * @param at where the header of a frame begins.
 * @returns the new end; −1: the frame there is not one of several small ones, and nothing has changed.
 */
export function joinFrames(chunk: Buffer, at: number, end: number): number {
  const bytes = end - at;
  if (bytes < LEAST_BYTES || bytes > MOST_BYTES) return -1;
  // Two frames are not worth it yet: three are there, two of them of one stream, and where the next ones are as large there are more.
  const first = smallFrame(chunk, at, end);
  if (first === 0 || first > bytes >>> 2) return -1;
  const second = smallFrame(chunk, at + first, end);
  if (second === 0 || smallFrame(chunk, at + first + second, end) === 0) return -1;
  if (!isSameStream(chunk, at, at + first) && !isSameStream(chunk, at, at + first + second)) return -1;
  if (joiner === undefined) joiner = load();
  if (joiner === null) return -1;
  chunk.copy(joiner.memory, 0, at, end);
  const to = joiner.run(bytes);
  joiner.memory.copy(chunk, at, OUTPUT_AT, to);
  return at + to - OUTPUT_AT;
}
