import { Closed, type ConnectionHandler, ConnectionState, type Role } from './connection-state.js';
import {
  ConnectionError,
  ErrorCode,
  FrameType,
  MAX_STREAM_ID,
  MODEL_READINESS,
  PREFACE,
  type Readiness,
} from './constants.js';
import { FrameReader, type FrameReceiver } from './frame-reader.js';
import { exceed, frameSizeError, protocolError } from './frame-rules.js';
import { appendFramed } from './framed-data.js';
import { failAllStreams, queueGoaway } from './goaway.js';
import type { HeaderField } from './hpack/field.js';
import { listBytes, type StableList } from './hpack/header-list.js';
import { UNREAD_CONTROL_BYTES } from './limits.js';
import type { OwnedBuffer } from './owned-buffer.js';
import { compact, hold } from './pending-data.js';
import { receiveFrame } from './receive.js';
import {
  canReceiveRun,
  credit,
  isCreditDue,
  receiveDataBytes,
  receiveDataStart,
  widen,
} from './receive-data.js';
import { announceInitialWindow, awaitFirstWindow } from './receive-window.js';
import { flush } from './send.js';
import { firstSettings, type LocalSettings, settingsPayload } from './settings.js';
import { ByteCount, Chunk, LONG_LIST_BYTES, Parked, Stream, type StreamOwner } from './stream.js';
import type { Output } from './write-buffer.js';

/** A client's connection with fewer stream ids left than this is replaced. */
const FEW_IDS = 1 << 20;

/**
 * One HTTP/2 connection in either role: bytes in, events out, bytes out (RFC 9113). No sockets, no timers, no policy.
 *
 *   receive(chunk, nowMs)  → handler.onStream, stream.owner.on…
 *   sendHeaders / sendData / sendTrailers / reset → handler.onDirty
 *   flush(output, room)    → bytes for the socket
 *   sendData of a patient stream → handler.onPatient, and onDirty once much of it waits
 */
export class Connection implements FrameReceiver {
  readonly state: ConnectionState;
  private readonly reader: FrameReader;
  /** Bytes of the client's preface received. */
  private prefaceHave: number;
  /** Value of `reader.partialFrames` after the last read, and when it changed. */
  private partialFramesSeen = 0;
  private partialSinceMs = 0;

  constructor(role: Role, local: LocalSettings, handler: ConnectionHandler, waiting = new ByteCount()) {
    this.state = new ConnectionState(role, local, handler, waiting);
    this.reader = new FrameReader(this, local.maxFrame);
    this.prefaceHave = role === 'server' ? 0 : PREFACE.length;
  }

  /** Queues the preface: a client's magic, SETTINGS, and the connection window. Once, first of all. */
  start(): void {
    const c = this.state;
    if (c.role === 'client') c.control.raw(PREFACE);
    c.control.frame(FrameType.settings, 0, 0, firstSettings(c.role, c.local));
    c.settingsSent++;
    if (c.role === 'server') awaitFirstWindow(c);
    const raise = c.local.connectionWindow - c.recvWindow;
    if (raise > 0) {
      c.control.word(FrameType.windowUpdate, 0, raise);
      c.recvWindow += raise;
    }
    c.dirty();
  }

  /**
   * Handles what the socket read at `nowMs` (monotonic): bytes `[start, end)` of `chunk`. The nine before them may be written
   * over, and `chunk` is the connection's from now on. Never throws, whatever the peer sends.
   * @returns `end`; less when the frames of `allowFrames` are used up: the rest from there on is to be given again.
   */
  receive(chunk: OwnedBuffer, nowMs: number, start = 0, end = chunk.length): number {
    const c = this.state;
    if (c.isOver) return end;
    let to = end;
    c.nowMs = nowMs;
    try {
      const from = this.prefaceHave < PREFACE.length ? this.takePreface(chunk, start, end) : start;
      to = this.reader.read(chunk, from, end);
      if (this.reader.partialFrames !== this.partialFramesSeen) {
        this.partialFramesSeen = this.reader.partialFrames;
        this.partialSinceMs = nowMs;
      }
      if (c.control.length > UNREAD_CONTROL_BYTES) exceed(c, 'unread-output');
    } catch (error) {
      if (error instanceof ConnectionError) this.fail(error.code, error.message);
      else {
        // A defect of this program ends this connection only.
        c.handler.onDefect(error);
        this.fail(ErrorCode.internalError, 'internal error');
      }
      return end;
    }
    return to;
  }

  /** `receive` takes so many frames from now on, and then no more until this is called again. Without a call it takes all. */
  allowFrames(frames: number): void {
    this.reader.framesLeft = frames;
  }

  /** What just came cost as much as so many frames more: they count among those that it may have. */
  charge(frames: number): void {
    this.reader.framesLeft -= frames;
  }

  /** Writes queued frames into `output`, up to about `room` bytes. Never throws. */
  flush(output: Output, room: number): void {
    this.state.isDirty = false;
    this.state.patientBytes = 0;
    try {
      flush(this.state, output, room);
    } catch (error) {
      this.state.handler.onDefect(error);
      this.fail(ErrorCode.internalError, 'internal error');
    }
  }

  /** The socket accepts no more for now: copies waiting payload out of large read buffers, so that they can be freed. */
  holdOutput(): void {
    for (let stream = this.state.firstReady; stream !== null; stream = stream.nextReady) compact(stream);
    for (let stream = this.state.firstSmall; stream !== null; stream = stream.nextReady) compact(stream);
  }

  /** What waited for more of patient streams has waited long enough. */
  releasePatient(): void {
    if (this.hasOutput) this.state.dirty();
  }

  /** Whether payload of `stream` waits for the peer, or for the socket, and not for more of a patient stream. */
  isBehind(stream: Stream): boolean {
    return stream.pendingBytes > 0 && (this.state.isDirty || !stream.isPatient || this.isBlocked(stream));
  }

  /** Whether payload of `stream` is more than the peer's windows let through now: the rest waits for the peer to read. */
  isBlocked(stream: Stream): boolean {
    const { pendingBytes, sendWindow, parked } = stream;
    return (
      pendingBytes > 0 && (parked !== Parked.no || pendingBytes > Math.min(sendWindow, this.state.sendWindow))
    );
  }

  /** Whether the output of `stream` is complete, and payload of it is still to be sent. */
  isUnread(stream: Stream): boolean {
    return stream.pendingBytes > 0 && (stream.trailers !== null || stream.endAfterPending);
  }

  /** Whether `flush` left something that could be written at once. */
  get hasOutput(): boolean {
    return this.state.hasReady || this.state.control.length > 0;
  }

  /** Client: a new stream. Nothing of it is sent before its first `sendHeaders` is flushed. */
  openStream(owner: StreamOwner): Stream {
    return new Stream(owner, this.state.initialWindow, this.state.peer.initialWindow);
  }

  /** Client: streams that the peer allows beyond those that are open or about to be. */
  get capacity(): number {
    const c = this.state;
    if (c.isOver || c.goawayReceived || c.nextId > MAX_STREAM_ID) return 0;
    return c.peer.maxConcurrentStreams - c.table.size - c.pendingOpen;
  }

  /** Streams that are open, or wait to be written for the first time. */
  get openStreams(): number {
    return this.state.table.size + this.state.pendingOpen;
  }

  /** Client: whether the connection is to be replaced: few stream ids are left, or few resets that the server tolerates. */
  get isExhausted(): boolean {
    return this.state.resetsExhausted || this.state.nextId > MAX_STREAM_ID - FEW_IDS;
  }

  /** Whether a frame or a header block is incomplete. */
  get isMidFrame(): boolean {
    return this.reader.isMidFrame || this.state.blockStream !== 0 || this.prefaceHave < PREFACE.length;
  }

  /** Bytes that the incomplete frame lacks; 0 between frames. */
  get missingBytes(): number {
    return this.reader.missingBytes;
  }

  /**
   * When the present incomplete header block, or frame other than DATA, began, monotonic ms; 0 = none. Further bytes do
   * not change it, so that a timeout finds a peer that sends them one by one.
   */
  get unfinishedSinceMs(): number {
    if (this.state.blockStream !== 0) return this.state.blockSinceMs;
    return this.reader.isMidNonDataFrame ? this.partialSinceMs : 0;
  }

  /** Bytes of a header list that the peer accepts, as far as it says so. */
  get peerHeaderBytes(): number {
    return this.state.peer.maxHeaderBytes;
  }

  /** Queues a header list, `extras` after its stable part; `end` with END_STREAM. */
  sendHeaders(stream: Stream, list: StableList, extras: readonly HeaderField[], end: boolean): void {
    if (stream.closed || stream.localEnded) return;
    if (stream.id === 0 && stream.headers === null) this.state.pendingOpen++;
    stream.headers = list;
    stream.headerExtras = extras;
    const bytes = listBytes(list, extras);
    if (bytes > LONG_LIST_BYTES) {
      this.state.waiting.bytes += bytes - stream.headersBytes;
      stream.headersBytes = bytes;
    }
    if (end) stream.endAfterPending = true;
    this.state.ready(stream);
  }

  /** Replaces the extra fields of headers that are not written yet; without effect afterwards. */
  replaceExtras(stream: Stream, extras: readonly HeaderField[]): void {
    if (stream.headers !== null) stream.headerExtras = extras;
  }

  /**
   * Queues `buffer[start, end)` by reference, to be read only: these bytes must not change any more, as the socket may refer to
   * them long after `onSent`. Others may read them too.
   */
  sendData(stream: Stream, buffer: Buffer, start: number, end: number, last: boolean): void {
    if (stream.closed || stream.localEnded) return;
    if (last) stream.endAfterPending = true;
    this.state.waiting.bytes += end - start;
    const waits = stream.parked !== Parked.no || (stream.sendWindow <= 0 && stream.id !== 0);
    if (waits) {
      if (end > start) hold(stream, buffer, start, end);
      if (stream.pendingBytes > 0) return this.state.waits(stream);
    } else if (end > start) {
      const chunk = new Chunk(buffer, start, end);
      if (stream.lastChunk === null) stream.firstChunk = chunk;
      else stream.lastChunk.next = chunk;
      stream.lastChunk = chunk;
      stream.pendingBytes += end - start;
      stream.isCompact = false;
    }
    this.queue(stream, end - start);
  }

  /**
   * As `sendData`, for the whole of what one `onData` brought, by its first writer: the header of the frame it came in is
   * written over, so that frames go out from where they lie (framed-data.ts). Takes `buffer` over.
   */
  passData(stream: Stream, buffer: OwnedBuffer, start: number, end: number, last: boolean): void {
    if (stream.sendWindow <= 0 || stream.parked !== Parked.no || stream.closed || stream.localEnded)
      return this.sendData(stream, buffer, start, end, last);
    if (end === start || !appendFramed(stream, buffer, start, end))
      return this.sendData(stream, buffer, start, end, last);
    if (last) stream.endAfterPending = true;
    this.state.waiting.bytes += end - start;
    stream.pendingBytes += end - start;
    stream.isCompact = false;
    this.queue(stream, end - start);
  }

  /** `bytes` of payload have been added: the stream is written in this turn, or a moment later where it is patient. */
  private queue(stream: Stream, bytes: number): void {
    if (stream.isPatient && !stream.endAfterPending) this.state.readyLater(stream, bytes);
    else this.state.hurry(stream);
  }

  /** Queues trailers, which end the stream. */
  sendTrailers(stream: Stream, list: StableList, extras: readonly HeaderField[]): void {
    if (stream.closed || stream.localEnded) return;
    stream.trailers = list;
    stream.trailerExtras = extras;
    const bytes = listBytes(list, extras);
    if (bytes > LONG_LIST_BYTES) {
      this.state.waiting.bytes += bytes - stream.trailersBytes;
      stream.trailersBytes = bytes;
    }
    // One that waits for the window of the connection is not written before that grows.
    const waits = stream.parked !== Parked.no || stream.sendWindow <= 0;
    if (waits && stream.pendingBytes > 0) this.state.waits(stream);
    else this.state.hurry(stream);
  }

  /** Resets the stream now; one that was never written is just dropped. Its owner gets no `onEnding`. */
  reset(stream: Stream, code: number): void {
    const c = this.state;
    if (stream.closed) return;
    // Its owner may do so inside the event in which the peer ended it too.
    if (stream.remoteEnded && stream.localEnded) return c.close(stream, Closed.ended);
    // Not after a GOAWAY with an error, while the owners of the other streams get their events.
    if (stream.id !== 0 && !c.isOver) c.sendReset(stream.id, code);
    c.close(stream, Closed.resetByUs);
  }

  /** `bytes` of payload have been passed on: returns that credit to the peer. @param target window to raise it to, bytes. */
  credit(stream: Stream, bytes: number, target: number): void {
    credit(this.state, stream, bytes, target);
  }

  /** Whether the window of `stream` is smaller than the largest frame, so that the peer may be blocked. */
  isNearlyClosed(stream: Stream): boolean {
    return stream.recvWindow < this.state.local.maxFrame;
  }

  /** Whether so much credit more would send a WINDOW_UPDATE. */
  isCreditDue(stream: Stream, bytes: number): boolean {
    return isCreditDue(stream, bytes);
  }

  /** Raises the window of `stream` by `bytes`, beyond its credit. */
  widen(stream: Stream, bytes: number): void {
    widen(this.state, stream, bytes);
  }

  /** Changes the initial window of streams, new and open (RFC 9113 section 6.9.2); see receive-window.ts. */
  setInitialWindow(bytes: number): void {
    announceInitialWindow(this.state, bytes);
  }

  /** Tells the peer how the model behind this side fares, by a SETTINGS frame of its own. */
  announceReadiness(readiness: Readiness): void {
    const c = this.state;
    if (c.isOver) return;
    c.settingsSent++;
    c.control.frame(FrameType.settings, 0, 0, settingsPayload([MODEL_READINESS, readiness]));
    c.dirty();
  }

  /** Sends a PING; `onPong` follows. */
  ping(): void {
    if (this.state.isOver) return;
    this.state.pingsOutstanding++;
    this.state.control.frame(FrameType.ping, 0, 0, PING_PAYLOAD);
    this.state.dirty();
  }

  /** First step of a drain (RFC 9113 section 6.8): GOAWAY with the largest id; streams opened meanwhile are still accepted. */
  announceGoaway(): void {
    if (this.state.isOver || this.state.goawaySent !== MAX_STREAM_ID) return;
    queueGoaway(this.state, MAX_STREAM_ID, ErrorCode.noError, '');
  }

  /** Second step, once: GOAWAY with the last id seen; later streams are refused unprocessed. */
  finalGoaway(): void {
    const c = this.state;
    if (c.isOver || c.goawaySent !== MAX_STREAM_ID) return;
    c.goawaySent = c.lastPeerId;
    queueGoaway(c, c.goawaySent, ErrorCode.noError, '');
  }

  /** Ends the connection with an error: queues GOAWAY, calls `onFatal`, which closes the socket, and fails every stream. */
  fail(code: number, message: string): void {
    const c = this.state;
    if (c.isOver) return;
    queueGoaway(c, Math.min(c.lastPeerId, c.goawaySent), code, message);
    c.handler.onFatal(code, message);
    this.abandon();
  }

  /** The socket is closed: fails every stream; those never written end as unprocessed. */
  abandon(): void {
    const c = this.state;
    if (c.isOver) return;
    c.isOver = true;
    this.reader.stopped = true;
    c.dropBlock();
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

  onDataBytes(buffer: OwnedBuffer, start: number, end: number, last: boolean): void {
    receiveDataBytes(this.state, buffer, start, end, last);
  }

  onOversize(type: number, streamId: number, length: number): void {
    const most = this.state.local.maxFrame;
    frameSizeError(`frame of ${length} bytes (type ${type}, stream ${streamId}), more than ${most}`);
  }

  /** RFC 9113 section 3.4; returns where the frames begin. */
  private takePreface(chunk: Buffer, start: number, end: number): number {
    const n = Math.min(PREFACE.length - this.prefaceHave, end - start);
    if (PREFACE.compare(chunk, start, start + n, this.prefaceHave, this.prefaceHave + n) !== 0)
      protocolError('the connection does not begin with the HTTP/2 preface');
    this.prefaceHave += n;
    return start + n;
  }
}

const PING_PAYLOAD = Buffer.from('outrider', 'latin1');
