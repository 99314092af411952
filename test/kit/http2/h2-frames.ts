/**
 * Raw HTTP/2 frames for tests: writes any frame, right or wrong, and reads what a peer answers.
 *
 * Independent of the product's engine, so that a shared misreading of RFC 9113 cannot hide: it shares the numbers of the
 * RFC only, which `test/unit/http2/constants.test.ts` compares with those of nghttp2.
 * Nothing here validates: a test that wants a broken frame must be able to write one.
 */

import { ErrorCode, Flag, FrameType } from '../../../sidecar/http2/constants.js';

export { ErrorCode, Flag, FrameType, PREFACE, Setting } from '../../../sidecar/http2/constants.js';

export interface Frame {
  readonly type: number;
  readonly flags: number;
  readonly streamId: number;
  readonly payload: Buffer;
}

/** One frame. `length` overrides the length field, for frames that lie about their size. */
export function frame(
  type: number,
  flags: number,
  streamId: number,
  payload: Uint8Array = Buffer.alloc(0),
  length: number = payload.length,
): Buffer {
  const head = Buffer.from([0, 0, 0, type, flags, 0, 0, 0, 0]);
  head.writeUIntBE(length, 0, 3);
  head.writeUInt32BE(streamId >>> 0, 5);
  return Buffer.concat([head, payload]);
}

export function settings(values: readonly (readonly [id: number, value: number])[] = []): Buffer {
  const payload = Buffer.allocUnsafe(values.length * 6);
  values.forEach(([id, value], i) => {
    payload.writeUInt16BE(id, i * 6);
    payload.writeUInt32BE(value >>> 0, i * 6 + 2);
  });
  return frame(FrameType.settings, 0, 0, payload);
}

export const settingsAck = (): Buffer => frame(FrameType.settings, Flag.ack, 0);

export function headers(streamId: number, block: Uint8Array, flags: number = Flag.endHeaders): Buffer {
  return frame(FrameType.headers, flags, streamId, block);
}

export function continuation(streamId: number, block: Uint8Array, flags = 0): Buffer {
  return frame(FrameType.continuation, flags, streamId, block);
}

export function data(streamId: number, payload: Uint8Array, flags = 0): Buffer {
  return frame(FrameType.data, flags, streamId, payload);
}

/** DATA with `padding` bytes (0–255) after the payload; the pad length byte itself comes on top. */
export function paddedData(streamId: number, payload: Uint8Array, padding: number, flags = 0): Buffer {
  const body = Buffer.alloc(1 + payload.length + padding);
  body[0] = padding;
  body.set(payload, 1);
  return frame(FrameType.data, flags | Flag.padded, streamId, body);
}

const uint32 = (value: number): Buffer => {
  const out = Buffer.allocUnsafe(4);
  out.writeUInt32BE(value >>> 0);
  return out;
};

export const rstStream = (streamId: number, code: number = ErrorCode.cancel): Buffer =>
  frame(FrameType.rstStream, 0, streamId, uint32(code));

export const windowUpdate = (streamId: number, increment: number): Buffer =>
  frame(FrameType.windowUpdate, 0, streamId, uint32(increment));

export function goaway(lastStreamId: number, code: number = ErrorCode.noError, debug = ''): Buffer {
  const payload = Buffer.concat([uint32(lastStreamId), uint32(code), Buffer.from(debug)]);
  return frame(FrameType.goaway, 0, 0, payload);
}

export function ping(opaque: Uint8Array = Buffer.alloc(8), flags = 0): Buffer {
  return frame(FrameType.ping, flags, 0, opaque);
}

/** PRIORITY; `dependsOn` equal to the stream itself is the self-dependency that RFC 7540 forbade. */
export function priority(streamId: number, dependsOn = 0, weight = 15): Buffer {
  return frame(FrameType.priority, 0, streamId, Buffer.concat([uint32(dependsOn), Buffer.from([weight])]));
}

export function pushPromise(streamId: number, promised: number, block: Uint8Array): Buffer {
  return frame(FrameType.pushPromise, Flag.endHeaders, streamId, Buffer.concat([uint32(promised), block]));
}

/** A gRPC message: one flag byte, a four-byte length, the body. `length` overrides the prefix. */
export function grpcMessage(body: Uint8Array, length: number = body.length, compressed = 0): Buffer {
  return Buffer.concat([Buffer.from([compressed]), uint32(length), Buffer.from(body)]);
}

export function errorCodeOf(frame: Frame): number {
  return frame.payload.readUInt32BE(frame.type === FrameType.goaway ? 4 : 0);
}

/** The settings carried by one SETTINGS frame. */
export function settingsOf(frame: Frame): Map<number, number> {
  const values = new Map<number, number>();
  for (let at = 0; at + 6 <= frame.payload.length; at += 6) {
    values.set(frame.payload.readUInt16BE(at), frame.payload.readUInt32BE(at + 2));
  }
  return values;
}

/** DATA or HEADERS payload without padding and priority fields. */
export function contentOf(frame: Frame): Buffer {
  let start = 0;
  let end = frame.payload.length;
  if (frame.flags & Flag.padded) {
    end -= frame.payload[0] ?? 0;
    start = 1;
  }
  if (frame.type === FrameType.headers && frame.flags & Flag.priority) start += 5;
  return frame.payload.subarray(start, end);
}

/** The frame that begins at `at`, as a part of `bytes`; null: it is not whole. */
export function frameAt(bytes: Buffer, at: number): Frame | null {
  const start = at + 9;
  const end = bytes.length < start ? Number.POSITIVE_INFINITY : start + bytes.readUIntBE(at, 3);
  if (bytes.length < end) return null;
  const streamId = bytes.readUInt32BE(at + 5) & 0x7fffffff;
  return { type: bytes[at + 3]!, flags: bytes[at + 4]!, streamId, payload: bytes.subarray(start, end) };
}

/** Cuts a byte stream into frames; `push` may be given any split of it. */
export class FrameReader {
  #parts: Buffer[] = [];
  #size = 0;
  /** Bytes without which no frame can be whole. */
  #wanted = 9;

  /** `skip`: bytes to drop first, e.g. the client's preface. */
  constructor(private skip = 0) {}

  push(chunk: Buffer): Frame[] {
    const dropped = Math.min(this.skip, chunk.length);
    this.skip -= dropped;
    this.#parts.push(chunk.subarray(dropped));
    this.#size += chunk.length - dropped;
    if (this.#size < this.#wanted) return [];
    const bytes = this.#parts.length === 1 ? this.#parts[0]! : Buffer.concat(this.#parts);
    const frames: Frame[] = [];
    let at = 0;
    for (let next = frameAt(bytes, at); next !== null; next = frameAt(bytes, at)) {
      frames.push({ ...next, payload: Buffer.from(next.payload) });
      at += 9 + next.payload.length;
    }
    const rest = Buffer.from(bytes.subarray(at));
    this.#parts = [rest];
    this.#size = rest.length;
    this.#wanted = rest.length < 9 ? 9 : 9 + rest.readUIntBE(0, 3);
    return frames;
  }
}
