import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { onResponseEnd } from './response-end.js';

export interface ReadLimitOptions {
  readonly limitMs: number;
  /** Milliseconds of a clock that only goes on. */
  readonly now: () => number;
  /** Calls `fn` again and again, until the returned function is called. */
  readonly every: (ms: number, fn: () => void) => () => void;
}

/** Looks in the time of the limit: so much later at most a client is taken for gone. */
const LOOKS = 12;

/** A connection with a response that is not over. */
interface Watched {
  /** Responses, those that wait behind another one included. */
  open: number;
  /** What had been written when that was last asked, bytes, and when. */
  writtenBytes: number;
  askedMs: number;
}

/**
 * Ends the connections of clients that do not read: what was written is unsent a `limitMs` later. Node has no such limit. A response that is
 * written whole would stay open for ever, and so would those that its client has pipelined behind it.
 */
export class ReadLimit {
  private readonly watched = new Map<Socket, Watched>();
  private stop: (() => void) | null = null;

  constructor(private readonly options: ReadLimitOptions) {}

  /** Watches the connection of a response until that is over. */
  watch(response: ServerResponse): void {
    const { socket } = response.req;
    if (socket.destroyed) return;
    const { limitMs, every, now } = this.options;
    const watched = this.watched.get(socket) ?? {
      open: 0,
      writtenBytes: socket.bytesWritten,
      askedMs: now(),
    };
    watched.open++;
    this.watched.set(socket, watched);
    this.stop ??= every(limitMs / LOOKS, () => this.look());
    onResponseEnd(response, () => {
      if (--watched.open === 0) this.leave(socket);
    });
  }

  private leave(socket: Socket): void {
    this.watched.delete(socket);
    if (this.watched.size > 0) return;
    this.stop?.();
    this.stop = null;
  }

  private look(): void {
    const nowMs = this.options.now();
    for (const [socket, watched] of [...this.watched]) {
      const { bytesWritten, writableLength } = socket;
      if (writableLength === 0 || bytesWritten - writableLength >= watched.writtenBytes) {
        watched.writtenBytes = bytesWritten;
        watched.askedMs = nowMs;
      } else if (nowMs - watched.askedMs >= this.options.limitMs) socket.destroy();
    }
  }
}

/** With timers that keep no process alive. */
export const every: ReadLimitOptions['every'] = (ms, fn) => {
  const timer = setInterval(fn, ms).unref();
  return () => clearInterval(timer);
};
