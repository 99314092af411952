/** Sends the bodies of one connection within both windows, in pieces per turn of the event loop, with trailers. */

import { Flag, FrameType } from '../../../sidecar/http2/constants.js';
import type { Outbox } from './outbox.js';

/** What every peer takes (RFC 9113 section 6.5.2), and what h2load and the gRPC libraries send. */
const MAX_FRAME = 16384;
/** Nothing more is sent while this much waits in the socket. */
const MAX_UNSENT_BYTES = 512 * 1024;

/** The body that every request has. */
export interface BodyOptions {
  /** Length of each DATA frame; 0 = the longest that every peer takes. */
  readonly frameBytes: number;
  /** Frames sent per turn of the event loop. */
  readonly burst: number;
  /** Header block sent after the body; without it the last DATA frame ends the stream. */
  readonly trailers: Buffer | null;
}

interface Body extends BodyOptions {
  readonly id: number;
  readonly bytes: Buffer;
  at: number;
  window: number;
}

/** Writes request bodies as far as the windows of the peer allow (RFC 9113 section 5.2). */
export class BodySender {
  private window = 65535;
  private streamWindow = 65535;
  private readonly bodies = new Map<number, Body>();
  private queued = false;

  constructor(private readonly out: Outbox) {
    out.socket.on('drain', () => this.resume());
  }

  /** A body in one frame at once, when frame length and windows allow it; else as they do. */
  sendWhole(id: number, bytes: Buffer, trailers: Buffer | null): void {
    if (bytes.length > Math.min(MAX_FRAME, this.window, this.streamWindow) || this.bodies.size > 0) {
      this.send(id, bytes, { frameBytes: 0, burst: Number.POSITIVE_INFINITY, trailers });
      return;
    }
    this.window -= bytes.length;
    this.out.frameHead(bytes.length, FrameType.data, trailers === null ? Flag.endStream : 0, id);
    this.out.copy(bytes, 0, bytes.length);
    if (trailers !== null) this.out.headers(id, trailers, true);
  }

  /** One small frame of a stream that stays below every window of its own. */
  sendFrame(id: number, bytes: Buffer): void {
    this.window -= bytes.length;
    this.out.frameHead(bytes.length, FrameType.data, 0, id);
    this.out.copy(bytes, 0, bytes.length);
  }

  send(id: number, bytes: Buffer, options: BodyOptions): void {
    this.bodies.set(id, { ...options, id, bytes, at: 0, window: this.streamWindow });
    this.pump();
  }

  forget(id: number): void {
    if (this.bodies.size > 0) this.bodies.delete(id);
  }

  setStreamWindow(bytes: number): void {
    for (const body of this.bodies.values()) body.window += bytes - this.streamWindow;
    this.streamWindow = bytes;
    this.pump();
  }

  credit(id: number, bytes: number): void {
    const body = id === 0 ? undefined : this.bodies.get(id);
    if (id === 0) this.window += bytes;
    else if (body !== undefined) body.window += bytes;
    this.pump();
  }

  private pump(): void {
    let later = false;
    for (const body of this.bodies.values()) {
      if (this.out.socket.writableLength > MAX_UNSENT_BYTES) return;
      // Of thousands that wait for the connection's window, none is looked at in vain.
      if (this.window <= 0) break;
      if (this.pumpBody(body)) later = true;
    }
    if (!later || this.queued) return;
    this.queued = true;
    setImmediate(() => {
      this.queued = false;
      this.resume();
    });
  }

  private resume(): void {
    this.pump();
    this.out.flush();
  }

  /** Returns whether the body can go on as soon as the next turn comes. */
  private pumpBody(body: Body): boolean {
    const longest = body.frameBytes === 0 ? MAX_FRAME : Math.min(body.frameBytes, MAX_FRAME);
    for (let sent = 0; sent < body.burst; sent++) {
      const n = Math.min(longest, body.bytes.length - body.at, this.window, body.window);
      if (n <= 0 || this.out.socket.writableLength > MAX_UNSENT_BYTES) return false;
      this.window -= n;
      body.window -= n;
      const ends = body.at + n === body.bytes.length;
      this.out.frameHead(n, FrameType.data, ends && body.trailers === null ? Flag.endStream : 0, body.id);
      this.out.copy(body.bytes, body.at, body.at + n);
      body.at += n;
      if (!ends) continue;
      if (body.trailers !== null) this.out.headers(body.id, body.trailers, true);
      this.bodies.delete(body.id);
      return false;
    }
    return true;
  }
}
