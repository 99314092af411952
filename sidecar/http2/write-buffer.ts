import { FRAME_HEADER_BYTES } from './constants.js';
import { type OwnedBuffer, ownBuffer } from './owned-buffer.js';

const SLAB_BYTES = 64 * 1024;
/** Payload of this size or more goes by reference, bytes: below, packing is cheaper than another part of a writev. */
const BY_REFERENCE = 4096;
/** Up to this size a loop over words is faster than `Buffer.copy`, which makes a view first. */
const LOOP_COPY_BYTES = 512;

/** The present slab; shared by all connections of the process, which flush one after another. */
let slab = ownBuffer(Buffer.allocUnsafeSlow(SLAB_BYTES));
let slabView = viewOf(slab);
let slabAt = 0;
let isSlabFree = false;
let isSlabPinned = false;

/** The buffer that small pieces were last copied from: many pieces in a row come from the same read. */
let sourceBuffer: Buffer = slab;
let sourceView = slabView;

function viewOf(buffer: Buffer): DataView {
  return new DataView(buffer.buffer, buffer.byteOffset, buffer.byteLength);
}

function copySmall(source: Buffer, start: number, n: number, at: number): void {
  if (source !== sourceBuffer) {
    sourceBuffer = source;
    sourceView = viewOf(source);
  }
  const words = n & ~3;
  for (let i = 0; i < words; i += 4) slabView.setInt32(at + i, sourceView.getInt32(start + i, true), true);
  for (let i = words; i < n; i++) slab[at + i] = source[start + i]!;
}

/**
 * Bytes on their way to a socket. Small pieces are packed side by side into slabs; large payloads go by reference. What was
 * handed to a socket stays valid without copying: a slab is reused only when every socket has reported that the kernel
 * has taken its bytes (`settle`).
 */
export class Output {
  /** Finished parts in order; the part being packed is `slab[from, slabAt)`. */
  parts: Buffer[] = [];
  bytes = 0;
  /** The last of the finished parts is no slab: it stays as it is however late it is read. */
  endsByReference = false;
  private from = 0;
  /** The last part, where it goes by reference, is `[lastStart, lastEnd)` of this; null: it does not. */
  private lastSource: Buffer | null = null;
  private lastStart = 0;
  private lastEnd = 0;

  /** Begins a new write. */
  begin(): void {
    if (isSlabFree) slabAt = 0;
    isSlabFree = false;
    this.parts = [];
    this.bytes = 0;
    this.from = slabAt;
    this.lastSource = null;
  }

  /** Makes room for `n` contiguous bytes: then write to `buffer` from `at` and call `advance`. */
  reserve(n: number): void {
    if (slabAt + n <= slab.length) return;
    this.seal();
    slab = ownBuffer(Buffer.allocUnsafeSlow(Math.max(SLAB_BYTES, n)));
    // Parts of the old one may still belong to this flush.
    isSlabPinned = false;
    slabView = viewOf(slab);
    slabAt = 0;
    this.from = 0;
  }

  get buffer(): OwnedBuffer {
    return slab;
  }

  get at(): number {
    return slabAt;
  }

  advance(to: number): void {
    this.bytes += to - slabAt;
    slabAt = to;
  }

  frameHeader(length: number, type: number, flags: number, streamId: number): void {
    this.reserve(FRAME_HEADER_BYTES);
    const at = slabAt;
    putFrameHeader(slab, at, length, type, flags, streamId);
    this.advance(at + FRAME_HEADER_BYTES);
  }

  /** Appends `source[start, end)`: copied when small, by reference when large. */
  payload(source: Buffer, start: number, end: number): void {
    const n = end - start;
    if (n >= BY_REFERENCE) {
      this.seal();
      if (source === this.lastSource && start === this.lastEnd) this.parts.pop();
      else this.lastStart = start;
      this.lastSource = source;
      this.lastEnd = end;
      this.parts.push(source.subarray(this.lastStart, end));
      this.bytes += n;
      return;
    }
    this.reserve(n);
    const at = slabAt;
    if (n <= LOOP_COPY_BYTES) copySmall(source, start, n, at);
    else source.copy(slab, at, start, end);
    this.advance(at + n);
  }

  /**
   * Reports whether the kernel has copied the parts, so that the slab can be reused. A slab that is still referenced once is
   * filled up and left to the garbage collector.
   */
  settle(isWritten: boolean): void {
    if (!isWritten) isSlabPinned = true;
    isSlabFree = !isSlabPinned;
  }

  /** The parts of this write, in order. */
  finish(): Buffer[] {
    this.endsByReference = slabAt === this.from && this.lastSource !== null;
    this.seal();
    this.lastSource = null;
    return this.parts;
  }

  private seal(): void {
    if (slabAt === this.from) return;
    this.parts.push(slab.subarray(this.from, slabAt));
    this.from = slabAt;
    this.lastSource = null;
  }
}

/** Writes a frame header (RFC 9113 section 4.1) of 9 bytes. */
export function putFrameHeader(
  target: OwnedBuffer,
  at: number,
  length: number,
  type: number,
  flags: number,
  streamId: number,
): void {
  target[at] = length >>> 16;
  target[at + 1] = length >>> 8;
  target[at + 2] = length;
  target[at + 3] = type;
  target[at + 4] = flags;
  target[at + 5] = streamId >>> 24;
  target[at + 6] = streamId >>> 16;
  target[at + 7] = streamId >>> 8;
  target[at + 8] = streamId;
}

/** Control frames, in a small growing buffer of their own; they are written before anything else. */
export class ControlQueue {
  private buffer = ownBuffer(Buffer.allocUnsafe(256));
  length = 0;

  frame(type: number, flags: number, streamId: number, payload: Buffer | null): void {
    const n = payload === null ? 0 : payload.length;
    this.room(FRAME_HEADER_BYTES + n);
    putFrameHeader(this.buffer, this.length, n, type, flags, streamId);
    this.length += FRAME_HEADER_BYTES;
    if (payload !== null) {
      payload.copy(this.buffer, this.length);
      this.length += n;
    }
  }

  /** A frame whose payload is one 32-bit number: WINDOW_UPDATE and RST_STREAM. */
  word(type: number, streamId: number, value: number): void {
    this.room(FRAME_HEADER_BYTES + 4);
    putFrameHeader(this.buffer, this.length, 4, type, 0, streamId);
    this.buffer.writeUInt32BE(value >>> 0, this.length + FRAME_HEADER_BYTES);
    this.length += FRAME_HEADER_BYTES + 4;
  }

  /** Bytes as they are: the client's preface. */
  raw(bytes: Buffer): void {
    this.room(bytes.length);
    bytes.copy(this.buffer, this.length);
    this.length += bytes.length;
  }

  /** Moves everything to `output`. */
  drainTo(output: Output): void {
    output.reserve(this.length);
    const at = output.at;
    this.buffer.copy(output.buffer, at, 0, this.length);
    output.advance(at + this.length);
    this.length = 0;
    if (this.buffer.length > 4096) this.buffer = ownBuffer(Buffer.allocUnsafe(256));
  }

  /** Grows the buffer to hold `n` more bytes. */
  private room(n: number): void {
    if (this.length + n <= this.buffer.length) return;
    const grown = ownBuffer(Buffer.allocUnsafe(Math.max(this.buffer.length * 2, this.length + n)));
    this.buffer.copy(grown, 0, 0, this.length);
    this.buffer = grown;
  }
}
