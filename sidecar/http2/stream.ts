import type { HeaderField } from './hpack/field.js';
import type { HeaderBlock, StableList } from './hpack/header-list.js';
import type { OwnedBuffer } from './owned-buffer.js';

/** Bytes of payload that wait to be written, of all connections that share the count; changed per frame. */
export class ByteCount {
  bytes = 0;
}

/** Memory of an open stream of a peer besides payload, bytes: records of the stream and of its call. */
export const STREAM_BYTES = 4096;

/** Why a stream ended before both sides had finished. */
export const Ending = {
  /** The peer sent RST_STREAM; the code says more (REFUSED_STREAM: never processed). */
  reset: 1,
  /** The peer's GOAWAY left it out: never processed. */
  unprocessed: 2,
  /** The connection went away; bytes may or may not have been processed. */
  lost: 3,
  /** The peer broke a rule on this stream and we reset it. */
  violation: 4,
} as const;

/** The events of one stream; its owner carries a call on it. */
export interface StreamOwner {
  /** The request's or the final response's header list. */
  onHeaders(stream: Stream, block: HeaderBlock, ended: boolean): void;
  /**
   * Payload; `buffer[start, end)` stays valid while it is referenced. The headers in front of it are the owner's from now
   * on, to pass on once. Call `credit` when it has been passed on.
   */
  onData(stream: Stream, buffer: OwnedBuffer, start: number, end: number, ended: boolean): void;
  onTrailers(stream: Stream, block: HeaderBlock): void;
  /** The stream ended early. @param ending an `Ending`. @param code HTTP/2 error code. */
  onEnding(stream: Stream, ending: number, code: number): void;
  /** `bytes` of this stream's DATA have been written to the output. */
  onSent(stream: Stream, bytes: number): void;
  /** Server: how long its complete response may wait to be read; absent: no limits of its own. Asked for once in a while. */
  readonly readLimits?: { readonly deadlineMs: number; readonly idleTimeoutMs: number };
  /** The handling of an event of this stream has thrown: ends what it carries. */
  giveUp?(): void;
  /** Server: bytes buffered for this stream besides its records; absent: what waits to be written on it. */
  bufferedBytes?(stream: Stream): number;
  /**
   * Server: since when nothing has moved because the peer owes the rest of a message, monotonic ms; Infinity: something moves, or is not
   * the peer's to move. Absent: not known.
   */
  stalledSinceMs?(stream: Stream): number;
  /** Server: the memory budget is exhausted: ends the stream and frees its buffers; absent: it is reset, and `onEnding` follows. */
  shed?(stream: Stream): void;
}

/** What a parked stream waits for: a change of the connection as a whole. */
export const Parked = {
  no: 0,
  /** The peer's limit on concurrent streams. */
  unopened: 1,
  /** The same, ahead of the others: it had been released when the limit was lowered. */
  unopenedFirst: 2,
  /** The connection's window. */
  starved: 3,
} as const;

/** A header list with more bytes than this counts as memory while it waits. */
export const LONG_LIST_BYTES = 16 * 1024;

/** A piece of payload that waits to be written. */
export class Chunk {
  next: Chunk | null = null;
  /** Free bytes after `end`; −1: the buffer belongs to others and is not written to. */
  spare = -1;
  /** DATA frames in `[start, end)`, headers included, ready to be sent as they are (framed-data.ts); 0: bare payload. */
  frames = 0;
  /** Where the header of the last one of them is. */
  lastHead = -1;
  constructor(
    public buffer: Buffer,
    public start: number,
    public end: number,
  ) {}
}

/**
 * One HTTP/2 stream (RFC 9113 section 5.1): its state, its windows and its unwritten output. A record that the connection
 * works on.
 */
export class Stream {
  /** 0 until a client's stream is written for the first time. */
  id = 0;
  /** The peer has sent its (final) header list; its END_STREAM; we have sent ours; the stream is closed. */
  gotHeaders = false;
  remoteEnded = false;
  localEnded = false;
  closed = false;
  /** `content-length` of the peer's body, bytes; −1: absent, not checked. */
  expectedBytes = -1;
  /** Payload of DATA so far, without padding. */
  receivedBytes = 0;
  /** Interim (1xx) responses received. */
  informational = 0;

  /** The window to restore, bytes. */
  recvTarget = this.recvWindow;
  /** Credit not yet announced by WINDOW_UPDATE, bytes. */
  unannounced = 0;

  /** Output in order: headers, payload, then trailers or a bare END_STREAM. */
  headers: StableList | null = null;
  headerExtras: readonly HeaderField[] = NO_FIELDS;
  firstChunk: Chunk | null = null;
  lastChunk: Chunk | null = null;
  pendingBytes = 0;
  trailers: StableList | null = null;
  trailerExtras: readonly HeaderField[] = NO_FIELDS;
  /** Bytes of the two lists, where they are long, until they are written; 0: not counted. */
  headersBytes = 0;
  trailersBytes = 0;
  /** Server: bytes of the request's list, which its owner keeps, where it is long. */
  requestListBytes = 0;
  endAfterPending = false;
  /** Set by the owner: END_STREAM never goes on its headers, but on DATA, empty if need be. */
  endsByData = false;
  /** Set by the owner: more payload is sure to follow within a moment, and what there is may wait for it (`readyLater`). */
  isPatient = false;
  /** Every chunk is in a buffer of about its own size (see pending-data.ts). */
  isCompact = true;
  /** In one of the connection's ready queues, and its neighbours there. */
  isReady = false;
  previousReady: Stream | null = null;
  nextReady: Stream | null = null;
  /** In one of the connection's other queues. */
  parked: number = Parked.no;
  /** Client: was parked, and gets one of the next ids. */
  isReleased = false;

  /** `recvWindow`: bytes that the peer may still send. */
  constructor(
    public owner: StreamOwner,
    public recvWindow: number,
    public sendWindow: number,
  ) {}

  /** Bytes of long header lists that are held for it. */
  get listBytes(): number {
    return this.headersBytes + this.trailersBytes + this.requestListBytes;
  }

  dropOutput(): void {
    this.headers = null;
    this.firstChunk = null;
    this.lastChunk = null;
    this.pendingBytes = 0;
    this.trailers = null;
    this.headersBytes = 0;
    this.trailersBytes = 0;
    this.requestListBytes = 0;
    this.endAfterPending = false;
  }
}

export const NO_FIELDS: readonly HeaderField[] = Object.freeze([]);

/** Ignores all that a stream reports: until the stream has an owner, or where no more is expected of it. */
export const NO_OWNER: StreamOwner = {
  onHeaders() {},
  onData() {},
  onTrailers() {},
  onEnding() {},
  onSent() {},
};
