import { PREFIX_BYTES } from '../codec/grpc-message.js';
import { getOrInsert } from '../runtime/get-or-insert.js';
import { WheelEntry } from '../runtime/time/timing-wheel.js';
import type { ChunkList } from '../transport/chunk-list.js';
import type { DataPlaneContext } from '../transport/context.js';
import type { Flushable } from '../transport/flush-scheduler.js';

/** Share of the memory budget up to which requests are let in; what has begun to wait has the rest. */
const OPEN_SHARE = 3 / 4;
/** While requests wait, those that have room are looked at so often; one that twice sent nothing gives it back. */
const CHECK_MS = 1_000;
const IDLE_LOOKS = 2;
/** Bytes in one look below which a request counts as sending nothing, where its connection has more than its share. */
const SLOW_BYTES = 4096;
/** What small slices of a request cost, in multiples of their bytes (chunk-list.ts). */
const COST = 2;

/** A request that is to send more than its first window. */
export class BufferPlace {
  /** It may send more now; else it waits until there is memory. */
  isGranted = false;
  /** Bytes at the last look, and looks in a row without enough since. */
  seenBytes = 0;
  idleLooks = 0;

  constructor(
    /** How much may come in all. */
    readonly limit: number,
  ) {}
}

/** A request that is collected before it goes on. */
export interface BufferedRequest {
  readonly isFinished: boolean;
  /** Bytes that have come. */
  readonly requestBytes: number;
  /** All of it has come. */
  readonly requestEnded: boolean;
  /** It has been queued or forwarded: its caller has nothing to send for now. */
  readonly isUnderWay: boolean;
  readonly buffered: ChunkList | null;
  /** The connection it comes by. */
  readonly holder: object;
  /** Null: it is within its first window, goes on already, or is over. One that waits in the queue of its model keeps it. */
  place: BufferPlace | null;
  /** Its caller may send more. */
  onRequestSent(bytes: number): void;
  /** There is no memory for it. */
  shed(): void;
}

/** The requests of one connection. */
class PeerRequests {
  readonly waiting: BufferedRequest[] = [];
  readonly granted = new Set<BufferedRequest>();
  /** What was reserved for it when it was last summed up, and has been since then. */
  counted = 0;

  get reserved(): number {
    let bytes = 0;
    for (const request of this.granted) bytes += expectedBytes(request);
    return bytes;
  }
}

/**
 * Which requests may send more than their first window while they are buffered whole. A request that waits for its end
 * needs memory until then; where there is none left its caller gets no credit, so that it waits instead of losing the
 * call (RFC 9113 section 6.9: flow control limits the memory of a receiver). Memory is reserved for what is still to
 * come, by the length in front of a gRPC message, and given to the connection that has least of it reserved.
 *
 * One request is let in always, so that some end. A request that has credit and sends nothing, or next to nothing on a
 * connection that has more than its share, is ended only while others wait for what is reserved for it. One that is complete, or waits
 * in the queue of its model, owes nothing and is never ended here.
 */
export class BufferAdmission extends WheelEntry implements Flushable {
  isFlushScheduled = false;
  flushedInPass = 0;
  /** Requests that wait for memory. */
  waiting = 0;
  private readonly peers = new Map<object, PeerRequests>();
  private isSecondFlush = false;

  constructor(
    private readonly context: DataPlaneContext,
    /** Longest request that is collected, bytes. */
    private readonly maxRequestBytes: number,
  ) {
    super();
  }

  /** Whether more of the request may be sent now; otherwise its caller gets credit when there is room. */
  admits(request: BufferedRequest): boolean {
    const { place } = request;
    if (place === null) {
      const announced = announcedBytes(request.buffered) ?? this.maxRequestBytes;
      request.place = new BufferPlace(Math.min(announced, this.maxRequestBytes));
    } else {
      if (!place.isGranted) return false;
      if (request.requestBytes < place.limit) return true;
      // It is longer than it said.
      this.forget(request, place);
      request.place = new BufferPlace(this.maxRequestBytes);
    }
    const peer = this.peerOf(request.holder);
    if (this.waiting === 0 && this.hasRoom(expectedBytes(request))) {
      grant(peer, request);
      return true;
    }
    peer.waiting.push(request);
    if (this.waiting++ === 0) this.checkLater();
    return false;
  }

  /** The request goes on, or is over: what was reserved for it is free. */
  release(request: BufferedRequest): void {
    if (request.place !== null) this.forget(request, request.place);
    this.wake();
  }

  /** Memory may have become free. */
  wake(): void {
    if (this.waiting > 0) this.context.flushes.schedule(this);
  }

  /** What goes on is written at the end of a turn: in the second pass there is as much room as this turn brings. */
  flush(): void {
    this.isSecondFlush = !this.isSecondFlush;
    if (this.isSecondFlush) this.context.flushes.schedule(this);
    else this.grantWaiting();
  }

  fire(): void {
    this.context.nowMs = this.context.clock.now();
    if (this.waiting > 0) this.shedStalled();
    this.grantWaiting();
    const { memory, flushes, nowMs } = this.context;
    if (this.waiting > 0 && memory.isAlarmed) memory.review(flushes, nowMs);
    this.checkLater();
  }

  private checkLater(): void {
    if (this.waiting > 0) this.context.wheel.add(this, this.context.nowMs + CHECK_MS);
  }

  /** The sums are made once: made for each request, they would take time by the square of what waits. */
  private grantWaiting(): void {
    if (this.waiting === 0) return;
    const total = this.total();
    while (this.waiting > 0) {
      const peer = this.next();
      const request = peer.waiting[0]!;
      const bytes = expectedBytes(request);
      if (!this.fits(bytes, total)) return;
      peer.waiting.shift();
      this.waiting--;
      grant(peer, request);
      peer.counted += bytes;
      total.reserved += bytes;
      total.granted++;
      try {
        request.onRequestSent(request.requestBytes);
      } catch (error) {
        this.context.containment.contain(request, error);
      }
    }
  }

  /** Of the connections on which requests wait, the one that has least reserved. */
  private next(): PeerRequests {
    let least: PeerRequests | null = null;
    for (const peer of this.peers.values())
      if (peer.waiting.length > 0 && (least === null || peer.counted < least.counted)) least = peer;
    return least!;
  }

  private hasRoom(bytes: number): boolean {
    return this.fits(bytes, this.total());
  }

  private fits(bytes: number, { reserved, granted }: { reserved: number; granted: number }): boolean {
    const { memory } = this.context;
    return granted === 0 || memory.used + reserved + bytes <= memory.limit * OPEN_SHARE;
  }

  private total(): { reserved: number; granted: number } {
    let reserved = 0;
    let granted = 0;
    for (const peer of this.peers.values()) {
      peer.counted = peer.reserved;
      reserved += peer.counted;
      granted += peer.granted.size;
    }
    return { reserved, granted };
  }

  private shedStalled(): void {
    const share = this.total().reserved / this.peers.size;
    for (const peer of [...this.peers.values()]) {
      const hasMore = peer.reserved > share;
      for (const request of [...peer.granted]) {
        const place = request.place!;
        if (request.requestEnded || request.isUnderWay) continue;
        const came = request.requestBytes - place.seenBytes;
        place.seenBytes = request.requestBytes;
        const isIdle = came === 0 || (hasMore && came < SLOW_BYTES);
        place.idleLooks = isIdle ? place.idleLooks + 1 : 0;
        if (place.idleLooks < IDLE_LOOKS) continue;
        this.forget(request, place);
        try {
          request.shed();
        } catch (error) {
          this.context.containment.contain(request, error);
        }
      }
    }
  }

  private forget(request: BufferedRequest, place: BufferPlace): void {
    const peer = this.peerOf(request.holder);
    if (place.isGranted) peer.granted.delete(request);
    else {
      peer.waiting.splice(peer.waiting.indexOf(request), 1);
      this.waiting--;
    }
    request.place = null;
    if (peer.waiting.length === 0 && peer.granted.size === 0) this.peers.delete(request.holder);
  }

  private peerOf(holder: object): PeerRequests {
    return getOrInsert(this.peers, holder, () => new PeerRequests());
  }
}

function grant(peer: PeerRequests, request: BufferedRequest): void {
  const place = request.place!;
  place.isGranted = true;
  place.seenBytes = request.requestBytes;
  peer.granted.add(request);
}

/** Memory that is reserved for what is still to come, bytes. */
function expectedBytes({ place, requestBytes, requestEnded }: BufferedRequest): number {
  const limit = place === null || requestEnded ? 0 : place.limit;
  return limit > requestBytes ? COST * (limit - requestBytes) : 0;
}

/** Length of a request of one message, with its prefix; undefined: too little of it is here. */
function announcedBytes(buffered: ChunkList | null): number | undefined {
  if (buffered === null || buffered.count === 0) return undefined;
  const { buffer, start, end } = buffered.at(0);
  return end - start < PREFIX_BYTES ? undefined : PREFIX_BYTES + buffer.readUInt32BE(start + 1);
}
