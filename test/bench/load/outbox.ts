/** Collects the frames of one connection and writes them in one go; the buffer is used again once it was written. */

import type { Socket } from 'node:net';
import { Flag, FrameType } from '../../../sidecar/http2/constants.js';

const BYTES = 128 * 1024;

/** Collects what a connection writes in one turn of the event loop. */
export class Outbox {
  buffer = Buffer.allocUnsafeSlow(BYTES);
  at = 0;

  constructor(readonly socket: Socket) {}

  /** Makes sure that `bytes` (far fewer than the whole buffer) fit at `at`. */
  reserve(bytes: number): void {
    if (this.at + bytes > BYTES) this.flush();
  }

  frameHead(length: number, type: number, flags: number, id: number): void {
    this.reserve(length + 9);
    this.uint32(length * 256 + type);
    this.buffer[this.at++] = flags;
    this.uint32(id);
  }

  headers(id: number, block: Buffer, endStream: boolean): void {
    this.frameHead(block.length, FrameType.headers, Flag.endHeaders | (endStream ? Flag.endStream : 0), id);
    for (let i = 0; i < block.length; i++) this.buffer[this.at++] = block[i]!;
  }

  raw(bytes: Buffer): void {
    this.reserve(bytes.length);
    this.copy(bytes, 0, bytes.length);
  }

  copy(from: Buffer, start: number, end: number): void {
    this.at += from.copy(this.buffer, this.at, start, end);
  }

  uint16(value: number): void {
    this.at = this.buffer.writeUInt16BE(value, this.at);
  }

  uint32(value: number): void {
    this.at = this.buffer.writeUInt32BE(value, this.at);
  }

  flush(): void {
    if (this.at === 0) return;
    const bytes = this.at;
    this.at = 0;
    this.socket.write(this.buffer.subarray(0, bytes));
    // Written whole at once: the buffer is free again. Else the socket keeps it.
    if (this.socket.writableLength > 0) this.buffer = Buffer.allocUnsafeSlow(BYTES);
  }
}
