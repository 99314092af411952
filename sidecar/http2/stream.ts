/**
 * One HTTP/2 stream: its state (RFC 9113 section 5.1), its windows and its output that has not been written yet.
 * A plain record that the connection works on; whoever carries a call on it is its owner.
 */

import type { HeaderField } from './hpack/field.js';
import type { HeaderBlock, StableList } from './hpack/header-list.js';

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

export interface StreamOwner {
  /** The request's or the final response's header list. */
  onHeaders(stream: Stream, block: HeaderBlock, ended: boolean): void;
  /** Payload; `buffer[start, end)` stays valid as long as it is referenced. Give credit back when it has been passed on. */
  onData(stream: Stream, buffer: Buffer, start: number, end: number, ended: boolean): void;
  onTrailers(stream: Stream, block: HeaderBlock): void;
  onEnding(stream: Stream, ending: number, code: number): void;
  /** `bytes` of this stream's DATA have been taken into a bounded write. */
  onSent(stream: Stream, bytes: number): void;
  /** Server: octets held for this stream, its own records aside; absent: what waits to be written on it. */
  bufferedBytes?(stream: Stream): number;
  /** Server: there is no memory for it any more: it ends now, with all that is held for it; absent: it is reset. */
  shed?(stream: Stream): void;
}

/** Where a stream waits that can do nothing until the connection as a whole can. */
export const Parked = {
  no: 0,
  /** For the peer's limit on streams. */
  unopened: 1,
  /** The same, but it had been promised its turn when the limit was lowered. */
  unopenedFirst: 2,
  /** For the connection's window. */
  starved: 3,
} as const;

/** A piece of payload waiting to be written. */
export class Chunk {
  next: Chunk | null = null;
  /** Octets behind `end` that may be appended to; −1: the buffer is somebody else's. */
  spare = -1;
  constructor(
    public buffer: Buffer,
    public start: number,
    public end: number,
  ) {}
}

export class Stream {
  /** 0 until a client's stream is written for the first time. */
  id = 0;
  owner: StreamOwner;

  /** Peer has sent its (final) header list; END_STREAM; nothing more will be taken from or written to it. */
  gotHeaders = false;
  remoteEnded = false;
  localEnded = false;
  closed = false;
  /** Response to a HEAD or a rejected stream: body length is not checked. */
  expectedBytes = -1;
  receivedBytes = 0;
  informational = 0;

  recvWindow: number;
  recvTarget: number;
  /** Payload passed on and not yet announced by WINDOW_UPDATE. */
  unannounced = 0;
  sendWindow: number;

  /** Output in order: headers, payload, then trailers or a bare END_STREAM. */
  headers: StableList | null = null;
  headerExtras: readonly HeaderField[] = NO_FIELDS;
  firstChunk: Chunk | null = null;
  lastChunk: Chunk | null = null;
  pendingBytes = 0;
  trailers: StableList | null = null;
  trailerExtras: readonly HeaderField[] = NO_FIELDS;
  endAfterPending = false;
  /** Every chunk is held at its own size (see waiting.ts). */
  isCompact = true;
  /** In the connection's ready queue. */
  isReady = false;
  nextReady: Stream | null = null;
  /** In one of the connection's other queues. */
  parked: number = Parked.no;
  /** Client: was parked, and has been promised an id. */
  isReleased = false;

  constructor(owner: StreamOwner, recvWindow: number, sendWindow: number) {
    this.owner = owner;
    this.recvWindow = recvWindow;
    this.recvTarget = recvWindow;
    this.sendWindow = sendWindow;
  }

  dropOutput(): void {
    this.headers = null;
    this.firstChunk = null;
    this.lastChunk = null;
    this.pendingBytes = 0;
    this.trailers = null;
    this.endAfterPending = false;
  }
}

export const NO_FIELDS: readonly HeaderField[] = Object.freeze([]);
