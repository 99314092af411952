import { ConnectionError, DEFAULT_MAX_FRAME, ErrorCode, Flag, FrameType } from './constants.js';
import { type OwnedBuffer, ownBuffer } from './owned-buffer.js';

/** Gets the frames. */
export interface FrameReceiver {
  /** A whole frame other than DATA; `buffer[start, end)` is its payload, valid during the call only. */
  onFrame(type: number, flags: number, streamId: number, buffer: Buffer, start: number, end: number): void;
  /** A DATA frame begins; `length` is its whole payload with padding, as flow control counts it. */
  onDataStart(flags: number, streamId: number, length: number): void;
  /**
   * Several whole DATA frames of one stream without flags, `length` bytes of payload in all. True: received like one frame,
   * whose bytes follow; false: the frames come one by one.
   */
  onDataRun(streamId: number, length: number): boolean;
  /** Bytes of that frame; `last` with the final ones, which may be none. The receiver owns `buffer`. */
  onDataBytes(buffer: OwnedBuffer, start: number, end: number, last: boolean): void;
  /** A frame above our MAX_FRAME_SIZE. */
  onOversize(type: number, streamId: number, length: number): void;
}

enum Phase {
  header,
  payload,
  padLength,
  data,
  padding,
}

/** As good as no limit; a small integer, so that it is counted down fast. */
const NO_LIMIT = 0x3fffffff;

/** DATA frames up to this size are joined; the payload of larger ones is passed on where it lies, bytes. */
const RUN_FRAME_BYTES = 1024;
/** Payload of a run at most, bytes: as much as one frame has, so that what it costs its receiver counts before the next one. */
const RUN_BYTES = DEFAULT_MAX_FRAME;

/** Payload length of the DATA frame at `at` when it continues a run of `id`, else 0. */
function runLength(chunk: Buffer, at: number, end: number, id: number): number {
  if (end - at < 9 || chunk[at]! !== 0 || chunk[at + 3]! !== FrameType.data || chunk[at + 4]! !== 0) return 0;
  const length = (chunk[at + 1]! << 8) | chunk[at + 2]!;
  if (length > RUN_FRAME_BYTES || end - at - 9 < length) return 0;
  const same =
    chunk[at + 8]! === (id & 0xff) &&
    chunk[at + 7]! === ((id >>> 8) & 0xff) &&
    chunk[at + 6]! === ((id >>> 16) & 0xff) &&
    (chunk[at + 5]! & 0x7f) === id >>> 24;
  return same ? length : 0;
}

/** From this size on `copyWithin` is faster than a loop over words, bytes. */
const LOOP_MOVE_BYTES = 96;

/** Moves `n` bytes from `from` down to `to`, front first, so the ranges may overlap. */
function moveDown(chunk: OwnedBuffer, view: DataView, to: number, from: number, n: number): void {
  if (n >= LOOP_MOVE_BYTES) {
    chunk.copyWithin(to, from, from + n);
    return;
  }
  const words = n & ~3;
  for (let i = 0; i < words; i += 4) view.setInt32(to + i, view.getInt32(from + i, true), true);
  for (let i = words; i < n; i++) chunk[to + i] = chunk[from + i]!;
}

/**
 * Splits bytes into frames (RFC 9113 section 4.1), wherever chunks begin and end. DATA is passed on as it arrives, without
 * its padding, so that a large frame is never assembled; other frames are passed on whole.
 */
export class FrameReader {
  /** Stops in the middle of a chunk: the connection is over. */
  stopped = false;
  private phase: Phase = Phase.header;
  private readonly head = ownBuffer(Buffer.alloc(9));
  private headHave = 0;
  private type = 0;
  private flags = 0;
  private streamId = 0;
  private payload: Buffer | null = null;
  private payloadHave = 0;
  /** Bytes of DATA and of padding that are missing. */
  private remaining = 0;
  private padding = 0;
  /** Where a run ends, in the chunk being read, that the receiver has refused: its frames come one by one. */
  private refusedTo = 0;
  /** Frames that may still be read: at 0, `read` stops before the next one. */
  framesLeft = NO_LIMIT;

  constructor(
    private readonly receiver: FrameReceiver,
    private readonly maxFrame: number = DEFAULT_MAX_FRAME,
  ) {}

  /** Frames other than DATA of which a read contained the begin only; counted. */
  partialFrames = 0;

  /** Whether a frame is incomplete. */
  get isMidFrame(): boolean {
    return this.phase !== Phase.header || this.headHave > 0;
  }

  /** Bytes that the incomplete frame lacks, or its header; 0 between frames. */
  get missingBytes(): number {
    if (this.phase === Phase.payload) return this.payload!.length - this.payloadHave;
    if (this.phase === Phase.header) return this.headHave > 0 ? 9 - this.headHave : 0;
    return this.remaining + this.padding;
  }

  /** Whether a frame other than DATA is incomplete. */
  get isMidNonDataFrame(): boolean {
    return this.phase === Phase.payload || this.headHave > 0;
  }

  /**
   * Reads `chunk[from, end)`. Takes these bytes over: they may be rearranged, and payload is passed on as slices of them.
   * @returns `end`; less when `framesLeft` is used up: the frame that begins there is still to be read.
   */
  read(chunk: OwnedBuffer, from: number, end: number): number {
    let at = from;
    this.refusedTo = 0;
    while (at < end) {
      if (this.stopped) return end;
      switch (this.phase) {
        case Phase.header:
          if (this.framesLeft <= 0 && this.headHave === 0) return at;
          at = this.readHeader(chunk, at, end);
          break;
        case Phase.data:
          at = this.readData(chunk, at, end);
          break;
        case Phase.payload:
          at = this.readPayload(chunk, at, end);
          break;
        case Phase.padLength:
          this.setPadding(chunk[at]!);
          at++;
          break;
        case Phase.padding: {
          const n = Math.min(this.padding, end - at);
          this.padding -= n;
          at += n;
          if (this.padding === 0) this.phase = Phase.header;
          break;
        }
      }
    }
    return end;
  }

  private readHeader(chunk: OwnedBuffer, at: number, end: number): number {
    let source = chunk;
    let p = at;
    if (this.headHave > 0 || end - at < 9) {
      const n = Math.min(9 - this.headHave, end - at);
      if (this.headHave === 0) this.partialFrames++;
      chunk.copy(this.head, this.headHave, at, at + n);
      this.headHave += n;
      if (this.headHave < 9) return at + n;
      this.headHave = 0;
      source = this.head;
      p = 0;
      at += n;
    } else {
      at += 9;
    }
    this.framesLeft--;
    const length = (source[p]! << 16) | (source[p + 1]! << 8) | source[p + 2]!;
    const type = source[p + 3]!;
    const flags = source[p + 4]!;
    // The reserved bit is ignored on receipt (RFC 9113 section 4.1).
    const id =
      ((source[p + 5]! & 0x7f) << 24) | (source[p + 6]! << 16) | (source[p + 7]! << 8) | source[p + 8]!;
    if (length > this.maxFrame) {
      this.receiver.onOversize(type, id, length);
      return end;
    }
    if (type === FrameType.data) {
      if (flags === 0 && length <= RUN_FRAME_BYTES && source === chunk && at >= this.refusedTo) {
        const runEnd = this.takeRun(chunk, at, end, id, length);
        if (runEnd > 0) return runEnd;
      }
      this.startData(flags, id, length);
      return at;
    }
    if (end - at >= length) {
      this.receiver.onFrame(type, flags, id, chunk, at, at + length);
      return at + length;
    }
    this.type = type;
    this.flags = flags;
    this.streamId = id;
    this.payload = Buffer.allocUnsafe(length);
    this.payloadHave = 0;
    this.phase = Phase.payload;
    this.partialFrames++;
    return at;
  }

  /**
   * Passes on consecutive small DATA frames of one stream as one: their payloads are moved together in place, over the frame
   * headers between them. Returns the end of the run; 0 when there is none. A run is looked through once, taken or refused, so
   * that the work is in proportion to the frames.
   */
  private takeRun(chunk: OwnedBuffer, at: number, end: number, id: number, length: number): number {
    if (length === 0) return 0;
    let total = length;
    let to = at + length;
    let left = this.framesLeft;
    for (let next = 0; left > 0; left--) {
      next = runLength(chunk, to, end, id);
      if (next === 0 || total + next > RUN_BYTES) break;
      total += next;
      to += 9 + next;
    }
    if (total === length) return 0;
    if (!this.receiver.onDataRun(id, total)) {
      this.refusedTo = to;
      return 0;
    }
    this.framesLeft = left;
    const view = new DataView(chunk.buffer, chunk.byteOffset, chunk.byteLength);
    let target = at + length;
    for (let p = target; p < to; ) {
      const n = (chunk[p + 1]! << 8) | chunk[p + 2]!;
      moveDown(chunk, view, target, p + 9, n);
      target += n;
      p += 9 + n;
    }
    this.receiver.onDataBytes(chunk, at, target, true);
    return to;
  }

  private startData(flags: number, id: number, length: number): void {
    this.receiver.onDataStart(flags, id, length);
    this.remaining = length;
    this.padding = 0;
    if ((flags & Flag.padded) !== 0) {
      if (length === 0)
        throw new ConnectionError(ErrorCode.frameSizeError, 'padded DATA without a pad length');
      this.phase = Phase.padLength;
    } else if (length === 0) {
      this.receiver.onDataBytes(this.head, 0, 0, true);
    } else {
      this.phase = Phase.data;
    }
  }

  private setPadding(padding: number): void {
    this.remaining -= 1;
    if (padding > this.remaining) {
      throw new ConnectionError(ErrorCode.protocolError, 'padding as long as the DATA frame or longer');
    }
    this.padding = padding;
    this.remaining -= padding;
    if (this.remaining > 0) {
      this.phase = Phase.data;
      return;
    }
    this.phase = padding > 0 ? Phase.padding : Phase.header;
    this.receiver.onDataBytes(this.head, 0, 0, true);
  }

  private readData(chunk: OwnedBuffer, at: number, end: number): number {
    const n = Math.min(this.remaining, end - at);
    this.remaining -= n;
    const last = this.remaining === 0;
    if (last) this.phase = this.padding > 0 ? Phase.padding : Phase.header;
    this.receiver.onDataBytes(chunk, at, at + n, last);
    return at + n;
  }

  private readPayload(chunk: Buffer, at: number, end: number): number {
    const payload = this.payload!;
    const n = Math.min(payload.length - this.payloadHave, end - at);
    chunk.copy(payload, this.payloadHave, at, at + n);
    this.payloadHave += n;
    if (this.payloadHave === payload.length) {
      this.phase = Phase.header;
      this.payload = null;
      this.receiver.onFrame(this.type, this.flags, this.streamId, payload, 0, payload.length);
    }
    return at + n;
  }
}
