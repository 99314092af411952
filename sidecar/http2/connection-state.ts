/**
 * Everything one connection remembers, and the few steps that both receiving and sending need: queueing a stream
 * for output, closing it, and remembering how it closed. No frames are read or written here.
 */

import { DEFAULT_WINDOW, FrameType } from './constants.js';
import { Decoder } from './hpack/decoder.js';
import { Encoder } from './hpack/encoder.js';
import type { HeaderBlock } from './hpack/header-list.js';
import { type LimitName, Meter, Meters, RESETS_SENT } from './limits.js';
import { type OctetCount, STREAM_BYTES } from './octet-count.js';
import { type LocalSettings, PeerSettings } from './settings.js';
import { Parked, type Stream } from './stream.js';
import { StreamTable } from './stream-table.js';
import { ControlQueue } from './write-buffer.js';

export type Role = 'server' | 'client';

/** What the connection tells its owner; all calls are made while bytes are being received. */
export interface ConnectionHandler {
  /** Server: a well-formed request. Must set `stream.owner`. */
  onStream(stream: Stream, block: HeaderBlock, ended: boolean): void;
  /** The peer's SETTINGS arrived: the first ones prove that it is alive. */
  onPeerSettings(): void;
  onPong(): void;
  onGoaway(code: number, debug: string): void;
  /** A stream ended, or the peer allows more of them. */
  onRoom(): void;
  /** There is output: call `flush` before this turn of the event loop is over. */
  onDirty(): void;
  onLimit(name: LimitName): void;
  /** The connection is over: flush what is queued (a GOAWAY), then close the socket. */
  onFatal(code: number, message: string): void;
  /** Something threw that should not have; the connection ends. Must not throw. */
  onDefect(error: unknown): void;
}

/** How a stream id that is no longer open was closed. */
export const Closed = { unknown: 0, ended: 1, resetByUs: 2, resetByPeer: 3 } as const;
const REMEMBERED = 1024;
/** A stream with no more payload than this to write is a small one. */
export const SMALL_BYTES = 4096;
/** Neither line saves up more than this while the other one is empty. */
const MOST_AHEAD = 16 * 1024;

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
  isOver = false;
  isDirty = false;

  /** What a new stream may receive, as far as the peer has acknowledged it; what has been announced; 0: the same. */
  initialWindow: number;
  announcedWindow = 0;
  recvWindow = DEFAULT_WINDOW;
  unannounced = 0;
  sendWindow = DEFAULT_WINDOW;

  /** Server: highest id opened by the peer. Client: next id to use. */
  lastPeerId = 0;
  nextId = 1;
  /** Highest id the last GOAWAY we sent lets through. */
  goawaySent = 0x7fffffff;
  goawayReceived = false;
  pingsOutstanding = 0;
  /** The limit that ended the connection. */
  exceededLimit: LimitName | null = null;
  /** Client: more RST_STREAM have been sent than servers put up with on one connection. */
  resetsExhausted = false;
  private readonly resetsSent = new Meter(RESETS_SENT);

  /** Streams with output that may be written now, first come first served, one quantum each. */
  firstReady: Stream | null = null;
  lastReady: Stream | null = null;
  /** The same, of little payload or none. The two lines take turns. */
  firstSmall: Stream | null = null;
  lastSmall: Stream | null = null;
  /** Octets by which the small ones are ahead of the others. */
  private smallLead = 0;
  /** Streams with payload and stream window that wait for the connection's window. */
  starved: Stream[] = [];
  /** Client: streams that wait for the peer's stream limit. */
  unopened: Stream[] = [];
  /** Client: streams that have something to send and no id yet; of these, those that have been promised one. */
  pendingOpen = 0;
  released = 0;

  /** The header block being collected, and of which stream. */
  blockStream = 0;
  blockSinceMs = 0;
  blockFlags = 0;
  blockFrames = 0;
  block: Buffer[] = [];
  blockBytes = 0;

  /** The DATA frame being received; null when its payload is to be dropped. */
  dataStream: Stream | null = null;
  dataFlags = 0;
  dataLength = 0;
  dataSeen = 0;

  private readonly closedIds = new Int32Array(REMEMBERED);
  private readonly closedHow = new Uint8Array(REMEMBERED);

  constructor(
    readonly role: Role,
    readonly local: LocalSettings,
    readonly handler: ConnectionHandler,
    /** Payload that waits to be written, and open streams of a peer; shared with other connections. */
    readonly waiting: OctetCount,
  ) {
    this.initialWindow = local.initialWindow;
    this.meters = new Meters(local.buckets);
    this.decoder = new Decoder({
      maxTableBytes: 4096,
      maxListBytes: local.maxHeaderBytes,
      maxFields: local.maxHeaderFields,
    });
  }

  /** Queues RST_STREAM for a stream that has an id. */
  sendReset(id: number, code: number): void {
    this.control.word(FrameType.rstStream, id, code);
    if (this.role === 'client' && !this.resetsSent.take(this.nowMs)) this.resetsExhausted = true;
    this.dirty();
  }

  dirty(): void {
    if (this.isDirty) return;
    this.isDirty = true;
    this.handler.onDirty();
  }

  ready(stream: Stream): void {
    if (stream.isReady || stream.closed || stream.parked !== Parked.no) return;
    stream.isReady = true;
    this.append(stream);
    this.dirty();
  }

  /**
   * The next stream to be written; null: none is ready. Small calls do not wait for all the large ones before them, of which
   * a single peer may have thousands on its way to one endpoint: the two lines get as many octets each.
   */
  takeReady(): Stream | null {
    for (;;) {
      const { firstSmall } = this;
      if (firstSmall === null || (this.smallLead > 0 && this.firstReady !== null)) return this.takeLarge();
      this.firstSmall = firstSmall.nextReady;
      if (this.firstSmall === null) this.lastSmall = null;
      // More has been queued since it joined this line.
      if (firstSmall.pendingBytes > SMALL_BYTES) this.append(firstSmall);
      else return unlinked(firstSmall);
    }
  }

  private takeLarge(): Stream | null {
    const stream = this.firstReady;
    if (stream === null) return null;
    this.firstReady = stream.nextReady;
    if (this.firstReady === null) this.lastReady = null;
    return unlinked(stream);
  }

  /** `bytes` have been written for one that `takeReady` gave. */
  wrote(bytes: number, isSmall: boolean): void {
    const ahead = isSmall ? this.smallLead + bytes : this.smallLead - bytes;
    this.smallLead = Math.min(Math.max(ahead, -MOST_AHEAD), MOST_AHEAD);
  }

  /** To the end of its line. */
  private append(stream: Stream): void {
    stream.nextReady = null;
    if (stream.pendingBytes <= SMALL_BYTES) {
      if (this.lastSmall === null) this.firstSmall = stream;
      else this.lastSmall.nextReady = stream;
      this.lastSmall = stream;
    } else {
      if (this.lastReady === null) this.firstReady = stream;
      else this.lastReady.nextReady = stream;
      this.lastReady = stream;
    }
  }

  get hasReady(): boolean {
    return this.firstSmall !== null || this.firstReady !== null;
  }

  /** Forgets the stream. Its output is dropped; queues skip it when they come to it. */
  close(stream: Stream, how: number): void {
    if (stream.closed) return;
    stream.closed = true;
    if (stream.parked !== Parked.no) this.unpark(stream);
    this.waiting.octets -= stream.pendingBytes;
    if (stream.id !== 0) {
      if (this.role === 'server') this.waiting.octets -= STREAM_BYTES;
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

  /** Client: streams that waited for the peer's limit get their turn, in the order they came. */
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

  /** The stream waits for more than its own window: nothing but `openParked` or `resumeStarved` makes it ready. */
  park(stream: Stream, where: number): void {
    stream.parked = where;
    if (where === Parked.starved) this.starved.push(stream);
    else if (where === Parked.unopened) this.unopened.push(stream);
    else this.unopened.unshift(stream);
  }

  /** The connection's window has grown. */
  resumeStarved(): void {
    const waiting = this.starved;
    this.starved = [];
    for (const stream of waiting) {
      stream.parked = Parked.no;
      this.ready(stream);
    }
  }

  /** A closed stream leaves no trace, so that what is parked never outnumbers what is open. */
  private unpark(stream: Stream): void {
    const list = stream.parked === Parked.starved ? this.starved : this.unopened;
    stream.parked = Parked.no;
    const at = list.indexOf(stream);
    if (at >= 0) list.splice(at, 1);
  }

  /** An older id never pushes a newer one out: then `closedAs` would take the newer one for skipped. */
  remember(id: number, how: number): void {
    const slot = (id >>> 1) & (REMEMBERED - 1);
    if (id < this.closedIds[slot]!) return;
    this.closedIds[slot] = id;
    this.closedHow[slot] = how;
  }

  /**
   * How an id that is not open came to be closed. `unknown` when it was never opened; ids that other ids have
   * since pushed out of memory count as reset by us, which is the lenient reading.
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

function unlinked(stream: Stream): Stream {
  stream.nextReady = null;
  stream.isReady = false;
  return stream;
}
