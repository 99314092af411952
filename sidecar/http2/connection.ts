/**
 * One HTTP/2 connection, either role: bytes in, events out, bytes out (RFC 9113). No sockets, no timers, no policy.
 *
 *   receive(chunk, nowMs)  → handler.onStream, stream.owner.on…
 *   sendHeaders / sendData / sendTrailers / reset → handler.onDirty
 *   flush(output, room)    → octets for the socket
 */

import { Closed, type ConnectionHandler, ConnectionState, type Role } from './connection-state.js';
import { ConnectionError, ErrorCode, FrameType, MAX_STREAM_ID, PREFACE } from './constants.js';
import { FrameReader, type FrameReceiver } from './frame-reader.js';
import { exceed, frameSizeError, protocolError } from './frame-rules.js';
import { failAllStreams, queueGoaway } from './goaway.js';
import type { HeaderField } from './hpack/field.js';
import type { StableList } from './hpack/header-list.js';
import { UNREAD_CONTROL_BYTES } from './limits.js';
import { OctetCount } from './octet-count.js';
import { compact, hold } from './pending-data.js';
import { receiveFrame } from './receive.js';
import { canReceiveRun, credit, receiveDataBytes, receiveDataStart, widen } from './receive-data.js';
import { announceInitialWindow } from './receive-window.js';
import { flush } from './send.js';
import { clientSettings, type LocalSettings, serverSettings } from './settings.js';
import { Chunk, Parked, Stream, type StreamOwner } from './stream.js';
import type { Output } from './write-buffer.js';

/** Stream ids left when a client's connection should be replaced. */
const FEW_IDS = 1 << 20;

export class Connection implements FrameReceiver {
  readonly state: ConnectionState;
  private readonly reader: FrameReader;
  private prefaceHave: number;
  private partialFramesSeen = 0;
  private partialSinceMs = 0;

  constructor(role: Role, local: LocalSettings, handler: ConnectionHandler, waiting = new OctetCount()) {
    this.state = new ConnectionState(role, local, handler, waiting);
    this.reader = new FrameReader(this, local.maxFrame);
    this.prefaceHave = role === 'server' ? 0 : PREFACE.length;
  }

  /** Queues the preface: a client's magic, SETTINGS, and the connection window. Once, first of all. */
  start(): void {
    const c = this.state;
    if (c.role === 'client') c.control.raw(PREFACE);
    const settings = c.role === 'client' ? clientSettings(c.local) : serverSettings(c.local);
    c.control.frame(FrameType.settings, 0, 0, settings);
    const raise = c.local.connectionWindow - c.recvWindow;
    if (raise > 0) {
      c.control.word(FrameType.windowUpdate, 0, raise);
      c.recvWindow += raise;
    }
    c.dirty();
  }

  /** Takes what the socket read at `nowMs` (monotonic). Never throws for anything a peer can send. */
  receive(chunk: Buffer, nowMs: number): void {
    const c = this.state;
    if (c.isOver) return;
    c.nowMs = nowMs;
    try {
      const from = this.prefaceHave < PREFACE.length ? this.takePreface(chunk) : 0;
      this.reader.read(chunk, from);
      if (this.reader.partialFrames !== this.partialFramesSeen) {
        this.partialFramesSeen = this.reader.partialFrames;
        this.partialSinceMs = nowMs;
      }
      if (c.control.length > UNREAD_CONTROL_BYTES) exceed(c, 'unread-output');
    } catch (error) {
      if (error instanceof ConnectionError) return this.fail(error.code, error.message);
      // A defect of ours: it ends this connection and no other.
      c.handler.onDefect(error);
      this.fail(ErrorCode.internalError, 'internal error');
    }
  }

  /** Writes what may be written into `output`, about `room` octets of it. Never throws. */
  flush(output: Output, room: number): void {
    this.state.isDirty = false;
    try {
      flush(this.state, output, room);
    } catch (error) {
      this.state.handler.onDefect(error);
      this.fail(ErrorCode.internalError, 'internal error');
    }
  }

  /** The socket takes no more for now: what waits for it is kept at its own size. */
  holdOutput(): void {
    for (let stream = this.state.firstReady; stream !== null; stream = stream.nextReady) compact(stream);
    for (let stream = this.state.firstSmall; stream !== null; stream = stream.nextReady) compact(stream);
  }

  /** Whether `flush` left something that could be written at once. */
  get hasOutput(): boolean {
    return this.state.hasReady || this.state.control.length > 0;
  }

  /** Client: a new stream, not sent before its first `sendHeaders` is flushed. */
  openStream(owner: StreamOwner): Stream {
    return new Stream(owner, this.state.initialWindow, this.state.peer.initialWindow);
  }

  /** Client: how many more calls the peer lets us open now. */
  get capacity(): number {
    const c = this.state;
    if (c.isOver || c.goawayReceived || c.nextId > MAX_STREAM_ID) return 0;
    return c.peer.maxConcurrentStreams - c.table.size - c.pendingOpen;
  }

  /** Streams that are not over, those included that wait to be written for the first time. */
  get openStreams(): number {
    return this.state.table.size + this.state.pendingOpen;
  }

  /** Client: whether the connection should be replaced: few stream ids are left, or few resets that the server may bear. */
  get isExhausted(): boolean {
    return this.state.resetsExhausted || this.state.nextId > MAX_STREAM_ID - FEW_IDS;
  }

  /** Whether a frame or a header block has begun and not ended. */
  get isMidFrame(): boolean {
    return this.reader.isMidFrame || this.state.blockStream !== 0 || this.prefaceHave < PREFACE.length;
  }

  /**
   * When a header block, or a frame other than DATA, was begun that has not ended; 0 = none. Octets that trickle in do
   * not move it, so a peer cannot hold one open.
   */
  get unfinishedSinceMs(): number {
    if (this.state.blockStream !== 0) return this.state.blockSinceMs;
    return this.reader.isMidNonDataFrame ? this.partialSinceMs : 0;
  }

  sendHeaders(stream: Stream, list: StableList, extras: readonly HeaderField[], end: boolean): void {
    if (stream.closed || stream.localEnded) return;
    if (stream.id === 0 && stream.headers === null) this.state.pendingOpen++;
    stream.headers = list;
    stream.headerExtras = extras;
    if (end) stream.endAfterPending = true;
    this.state.ready(stream);
  }

  /** Replaces the fields beside the list of headers that are not written yet; afterwards it does nothing. */
  replaceExtras(stream: Stream, extras: readonly HeaderField[]): void {
    if (stream.headers !== null) stream.headerExtras = extras;
  }

  /** Queues `buffer[start, end)` by reference. `buffer` must not change until `onSent` has reported it. */
  sendData(stream: Stream, buffer: Buffer, start: number, end: number, last: boolean): void {
    if (stream.closed || stream.localEnded) return;
    if (last) stream.endAfterPending = true;
    this.state.waiting.octets += end - start;
    const waits = stream.parked !== Parked.no || (stream.sendWindow <= 0 && stream.id !== 0);
    if (waits) {
      if (end > start) hold(stream, buffer, start, end);
      if (stream.pendingBytes > 0) return;
    } else if (end > start) {
      const chunk = new Chunk(buffer, start, end);
      if (stream.lastChunk === null) stream.firstChunk = chunk;
      else stream.lastChunk.next = chunk;
      stream.lastChunk = chunk;
      stream.pendingBytes += end - start;
      stream.isCompact = false;
    }
    this.state.ready(stream);
  }

  sendTrailers(stream: Stream, list: StableList, extras: readonly HeaderField[]): void {
    if (stream.closed || stream.localEnded) return;
    stream.trailers = list;
    stream.trailerExtras = extras;
    if (stream.pendingBytes === 0 || stream.sendWindow > 0) this.state.ready(stream);
  }

  /** Ends the stream now. One that was never written vanishes without a trace. The owner is not told. */
  reset(stream: Stream, code: number): void {
    const c = this.state;
    if (stream.closed) return;
    // Its owner may say so in the middle of being told that the peer has ended it as well.
    if (stream.remoteEnded && stream.localEnded) return c.close(stream, Closed.ended);
    // Not after a GOAWAY with an error, when the other owners are being told.
    if (stream.id !== 0 && !c.isOver) {
      c.sendReset(stream.id, code);
    }
    c.close(stream, Closed.resetByUs);
  }

  /** Payload of `stream` has been passed on: the peer may send that much more. `target` is the window to aim for. */
  credit(stream: Stream, bytes: number, target: number): void {
    credit(this.state, stream, bytes, target);
  }

  /** Whether the peer may be unable to send its next frame on `stream`: the largest one does not fit the window. */
  isNearlyClosed(stream: Stream): boolean {
    return stream.recvWindow < this.state.local.maxFrame;
  }

  /** The peer may send `bytes` more on `stream`, beyond its credit. */
  widen(stream: Stream, bytes: number): void {
    widen(this.state, stream, bytes);
  }

  /** The window of new streams, and of those that are open (RFC 9113 section 6.9.2), from when the peer says that it knows. */
  setInitialWindow(bytes: number): void {
    announceInitialWindow(this.state, bytes);
  }

  ping(): void {
    if (this.state.isOver) return;
    this.state.pingsOutstanding++;
    this.state.control.frame(FrameType.ping, 0, 0, PING_PAYLOAD);
    this.state.dirty();
  }

  /** First step of a drain (RFC 9113 section 6.8): announces the end; streams the client opens meanwhile are still taken. */
  announceGoaway(): void {
    if (this.state.isOver || this.state.goawaySent !== MAX_STREAM_ID) return;
    queueGoaway(this.state, MAX_STREAM_ID, ErrorCode.noError, '');
  }

  /** Second step: streams above the last one seen are refused and were never processed. */
  finalGoaway(): void {
    const c = this.state;
    if (c.isOver) return;
    c.goawaySent = Math.min(c.goawaySent, c.lastPeerId);
    queueGoaway(c, c.goawaySent, ErrorCode.noError, '');
  }

  /** Ends the connection with an error: GOAWAY is queued, the handler hears why and closes the socket, every stream is lost. */
  fail(code: number, message: string): void {
    const c = this.state;
    if (c.isOver) return;
    queueGoaway(c, Math.min(c.lastPeerId, c.goawaySent), code, message);
    c.handler.onFatal(code, message);
    this.abandon();
  }

  /** The socket is gone: every stream is lost, those that were never written unprocessed. */
  abandon(): void {
    const c = this.state;
    if (c.isOver) return;
    c.isOver = true;
    this.reader.stopped = true;
    failAllStreams(c);
  }

  // ---- FrameReceiver ----

  onFrame(type: number, flags: number, streamId: number, buffer: Buffer, start: number, end: number): void {
    receiveFrame(this.state, type, flags, streamId, buffer, start, end);
  }

  onDataStart(flags: number, streamId: number, length: number): void {
    receiveDataStart(this.state, flags, streamId, length);
  }

  onDataRun(streamId: number, length: number): boolean {
    if (!canReceiveRun(this.state, streamId, length)) return false;
    receiveDataStart(this.state, 0, streamId, length);
    return true;
  }

  onDataBytes(buffer: Buffer, start: number, end: number, last: boolean): void {
    receiveDataBytes(this.state, buffer, start, end, last);
  }

  onOversize(type: number, streamId: number, length: number): void {
    const most = this.state.local.maxFrame;
    frameSizeError(`frame of ${length} octets (type ${type}, stream ${streamId}), more than ${most}`);
  }

  /** RFC 9113 section 3.4; returns where the frames begin. */
  private takePreface(chunk: Buffer): number {
    const n = Math.min(PREFACE.length - this.prefaceHave, chunk.length);
    if (PREFACE.compare(chunk, 0, n, this.prefaceHave, this.prefaceHave + n) !== 0)
      protocolError('the connection does not begin with the HTTP/2 preface');
    this.prefaceHave += n;
    return n;
  }
}

const PING_PAYLOAD = Buffer.from('outrider', 'latin1');
