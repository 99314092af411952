import { DEFAULT_WINDOW, FrameType } from './constants.js';
import { Decoder } from './hpack/decoder.js';
import { Encoder } from './hpack/encoder.js';
import type { HeaderBlock } from './hpack/header-list.js';
import {
  type LimitName,
  Meter,
  type Meters,
  maxBlockBytes,
  maxBlockFrames,
  metersOf,
  RESETS_SENT,
} from './limits.js';
import { type LocalSettings, PeerSettings, RESPONSE_FIELDS } from './settings.js';
import { type ByteCount, Parked, STREAM_BYTES, type Stream } from './stream.js';
import { StreamTable } from './stream-table.js';
import { ControlQueue } from './write-buffer.js';

/** Side of the connection that this engine plays. */
export type Role = 'server' | 'client';

/** Events of a connection; all are called from within `receive`, `flush` or a send method. */
export interface ConnectionHandler {
  /**
   * Server: a well-formed request, or, where `block.overLimit`, one whose header list is longer than we announced: what is left of it
   * says little, and it is to be refused. The handler must set `stream.owner`.
   */
  onStream(stream: Stream, block: HeaderBlock, ended: boolean): void;
  /** SETTINGS of the peer arrived. */
  onPeerSettings(): void;
  onPong(): void;
  onGoaway(code: number, debug: string): void;
  /** A stream ended, or the peer allows more of them. */
  onRoom(): void;
  /** There is output: call `flush` in this turn of the event loop. */
  onDirty(): void;
  /** There is output of patient streams only: call `releasePatient` within a millisecond, unless `flush` comes first. */
  onPatient(): void;
  /** Server: a response is complete, and waits for the peer's window. */
  onUnread(): void;
  /** The peer exceeded a limit. */
  onLimit(name: LimitName): void;
  /** The connection is over: flush the queued GOAWAY, then close the socket. */
  onFatal(code: number, message: string): void;
  /** An unexpected exception, while `current` was handled if it is set; the connection ends. Must not throw. */
  onDefect(error: unknown): void;
}

/** How a stream id that is no longer open was closed. */
export const Closed = { unknown: 0, ended: 1, resetByUs: 2, resetByPeer: 3 } as const;
/** Closed streams whose ending is remembered. */
const REMEMBERED = 1024;
/** A stream with no more payload than this to write is small, bytes. */
export const SMALL_BYTES = 4096;
/** Bound on `smallLead`, bytes: neither queue gains more of an advantage while the other is empty. */
const MAX_LEAD = 16 * 1024;
/** Payload of patient streams that waits for more, bytes, at most: one frame of the usual size. */
const PATIENT_BYTES = 16 * 1024;

/**
 * State of one connection, and the steps that both receiving and sending need: queueing a stream for output, closing it,
 * and remembering how it was closed. Frames are read and written elsewhere (receive*.ts, send.ts).
 */
export class ConnectionState {
  readonly peer = new PeerSettings();
  readonly encoder = new Encoder();
  readonly decoder: Decoder;
  readonly table = new StreamTable();
  readonly control = new ControlQueue();
  readonly meters: Meters;

  /** Monotonic milliseconds of the read being handled. */
  nowMs = 0;
  gotSettings = false;
  settingsAcked = false;
  /** SETTINGS frames sent, and acknowledgements received for them, which come in their order. */
  settingsSent = 0;
  settingsAcks = 0;
  /** The number of the frame that announced `announcedWindow`. */
  windowSettings = 0;
  isOver = false;
  isDirty = false;
  /** Payload of patient streams that has come since the last flush, bytes. */
  patientBytes = 0;

  /** Initial window of streams as the peer has acknowledged it; and as announced, 0 where that is the same. */
  initialWindow: number;
  announcedWindow = 0;
  recvWindow = DEFAULT_WINDOW;
  /** Credit not yet announced by WINDOW_UPDATE, bytes. */
  unannounced = 0;
  sendWindow = DEFAULT_WINDOW;

  /** Server: highest id opened by the peer. Client: next id to use. */
  lastPeerId = 0;
  nextId = 1;
  /** Last stream id of our latest GOAWAY. */
  goawaySent = 0x7fffffff;
  goawayReceived = false;
  pingsOutstanding = 0;
  /** The limit that ended the connection. */
  exceededLimit: LimitName | null = null;
  /** Client: more RST_STREAM sent than servers tolerate on one connection. */
  resetsExhausted = false;
  private readonly resetsSent = new Meter(RESETS_SENT);

  /** Queue of streams with output that can be written now: first come, first served, one quantum each. */
  firstReady: Stream | null = null;
  lastReady: Stream | null = null;
  /** The same for small streams. The two queues alternate. */
  firstSmall: Stream | null = null;
  lastSmall: Stream | null = null;
  /** Bytes written for small streams minus those for the others. */
  private smallLead = 0;
  /** Streams that wait for the connection's window only. */
  starved: Stream[] = [];
  /** Client: streams that wait for the peer's limit on concurrent streams. */
  unopened: Stream[] = [];
  /** Client: streams with something to send and no id yet. */
  pendingOpen = 0;
  /** Of these, those released from `unopened`, which get the next ids. */
  released = 0;

  /** The incomplete header block, and its stream; 0: none. */
  blockStream = 0;
  blockSinceMs = 0;
  blockFlags = 0;
  blockFrames = 0;
  block: Buffer[] = [];
  /** Its bytes so far, which `waiting` counts. */
  blockBytes = 0;
  readonly maxBlockBytes: number;
  readonly maxBlockFrames: number;
  /** Bounds of a header list of the peer. */
  readonly maxListBytes: number;
  readonly maxListFields: number;

  /** Stream of the present DATA frame; null when its payload is to be dropped. */
  dataStream: Stream | null = null;
  /** Of which an event is handled, or was last: the one that an exception is about. */
  current: Stream | null = null;
  dataFlags = 0;
  dataLength = 0;
  dataSeen = 0;

  private readonly closedIds = new Int32Array(REMEMBERED);
  private readonly closedHow = new Uint8Array(REMEMBERED);

  constructor(
    readonly role: Role,
    readonly local: LocalSettings,
    readonly handler: ConnectionHandler,
    /** Count of payload that waits to be written, and of open streams of a peer; shared by connections. */
    readonly waiting: ByteCount,
  ) {
    this.initialWindow = local.initialWindow;
    this.meters = metersOf(local.buckets);
    const isClient = role === 'client';
    this.maxListBytes = isClient ? local.maxResponseHeaderBytes : local.maxHeaderBytes;
    this.maxListFields = isClient ? local.maxHeaderFields + RESPONSE_FIELDS : local.maxHeaderFields;
    this.maxBlockBytes = maxBlockBytes(this.maxListBytes);
    this.maxBlockFrames = maxBlockFrames(this.maxBlockBytes);
    this.decoder = new Decoder({
      maxTableBytes: 4096,
      maxListBytes: this.maxListBytes,
      maxFields: this.maxListFields,
    });
  }

  /** The header block is complete, or never will be. */
  dropBlock(): void {
    this.waiting.bytes -= this.blockBytes;
    this.blockStream = 0;
    this.block = [];
    this.blockBytes = 0;
  }

  /** Queues RST_STREAM for a stream that has an id. */
  sendReset(id: number, code: number): void {
    this.control.word(FrameType.rstStream, id, code);
    if (this.role === 'client' && !this.resetsSent.take(this.nowMs)) this.resetsExhausted = true;
    this.dirty();
  }

  /** Reports output to the handler, once until the next flush. */
  dirty(): void {
    if (this.isDirty) return;
    this.handler.onDirty();
    this.isDirty = true;
  }

  /** Queues the stream for output, unless it is queued, parked or closed. */
  ready(stream: Stream): void {
    if (stream.isReady || stream.closed || stream.parked !== Parked.no) return;
    this.append(stream);
    this.dirty();
  }

  /** As `ready`, also where the stream was queued to wait for more: this does not. */
  hurry(stream: Stream): void {
    if (stream.isReady) this.dirty();
    else this.ready(stream);
  }

  /** Queues a patient stream, of which `bytes` more have come: they go out with what does not wait, when they are many, or soon. */
  readyLater(stream: Stream, bytes: number): void {
    if (stream.closed || stream.parked !== Parked.no) return;
    if (!stream.isReady) this.append(stream);
    if (this.isDirty) return;
    this.patientBytes += bytes;
    if (this.patientBytes >= PATIENT_BYTES) this.dirty();
    else this.handler.onPatient();
  }

  /**
   * The next stream to write; null: none is ready. Small streams do not wait for all the large ones before them, of which a
   * single peer may have thousands: the two queues get the same number of bytes.
   */
  takeReady(): Stream | null {
    for (;;) {
      const { firstSmall } = this;
      if (firstSmall === null || (this.smallLead > 0 && this.firstReady !== null)) return this.takeLarge();
      this.unlink(firstSmall);
      if (firstSmall.pendingBytes <= SMALL_BYTES) return firstSmall;
      // No longer small: more payload has been queued since.
      this.append(firstSmall);
    }
  }

  private takeLarge(): Stream | null {
    const stream = this.firstReady;
    if (stream !== null) this.unlink(stream);
    return stream;
  }

  /** Counts `bytes` written for a stream from `takeReady`. */
  wrote(bytes: number, isSmall: boolean): void {
    const ahead = isSmall ? this.smallLead + bytes : this.smallLead - bytes;
    this.smallLead = Math.min(Math.max(ahead, -MAX_LEAD), MAX_LEAD);
  }

  /** To the end of its queue. */
  private append(stream: Stream): void {
    stream.isReady = true;
    if (stream.pendingBytes <= SMALL_BYTES) {
      stream.previousReady = this.lastSmall;
      if (this.lastSmall === null) this.firstSmall = stream;
      else this.lastSmall.nextReady = stream;
      this.lastSmall = stream;
    } else {
      stream.previousReady = this.lastReady;
      if (this.lastReady === null) this.firstReady = stream;
      else this.lastReady.nextReady = stream;
      this.lastReady = stream;
    }
  }

  /** Out of its queue, wherever it is there. */
  private unlink(stream: Stream): void {
    const { previousReady: previous, nextReady: next } = stream;
    if (previous !== null) previous.nextReady = next;
    else if (this.firstSmall === stream) this.firstSmall = next;
    else this.firstReady = next;
    if (next !== null) next.previousReady = previous;
    else if (this.lastSmall === stream) this.lastSmall = previous;
    else this.lastReady = previous;
    stream.previousReady = null;
    stream.nextReady = null;
    stream.isReady = false;
  }

  get hasReady(): boolean {
    return this.firstSmall !== null || this.firstReady !== null;
  }

  /** Closes the stream and drops its output. No queue holds it afterwards: a peer that does not read may have any number closed. @param how a `Closed`. */
  close(stream: Stream, how: number): void {
    if (stream.closed) return;
    stream.closed = true;
    if (stream.isReady) this.unlink(stream);
    if (stream.parked !== Parked.no) this.unpark(stream);
    this.waiting.bytes -= stream.pendingBytes + stream.listBytes;
    if (stream.id !== 0) {
      if (this.role === 'server') this.waiting.bytes -= STREAM_BYTES;
      this.table.remove(stream);
      this.remember(stream.id, how);
    } else {
      if (stream.headers !== null) this.pendingOpen--;
      if (stream.isReleased) this.released--;
    }
    stream.dropOutput();
    if (this.unopened.length > 0) this.openParked();
    this.handler.onRoom();
  }

  /** Client: releases streams that waited for the peer's limit, in their order. */
  openParked(): void {
    if (this.isOver) return;
    let room = this.peer.maxConcurrentStreams - this.table.size - this.released;
    while (room-- > 0 && this.unopened.length > 0) {
      const stream = this.unopened.shift()!;
      stream.parked = Parked.no;
      stream.isReleased = true;
      this.released++;
      this.ready(stream);
    }
  }

  /** The stream waits for the connection: only `openParked` or `resumeStarved` makes it ready. @param where a `Parked`. */
  park(stream: Stream, where: number): void {
    stream.parked = where;
    if (where === Parked.starved) this.starved.push(stream);
    else if (where === Parked.unopened) this.unopened.push(stream);
    else this.unopened.unshift(stream);
  }

  /** The output of the stream waits for the peer's window, perhaps for ever. */
  waits(stream: Stream): void {
    if (this.role === 'server' && (stream.trailers !== null || stream.endAfterPending))
      this.handler.onUnread();
  }

  /** The connection's window has grown: streams that waited for it are ready. */
  resumeStarved(): void {
    const waiting = this.starved;
    this.starved = [];
    for (const stream of waiting) {
      stream.parked = Parked.no;
      this.ready(stream);
    }
  }

  /** Removes a closed stream, so that parked streams never outnumber open ones. */
  private unpark(stream: Stream): void {
    const list = stream.parked === Parked.starved ? this.starved : this.unopened;
    stream.parked = Parked.no;
    const at = list.indexOf(stream);
    if (at >= 0) list.splice(at, 1);
  }

  /** Remembers how a stream was closed. An older id never replaces a newer one, which `closedAs` would take for skipped. */
  remember(id: number, how: number): void {
    const slot = (id >>> 1) & (REMEMBERED - 1);
    if (id < this.closedIds[slot]!) return;
    this.closedIds[slot] = id;
    this.closedHow[slot] = how;
  }

  /**
   * How a stream that is not open was closed. `unknown`: it was never opened. Streams closed too long ago to be remembered
   * count as reset by us, which is the lenient reading.
   */
  closedAs(id: number): number {
    const slot = (id >>> 1) & (REMEMBERED - 1);
    const seen = this.closedIds[slot]!;
    if (seen === id) return this.closedHow[slot]!;
    return seen > id ? Closed.resetByUs : Closed.unknown;
  }

  /** Whether no stream with this id has been opened yet (RFC 9113 section 5.1, idle). */
  isIdle(id: number): boolean {
    if (this.role === 'server') return (id & 1) === 0 || id > this.lastPeerId;
    return (id & 1) === 0 || id >= this.nextId;
  }
}
