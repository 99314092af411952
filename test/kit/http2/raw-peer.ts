/**
 * One raw HTTP/2 connection in a test's hands: bytes out as given, frames in as they come, bounded waits.
 *
 * For both roles, and for sockets in memory as well as real ones. Answers SETTINGS and PING by default, because most tests want a polite peer that misbehaves
 * in one way only; every reflex can be switched off.
 */

import type { EventEmitter } from 'node:events';
import type { Duplex } from 'node:stream';
import * as h2 from './h2-frames.js';
import { Flag, type Frame, FrameReader, FrameType, PREFACE } from './h2-frames.js';
import { type Field, HpackDecoder } from './hpack-lite.js';
import { SendQueue } from './send-queue.js';

export interface Received extends Frame {
  /** The decoded header block, on HEADERS and PUSH_PROMISE whose block is complete; set when the last part came. */
  fields?: Map<string, string>;
}

export interface Reflexes {
  /** Acknowledge the peer's SETTINGS. Default true. */
  readonly ackSettings?: boolean;
  /** Answer the peer's PINGs. Default true. */
  readonly ackPings?: boolean;
  /** Give back both windows as DATA arrives. Default true. */
  readonly replenish?: boolean;
  /** Keep what arrives for inspection. Default true; false for peers that see very many frames. */
  readonly keepFrames?: boolean;
}

export interface PeerReflexes extends Reflexes {
  readonly role: 'client' | 'server';
}

/** What a peer needs of its socket. */
interface PeerSocket extends EventEmitter {
  readonly destroyed: boolean;
  readonly writableEnded: boolean;
  write(bytes: Uint8Array): boolean;
  end(): unknown;
  destroy(): unknown;
}

interface Waiter {
  readonly wanted: (frame: Received) => boolean;
  readonly resolve: (frame: Received) => void;
  readonly reject: (error: Error) => void;
  readonly timer: NodeJS.Timeout;
}

/** Frames kept for inspection; floods beyond it are only counted. */
const KEPT_FRAMES = 20_000;

export class RawPeer<S extends PeerSocket = Duplex> {
  /** The first 20,000 frames that arrived, in order. */
  readonly frames: Received[] = [];
  /** Called for each frame after the reflexes. */
  onFrame: ((frame: Received) => void) | undefined;
  protected acksSettings: boolean;
  readonly #counts = new Map<number, number>();
  readonly #waiters = new Set<Waiter>();
  readonly #reader: FrameReader;
  readonly #hpack = new HpackDecoder();
  readonly #queue = new SendQueue((bytes) => void this.send(bytes));
  #open: { frame: Received; parts: Buffer[] } | undefined;
  #closed = false;
  /** Resolves when the socket has closed, however that happened. */
  readonly closed = new Promise<void>((resolve) => void this.socket.once('close', resolve));

  constructor(
    readonly socket: S,
    private readonly reflexes: PeerReflexes,
  ) {
    this.acksSettings = reflexes.ackSettings !== false;
    this.#reader = new FrameReader(reflexes.role === 'server' ? PREFACE.length : 0);
    socket.on('error', () => {});
    socket.on('data', (chunk: Buffer) => this.#receive(chunk));
    socket.on('close', () => this.#ended());
    socket.on('end', () => socket.end());
  }

  get isClosed(): boolean {
    return this.#closed;
  }

  count(type: number): number {
    return this.#counts.get(type) ?? 0;
  }

  /** Writes bytes as they are; false when the socket's buffer is full or it is gone. */
  send(...bytes: readonly Uint8Array[]): boolean {
    if (this.#closed || this.socket.destroyed || this.socket.writableEnded) return false;
    return this.socket.write(bytes.length === 1 ? (bytes[0] as Uint8Array) : Buffer.concat(bytes));
  }

  /** Whether the END_STREAM that was queued for this stream has been written. */
  hasEnded(streamId: number): boolean {
    return this.#queue.ended.has(streamId);
  }

  /** Queues whole frames of a stream; DATA waits for the peer's windows. */
  queue(streamId: number, ...frames: readonly Buffer[]): void {
    this.#queue.push(streamId, frames);
  }

  /** Queues DATA that refers to `content` instead of copying it. */
  queueShared(streamId: number, content: Buffer): void {
    this.#queue.pushShared(streamId, content);
  }

  /** Writes and waits until the kernel took it or the connection died: for floods that must respect backpressure. */
  async sendAll(bytes: Uint8Array): Promise<boolean> {
    if (this.send(bytes)) return true;
    if (this.#closed || this.socket.destroyed) return false;
    await Promise.race([new Promise<void>((resolve) => this.socket.once('drain', resolve)), this.closed]);
    return !this.#closed;
  }

  /** The first frame, past or future, that `wanted` accepts. Fails after `timeoutMs`, or at once if the peer hangs up. */
  waitFor(what: string, wanted: (frame: Received) => boolean, timeoutMs = 5000): Promise<Received> {
    const seen = this.frames.find(wanted);
    if (seen) return Promise.resolve(seen);
    if (this.#closed) return Promise.reject(new Error(`connection closed before ${what}`));
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waiters.delete(waiter);
        reject(new Error(`no ${what} within ${timeoutMs} ms; got ${this.describe()}`));
      }, timeoutMs);
      const waiter: Waiter = { wanted, resolve, reject, timer };
      this.#waiters.add(waiter);
    });
  }

  waitForType(type: number, streamId?: number, timeoutMs = 5000): Promise<Received> {
    const where = streamId === undefined ? '' : ` on stream ${streamId}`;
    return this.waitFor(
      `frame of type ${type}${where}`,
      (frame) => frame.type === type && (streamId === undefined || frame.streamId === streamId),
      timeoutMs,
    );
  }

  /** True when the connection closed within `timeoutMs`. */
  async closesWithin(timeoutMs: number): Promise<boolean> {
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, timeoutMs);
      void this.closed.then(() => clearTimeout(timer)).then(resolve);
    });
    return this.#closed;
  }

  close(): void {
    this.socket.destroy();
  }

  /** What arrived, in short, for failure messages. */
  describe(): string {
    const kinds = [...this.#counts].map(([type, n]) => `${n} × type ${type}`);
    return kinds.length === 0 ? 'nothing' : kinds.join(', ');
  }

  #receive(chunk: Buffer): void {
    for (const frame of this.#reader.push(chunk)) {
      this.#counts.set(frame.type, this.count(frame.type) + 1);
      if (this.reflexes.keepFrames !== false && this.frames.length < KEPT_FRAMES) this.frames.push(frame);
      this.#assemble(frame);
      this.#queue.notice(frame);
      this.#react(frame);
      this.onFrame?.(frame);
      for (const waiter of this.#waiters) {
        if (!waiter.wanted(frame)) continue;
        this.#waiters.delete(waiter);
        clearTimeout(waiter.timer);
        waiter.resolve(frame);
      }
    }
  }

  #assemble(frame: Received): void {
    if (frame.type === FrameType.headers) this.#open = { frame, parts: [h2.contentOf(frame)] };
    else if (frame.type === FrameType.continuation) this.#open?.parts.push(frame.payload);
    else return;
    if (!(frame.flags & Flag.endHeaders) || this.#open === undefined) return;
    const { frame: first, parts } = this.#open;
    this.#open = undefined;
    const fields = this.#hpack.decode(Buffer.concat(parts));
    first.fields = new Map(fields);
    this.onList(first, fields);
  }

  /** The header list that begins in `frame` is complete. */
  protected onList(_frame: Frame, _fields: Field[]): void {}

  #react({ type, flags, streamId, payload }: Frame): void {
    const isAck = (flags & Flag.ack) !== 0;
    const { ackPings, replenish } = this.reflexes;
    if (type === FrameType.settings && !isAck && this.acksSettings) this.send(h2.settingsAck());
    if (type === FrameType.ping && !isAck && ackPings !== false) this.send(h2.ping(payload, Flag.ack));
    if (type !== FrameType.data || payload.length === 0 || replenish === false) return;
    this.send(h2.windowUpdate(0, payload.length));
    if (!(flags & Flag.endStream)) this.send(h2.windowUpdate(streamId, payload.length));
  }

  #ended(): void {
    this.#closed = true;
    for (const waiter of this.#waiters) {
      clearTimeout(waiter.timer);
      waiter.reject(new Error(`connection closed while waiting; got ${this.describe()}`));
    }
    this.#waiters.clear();
  }
}
