import { callsToEnd, type StalledCall } from '../core/admission/stalled-work.js';
import { ByteCount } from '../http2/stream.js';
import type { Flushable, FlushScheduler } from './flush-scheduler.js';

/** Stream window given at first, and to a stream that has shown it needs more, in bytes. */
export const FIRST_WINDOW = 64 * 1024;
export const WIDE_WINDOW = 1024 * 1024;
/** First window while memory is short: two of the largest frames, so that small responses can still be held. */
const TIGHT_WINDOW = 32 * 1024;

/** Shares of the budget: windows are tight from the first on, wide again below the second, and shedding ends at the third. */
const TIGHT_SHARE = 1 / 2;
const EASY_SHARE = 1 / 4;
const SHED_TO_SHARE = 7 / 8;
/** Stalled calls are ended from the first share on, until the second is reached. Others wait for memory at the first one. */
const SHORT_SHARE = 3 / 4;
const UNSTALLED_SHARE = 11 / 16;
/** Below the limit, stalled calls are looked for once in this time, ms. */
const LOOK_MS = 1_000;
/** Share of the budget that work beside calls may use, together with them. */
const ASIDE_SHARE = 1 / 2;
/** Windows stay tight for so long at least: each change is a SETTINGS frame on every connection. */
const TIGHT_MS = 1_000;
/** Connections shed from at one time, at most. */
const SHED_ROUNDS = 64;

/** A call that has stalled, and how to end it. */
export interface EndableCall extends StalledCall {
  end(): void;
}

/** A connection, as far as memory is concerned. */
export interface MemoryHolder {
  /** Bytes the process holds for its peer's calls. Walks over its streams. */
  heldBytes(): number;
  /** What the peer may send at once on its streams. */
  grantedBytes(): number;
  /** Ends calls of its peer until about `bytes` are free, those first that cannot move, then the largest; what became free. */
  shed(bytes: number): number;
  /** Adds those of its peer's calls to `calls` that may have stalled. Walks over its streams. */
  findStalled(calls: EndableCall[]): void;
  /** What each stream of it may receive at first from now on. */
  setFirstWindow(bytes: number): void;
}

/**
 * The budget of memory that calls may use, one for the process. Three things count: what may be refused (a request
 * buffered for another attempt, a wide window: `reserve`, `reserveWindow`), what has come and waits to be passed on, and
 * the records of open streams. First windows are not paid for in advance, as most calls use little of theirs: when half
 * of the budget is in use they are made smaller (RFC 9113 section 6.9.2). When three quarters are, calls end whose callers
 * have begun a message and stopped for seconds, on whichever connection: many connections with one each look like ordinary
 * callers otherwise. When all of it is in use and that is not enough, the connection that holds most loses calls, those
 * first that cannot move. It ends no call for its age, nor while there is room.
 */
export class MemoryBudget implements Flushable {
  /** Reserved: what is buffered for another attempt or a late status, and what wide windows allow. */
  held = 0;
  /** Of that, promises: room for bytes that count themselves once they have come. */
  reservedBytes = 0;
  /** Payload that waits to be passed on, and open streams. */
  readonly waiting = new ByteCount();
  readonly holders = new Set<MemoryHolder>();
  firstWindow = FIRST_WINDOW;

  isFlushScheduled = false;
  flushedInPass = 0;
  private flushes: FlushScheduler | null = null;
  private nowMs = 0;
  private tightSinceMs = 0;
  /** Memory was short before a turn's writes: what is still there after them cannot be written now. */
  private wasShort = false;
  private nextLookMs = 0;

  private readonly tightAt = Math.floor(this.limit * TIGHT_SHARE);

  /** `limit`: of the process, bytes. */
  constructor(readonly limit: number) {}

  /** Bytes that are really held, those of open streams included. */
  get used(): number {
    return this.waiting.bytes + this.held - this.reservedBytes;
  }

  /** Whether `bytes` more may be held; counts them when so. */
  reserve(bytes: number): boolean {
    if (this.held + this.waiting.bytes + bytes > this.limit) return false;
    this.held += bytes;
    return true;
  }

  /**
   * The same for work beside calls (copies, samples): it leaves half of the budget to them. Where half is in use, it steps
   * back.
   */
  reserveAside(bytes: number): boolean {
    return this.isRoomAside(bytes) && this.reserve(bytes);
  }

  /** As `reserveWindow`, for work beside calls. */
  reserveWindowAside(bytes: number): boolean {
    return this.isRoomAside(bytes) && this.reserveWindow(bytes);
  }

  private isRoomAside(bytes: number): boolean {
    return this.used + bytes <= this.limit * ASIDE_SHARE;
  }

  /** Counts what cannot be refused. */
  force(bytes: number): void {
    this.held += bytes;
  }

  release(bytes: number): void {
    this.held -= bytes;
  }

  /** As `reserve`, for a window that grows by `bytes`: a promise, which is kept until `withdraw`. */
  reserveWindow(bytes: number): boolean {
    if (!this.reserve(bytes)) return false;
    this.reservedBytes += bytes;
    return true;
  }

  /** A window of so many bytes is not needed any more. */
  withdraw(bytes: number): void {
    this.reservedBytes -= bytes;
    this.held -= bytes;
  }

  /** The windows of all open streams. Walks over them. */
  grantedBytes(): number {
    let bytes = 0;
    for (const holder of this.holders) bytes += holder.grantedBytes();
    return bytes;
  }

  /** Whether `review` is due: more than half is used, or was a moment ago. */
  get isAlarmed(): boolean {
    return this.firstWindow !== FIRST_WINDOW || this.used > this.tightAt;
  }

  /** Plans a check for the end of this turn, when what can be written has been. */
  review(turn: FlushScheduler, nowMs: number): void {
    this.flushes = turn;
    this.nowMs = nowMs;
    turn.schedule(this);
  }

  flush(): void {
    const { used, limit } = this;
    if (used > this.tightAt) this.setWindows(TIGHT_WINDOW);
    else if (used < limit * EASY_SHARE && this.nowMs - this.tightSinceMs >= TIGHT_MS)
      this.setWindows(FIRST_WINDOW);
    const isDue = used > limit || (used > limit * SHORT_SHARE && this.nowMs >= this.nextLookMs);
    if (isDue && !this.wasShort) {
      this.wasShort = true;
      this.flushes!.schedule(this);
      return;
    }
    this.wasShort = false;
    if (isDue) this.endStalled(used - limit * UNSTALLED_SHARE);
    if (this.used > limit) this.shed(this.used - limit * SHED_TO_SHARE);
  }

  private endStalled(bytes: number): void {
    this.nextLookMs = this.nowMs + LOOK_MS;
    const calls: EndableCall[] = [];
    for (const holder of this.holders) holder.findStalled(calls);
    for (const call of callsToEnd(calls, bytes, this.nowMs, this.used > this.limit)) call.end();
  }

  private setWindows(bytes: number): void {
    if (bytes === this.firstWindow) return;
    this.firstWindow = bytes;
    this.tightSinceMs = this.nowMs;
    for (const holder of this.holders) holder.setFirstWindow(bytes);
  }

  /** From the connection that holds most, half of what it holds at a time, until `bytes` are free. */
  private shed(bytes: number): void {
    const holds = [...this.holders].map((holder) => ({ holder, bytes: holder.heldBytes() }));
    let left = bytes;
    for (let round = 0; round < SHED_ROUNDS && left > 0; round++) {
      let most = holds[0];
      if (most === undefined) return;
      for (const each of holds) if (each.bytes > most.bytes) most = each;
      if (most.bytes === 0) return;
      const freed = most.holder.shed(Math.min(left, most.bytes / 2));
      left -= freed;
      most.bytes = freed === 0 ? 0 : most.bytes - freed;
    }
  }
}
