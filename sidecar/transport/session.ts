import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import { Connection } from '../http2/connection.js';
import type { ConnectionHandler, Role } from '../http2/connection-state.js';
import { ErrorCode, Readiness } from '../http2/constants.js';
import type { HeaderBlock } from '../http2/hpack/header-list.js';
import type { LimitName } from '../http2/limits.js';
import { type OwnedBuffer, ownBuffer } from '../http2/owned-buffer.js';
import type { LocalSettings } from '../http2/settings.js';
import type { Stream } from '../http2/stream.js';
import { Output } from '../http2/write-buffer.js';
import { WheelTimer } from '../runtime/time/timing-wheel.js';
import type { Containable } from './containment.js';
import type { DataPlaneContext } from './context.js';
import type { Flushable, Patient, Postponed } from './flush-scheduler.js';
import { limitDetails, logLimit } from './limit-log.js';
import { SessionMemory } from './session-memory.js';
import { readBuffers } from './shared-read-buffer.js';
import { CLOSED, describeEndUngreeted, describeSocketError } from './socket-error.js';
import { UnreadResponses } from './unread-responses.js';

/** Bytes handed to a socket and not yet taken by the kernel, at most (plus one flush). */
const UNFLUSHED_BYTES = 256 * 1024;
/** Bytes one flush may write, so that one connection does not keep the others waiting. */
const FLUSH_BYTES = 256 * 1024;
/**
 * Frames that one connection may bring in one turn of the event loop: some milliseconds of work. The rest of its bytes waits for
 * the next turn, and its socket is not read until then.
 */
const FRAMES_PER_TURN = 2048;
/** As good as all that one read can have. */
const ALL_FRAMES = 0x3fffffff;
/** A TLS socket copies what it gets in several parts at once, and a single one it encrypts where it lies. */
const LARGE_PART_BYTES = 32 * 1024;
/** How long the peer may take to close its side once it has been sent everything, or after it broke a rule, ms. */
const LINGER_MS = 1000;
/** How long a peer may take to read the last responses of a connection that is being closed, ms. */
const LAST_READS_MS = 10_000;

/** The owner of sessions: a listener or a pool. */
export interface SessionHandler {
  onStream(session: Session, stream: Stream, block: HeaderBlock, ended: boolean): void;
  /** The peer's first SETTINGS arrived: it speaks HTTP/2 and is alive. */
  onAlive(session: Session): void;
  /** The peer says something else of its model than before; what it says first comes with `onAlive`. */
  onReadiness(session: Session): void;
  onGoaway(session: Session, code: number, debug: string): void;
  /** A call ended, or the peer allows more. */
  onRoom(session: Session): void;
  /** The socket is gone; every stream has ended already. Called once. */
  onDown(session: Session, reason: string): void;
}

const SAID_GOAWAY = 'the peer said GOAWAY';
const INTERNAL_ERROR = 'internal error';

const OUT = new Output();

/** What was read and has to wait for the next turn. */
interface UnreadChunk {
  readonly chunk: OwnedBuffer;
  start: number;
  readonly end: number;
}

interface AwaitedPing {
  /** PINGs sent earlier that are not acknowledged yet: acknowledgements come in order. */
  before: number;
  readonly answered: () => void;
}

/**
 * A socket and its HTTP/2 connection. What is read goes into the connection; what the connection has to write goes out
 * in one bounded write per turn. Knows when the peer last sent something; what follows from silence is decided by its
 * handler.
 */
export class Session implements ConnectionHandler, Flushable, Patient, Postponed, Containable {
  readonly connection: Connection;
  isFlushScheduled = false;
  flushedInPass = 0;
  isHeld = false;
  isAlive = false;
  /** What the peer says of the model behind it. */
  readiness: Readiness = Readiness.serving;
  isDown = false;
  /** No new calls: it is being replaced, or the peer said GOAWAY. */
  isRetiring = false;
  /** Monotonic ms of the last bytes from the peer; at first, of the start. */
  lastReadMs: number;
  /** Bytes read so far. */
  bytesRead = 0;
  /** Monotonic ms of the last bytes that had an answer to a PING. */
  lastPongMs = 0;
  /** Set by the handler: when a call of the peer last began or ended; at first, its own start. */
  lastCallMs: number;
  /** Calls in a row that the peer has reset without an answer, and responses that have begun; see refused-streams.ts. */
  refusals = 0;
  responses = 0;
  /** Calls that were lost with it. */
  lostCalls = 0;
  /** The other side has ended it, or the network: it was in use here, and had said nothing of an end. */
  wasCut = false;
  /** Set by the handler: the identity of the peer, as far as it is proved; null: none. */
  identity: unknown = null;
  /** Set by the handler: the peer watches our load, and the report that it was told last. */
  isToldLoad = false;
  toldLoad: object | null = null;
  /** `outrider-queue-ms` has gone over it (relay/queue-time-field.ts): a call without it has not waited. */
  tellsQueueTime = false;
  /** The peer's SPIFFE id; empty where it has none. */
  subject = '';
  /** Until when the peer's certificate is valid, wall-clock ms; Infinity where it has none. */
  notAfterMs = Number.POSITIVE_INFINITY;
  readonly memory: SessionMemory;
  private readonly isTls: boolean;
  private isBlocked = false;
  private isClosing = false;
  private isEnded = false;
  /** The turn in which it last read. */
  private readTurn = -1;
  /** What came after its share of a turn, in order; null: nothing. */
  private unread: UnreadChunk[] | null = null;
  /** Looks after responses that the peer does not read; null: there have been none. */
  private unreadResponses: UnreadResponses | null = null;
  private socketReason = CLOSED;
  private goawayReason = '';
  private linger: WheelTimer | null = null;
  /** Callbacks of PINGs that are not acknowledged yet, in the order of sending. */
  private pings: AwaitedPing[] = [];

  constructor(
    readonly socket: Socket,
    role: Role,
    local: LocalSettings,
    private readonly handler: SessionHandler,
    readonly context: DataPlaneContext,
  ) {
    const { memory } = context;
    const { firstWindow } = memory;
    const settings = firstWindow < local.initialWindow ? { ...local, initialWindow: firstWindow } : local;
    this.connection = new Connection(role, settings, this, memory.waiting);
    this.memory = new SessionMemory(
      this.connection,
      memory.waiting,
      (reason) => this.destroy(reason),
      context.containment,
    );
    memory.holders.add(this.memory);
    this.isTls = socket instanceof TLSSocket;
    this.lastReadMs = context.clock.now();
    this.lastCallMs = this.lastReadMs;
    socket.setNoDelay?.(true);
    const port = readBuffers.get(socket);
    if (port === undefined)
      socket.on('data', (chunk: Buffer) => this.read(ownBuffer(chunk), 0, chunk.length));
    socket.on('drain', () => this.contained(this.onDrain));
    socket.on('end', () => this.contained(this.onEnd));
    socket.on('error', (error: NodeJS.ErrnoException) => {
      this.socketReason = describeSocketError(error);
    });
    socket.on('close', () => this.contained(this.onClosed));
    this.connection.start();
    port?.deliver((chunk, start, end) => this.read(chunk, start, end));
  }

  /** Why it ended, or is about to. */
  get closeReason(): string {
    if (this.goawayReason !== '') return this.goawayReason;
    return this.connection.state.goawayReceived ? SAID_GOAWAY : this.endReason;
  }

  /** What the socket says of it. */
  private get endReason(): string {
    const { settingsAcked, role } = this.connection.state;
    // `authorized`: the handshake was over on this side.
    const isUngreeted = role === 'client' && !settingsAcked && (this.socket as TLSSocket).authorized === true;
    return isUngreeted ? describeEndUngreeted(this.socketReason) : this.socketReason;
  }

  /** Since when no call of the peer has moved. Infinity: one does, or waits for its endpoint. */
  get quietSinceMs(): number {
    return Math.max(this.lastCallMs, this.memory.stalledSinceMs);
  }

  get inFlight(): number {
    return this.connection.openStreams;
  }

  /** Whether it takes calls, stream limits aside. */
  get isUsable(): boolean {
    const { isOver, goawayReceived } = this.connection.state;
    return this.isAlive && !(this.isDown || this.isRetiring || this.isClosing || isOver || goawayReceived);
  }

  /** How many more calls it can take now. */
  get capacity(): number {
    return this.isDown || this.isRetiring || this.isClosing ? 0 : this.connection.capacity;
  }

  flush(): void {
    if (this.isDown || this.isEnded) return;
    const room = UNFLUSHED_BYTES - this.socket.writableLength;
    if (room <= 0) {
      this.isBlocked = true;
      this.connection.holdOutput();
      return this.onUnread();
    }
    const wasEmpty = this.socket.writableLength === 0;
    OUT.begin();
    this.connection.flush(OUT, Math.min(room, FLUSH_BYTES));
    const parts = OUT.finish();
    if (parts.length === 1) {
      this.socket.write(parts[0]!);
    } else if (
      this.isTls &&
      parts.length === 2 &&
      OUT.endsByReference &&
      parts[1]!.length >= LARGE_PART_BYTES
    ) {
      // The second one waits until the first is written: it must not be a slab, which is used again.
      this.socket.write(parts[0]!);
      this.socket.write(parts[1]!);
    } else if (parts.length > 1) {
      this.socket.cork();
      for (const part of parts) this.socket.write(part);
      this.socket.uncork();
    }
    // A TLS socket encrypts, and so copies, before `write` returns.
    OUT.settle(wasEmpty && !this.socket.connecting && (this.isTls || this.socket.writableLength === 0));
    if (this.socket.writableNeedDrain) this.memory.setUnflushed(this.socket.writableLength);
    if (this.connection.hasOutput) {
      if (this.socket.writableLength >= UNFLUSHED_BYTES) {
        this.isBlocked = true;
        this.onUnread();
      } else this.context.flushes.schedule(this);
    } else if (this.isClosing) {
      this.end();
    }
  }

  /** Whether payload of `stream` waits for the peer to read: what is queued behind it may wait for ever. */
  cannotSend(stream: Stream): boolean {
    return (this.isBlocked && stream.pendingBytes > 0) || this.connection.isBlocked(stream);
  }

  /** Sends what is queued, then closes. Streams still open are lost. A peer that does not read is not waited for long. */
  close(reason: string): void {
    this.closeWithin(LAST_READS_MS, reason);
  }

  /** Closes at once; every stream is lost. */
  destroy(reason: string): void {
    if (this.isDown) return;
    this.socketReason = reason;
    this.socket.destroy();
    this.contained(this.onClose);
  }

  /**
   * An exception in its handling ends it: the call of the event first, then all others as with any lost connection. Where that
   * is under way already, only what is left of it follows.
   */
  giveUp(): void {
    const { state } = this.connection;
    const stream = state.current;
    state.current = null;
    stream?.owner.giveUp?.();
    if (this.isDown) this.handler.onDown(this, this.endReason);
    else if (this.socket.destroyed) this.onClose();
    else if (state.isOver) this.closeWithin(LINGER_MS, INTERNAL_ERROR);
    else this.connection.fail(ErrorCode.internalError, INTERNAL_ERROR);
  }

  /** Sends a PING. `answered` is called when it comes back, and never when the connection ends before. */
  ping(answered: () => void): void {
    this.connection.ping();
    this.pings.push({ before: this.connection.state.pingsOutstanding - 1, answered });
  }

  // ---- ConnectionHandler ----

  onStream(stream: Stream, block: HeaderBlock, ended: boolean): void {
    this.handler.onStream(this, stream, block, ended);
  }

  onPeerSettings(): void {
    const { readiness } = this.connection.state.peer;
    const isNews = readiness !== this.readiness;
    this.readiness = readiness;
    if (this.isAlive) {
      if (isNews) this.handler.onReadiness(this);
      return;
    }
    this.isAlive = true;
    this.handler.onAlive(this);
  }

  onPong(): void {
    this.lastPongMs = this.lastReadMs;
    if (this.pings.length === 0) return;
    const answered = this.pings.filter((ping) => ping.before-- === 0);
    this.pings = this.pings.filter(({ before }) => before >= 0);
    for (const ping of answered) ping.answered();
  }

  onGoaway(code: number, debug: string): void {
    this.isRetiring = true;
    this.goawayReason = goawayWords(code, debug);
    this.handler.onGoaway(this, code, debug);
  }

  /** Also in the middle of another connection's event, which this one's owner must not break. */
  onRoom(): void {
    try {
      this.handler.onRoom(this);
    } catch (error) {
      this.context.containment.contain(this, error);
    }
  }

  onDirty(): void {
    this.context.flushes.schedule(this);
  }

  onPatient(): void {
    this.context.flushes.hold(this);
  }

  onUnread(): void {
    if (this.isDown || this.connection.state.role === 'client') return;
    this.unreadResponses ??= new UnreadResponses(this.connection, this.context);
    this.unreadResponses.watch();
  }

  release(): void {
    this.connection.releasePatient();
  }

  onLimit(name: LimitName): void {
    this.context.stats.countLimit(name);
  }

  onDefect(error: unknown): void {
    this.context.containment.contain(this, error);
  }

  onFatal(_code: number, message: string): void {
    this.context.stats.protocolErrors++;
    const { state } = this.connection;
    const { exceededLimit: limit } = state;
    if (limit !== null) logLimit(this.context, limit, limitDetails(state, limit), this.socket, this.subject);
    this.closeWithin(LINGER_MS, message);
  }

  // ---- the socket ----

  /** Where reads enter: an exception ends the connection. */
  private read(chunk: OwnedBuffer, start: number, end: number): void {
    try {
      this.onRead(chunk, start, end);
    } catch (error) {
      this.context.containment.contain(this, error);
    }
  }

  /** Where the other events of the socket enter. */
  private contained(event: () => void): void {
    try {
      event.call(this);
    } catch (error) {
      this.context.containment.contain(this, error);
    }
  }

  private onRead(chunk: OwnedBuffer, start: number, end: number): void {
    const now = this.context.clock.now();
    this.lastReadMs = now;
    this.bytesRead += end - start;
    this.context.nowMs = now;
    // A TLS socket hands on all the records that it has, whether it is paused or not.
    if (this.unread !== null) return void this.unread.push({ chunk, start, end });
    this.takeShare();
    const to = this.connection.receive(chunk, now, start, end);
    if (to < end) {
      this.unread = [{ chunk, start: to, end }];
      this.socket.pause();
      this.context.flushes.postpone(this);
    }
    this.afterRead(now);
  }

  /** Its frames of this turn, unless it has had some of them. */
  private takeShare(): void {
    const { turn } = this.context.flushes;
    if (turn === this.readTurn) return;
    this.readTurn = turn;
    this.connection.allowFrames(FRAMES_PER_TURN);
  }

  /** The next turn has come: goes on with what waits, and reads the socket again once nothing does. */
  readOn(): void {
    this.takeShare();
    this.readUnread();
    if (this.unread !== null) this.context.flushes.postpone(this);
    else if (!this.isDown) this.socket.resume();
  }

  /** Handles all that waits, before the end of the socket does. */
  private readAll(): void {
    if (this.unread === null) return;
    this.connection.allowFrames(ALL_FRAMES);
    this.readUnread();
  }

  private readUnread(): void {
    const { unread } = this;
    if (unread === null) return;
    const now = this.context.clock.now();
    this.context.nowMs = now;
    let read = 0;
    for (; read < unread.length; read++) {
      const next = unread[read]!;
      next.start = this.connection.receive(next.chunk, now, next.start, next.end);
      if (next.start < next.end) break;
    }
    if (read < unread.length) unread.splice(0, read);
    else this.unread = null;
    this.afterRead(now);
  }

  private afterRead(now: number): void {
    const { memory } = this.context;
    const firstWindow = this.memory.firstWindow(memory.firstWindow);
    if (firstWindow !== this.connection.state.initialWindow) this.connection.setInitialWindow(firstWindow);
    if (memory.isAlarmed) memory.review(this.context.flushes, now);
  }

  private onDrain(): void {
    this.memory.setUnflushed(0);
    if (!this.isBlocked) return;
    this.isBlocked = false;
    this.context.flushes.schedule(this);
  }

  /**
   * The peer will send nothing more. Calls that wait for it are lost: gRPC knows no half-closed connection. Of a peer that does
   * not read either, the socket would be kept for good.
   */
  private onEnd(): void {
    this.readAll();
    this.recordCut();
    this.context.nowMs = this.context.clock.now();
    this.connection.abandon();
    // Now: a write after the end would destroy the socket, with what it has not sent yet.
    this.flush();
    this.end();
    this.closeWithin(LAST_READS_MS, this.socketReason);
  }

  private onClosed(): void {
    this.readAll();
    this.recordCut();
    this.onClose();
  }

  /** The socket has ended: whether that was expected. */
  private recordCut(): void {
    if (this.isAlive && !this.isClosing && !this.isDown && !this.isRetiring) this.wasCut = true;
  }

  private closeWithin(ms: number, reason: string): void {
    if (this.isDown) return;
    const dueMs = this.context.clock.now() + ms;
    if (this.linger === null) this.linger = new WheelTimer(() => this.socket.destroy(), this);
    else if (this.linger.dueMs <= dueMs) return;
    this.context.wheel.add(this.linger, dueMs);
    if (this.isClosing) return;
    this.socketReason = reason;
    this.isClosing = true;
    this.context.flushes.schedule(this);
  }

  /** Half-closes, so that a GOAWAY is not lost to a reset, and gives the peer a moment to close as well. */
  private end(): void {
    if (this.isEnded) return;
    this.isEnded = true;
    this.context.nowMs = this.context.clock.now();
    this.connection.abandon();
    this.socket.end(() => this.closeWithin(LINGER_MS, this.socketReason));
  }

  private onClose(): void {
    if (this.isDown) return;
    this.isDown = true;
    if (this.linger !== null) this.context.wheel.cancel(this.linger);
    // Perhaps nothing has been read for long, and the end of each call is classified by the time.
    this.context.nowMs = this.context.clock.now();
    this.connection.abandon();
    this.unread = null;
    this.unreadResponses?.stop();
    this.memory.setUnflushed(0);
    this.context.memory.holders.delete(this.memory);
    this.connection.state.current = null;
    this.handler.onDown(this, this.endReason);
  }
}

/** An error code and what the peer says about it, printable ASCII only: it reaches callers and the log. */
function goawayWords(code: number, debug: string): string {
  if (code === ErrorCode.noError && debug === '') return SAID_GOAWAY;
  return `${SAID_GOAWAY}, code ${code} ${JSON.stringify(debug.replaceAll(/[^ -~]/g, '?'))}`;
}
