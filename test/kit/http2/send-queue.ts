/**
 * The sending half of flow control for raw peers (RFC 9113 section 5.2): frames of a stream go out in order, DATA only
 * as far as both windows reach. Tests that want to overrun a window write to the peer directly instead.
 */

import { Flag, type Frame, FrameType, frame, Setting, settingsOf } from './h2-frames.js';

interface Queued {
  readonly bytes: Buffer;
  /** Written right after `bytes`: the payload of a frame whose header stands alone, so that many frames can share it. */
  readonly payload: Buffer | undefined;
  /** Bytes it takes from the windows: the payload of DATA with its padding, else 0. */
  readonly cost: number;
}

interface Outgoing {
  window: number;
  readonly frames: Queued[];
  /** Index of the next frame: taking from the front of a long array is slow. */
  next: number;
}

const DEFAULT_WINDOW = 65_535;
const SHARED_FRAME = 16_384;

export class SendQueue {
  #connection = DEFAULT_WINDOW;
  #initial = DEFAULT_WINDOW;
  readonly #streams = new Map<number, Outgoing>();
  /** Streams whose END_STREAM has been written. */
  readonly ended = new Set<number>();

  constructor(private readonly write: (bytes: Buffer) => void) {}

  /** Queues whole frames of one stream. */
  push(streamId: number, frames: readonly Buffer[]): void {
    const stream = this.#stream(streamId);
    for (const bytes of frames) {
      const cost = bytes[3] === FrameType.data ? bytes.length - 9 : 0;
      stream.frames.push({ bytes, payload: undefined, cost });
    }
    this.#flush(streamId, stream);
  }

  /** Queues `content` as DATA frames of at most 16 KiB that refer to it instead of copying it. */
  pushShared(streamId: number, content: Buffer): void {
    const stream = this.#stream(streamId);
    for (let at = 0; at < content.length; at += SHARED_FRAME) {
      const payload = content.subarray(at, at + SHARED_FRAME);
      const bytes = frame(FrameType.data, 0, streamId, undefined, payload.length);
      stream.frames.push({ bytes, payload, cost: payload.length });
    }
    this.#flush(streamId, stream);
  }

  /** Takes note of what the peer said about windows and streams. */
  notice(received: Frame): void {
    if (received.type === FrameType.windowUpdate && received.streamId !== 0) {
      const stream = this.#stream(received.streamId);
      stream.window += received.payload.readUInt32BE(0);
      this.#flush(received.streamId, stream);
      return;
    }
    if (received.type === FrameType.windowUpdate) {
      this.#connection += received.payload.readUInt32BE(0);
    } else if (received.type === FrameType.settings && !(received.flags & Flag.ack)) {
      const initial = settingsOf(received).get(Setting.initialWindowSize) ?? this.#initial;
      for (const stream of this.#streams.values()) stream.window += initial - this.#initial;
      this.#initial = initial;
    } else if (received.type === FrameType.rstStream) {
      this.#streams.delete(received.streamId);
    } else {
      return;
    }
    for (const [streamId, stream] of this.#streams) this.#flush(streamId, stream);
  }

  #stream(streamId: number): Outgoing {
    const known = this.#streams.get(streamId);
    if (known !== undefined) return known;
    const fresh: Outgoing = { window: this.#initial, frames: [], next: 0 };
    this.#streams.set(streamId, fresh);
    return fresh;
  }

  #flush(streamId: number, stream: Outgoing): void {
    const out: Buffer[] = [];
    for (let next = stream.frames[stream.next]; next !== undefined; next = stream.frames[stream.next]) {
      if (next.cost > Math.min(stream.window, this.#connection)) break;
      stream.window -= next.cost;
      this.#connection -= next.cost;
      out.push(next.bytes);
      if (next.payload !== undefined) out.push(next.payload);
      stream.next += 1;
      const ended = ((next.bytes[4] ?? 0) & Flag.endStream) !== 0 && next.bytes[3] !== FrameType.windowUpdate;
      if (!ended) continue;
      this.#streams.delete(streamId);
      this.ended.add(streamId);
    }
    if (out.length > 0) this.write(Buffer.concat(out));
  }
}
