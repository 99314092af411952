/**
 * The line before the local model: first in, first out, bounded by count and bytes, a fixed number let through at
 * once. Refuses on arrival what could not be served in time, and never lets expired work through. Decides only;
 * the relay answers the refused and starts the admitted.
 */

export const QueueState = { idle: 0, waiting: 1, running: 2, expired: 3 } as const;
export type QueueState = (typeof QueueState)[keyof typeof QueueState];

/** What became of an arrival. From `tooMany` on: refused, for this reason. */
export const Admission = {
  /** Start it now. */
  admitted: 0,
  waiting: 1,
  /** The line is at its limit of calls. */
  tooMany: 2,
  /** The line is at its limit of bytes. */
  tooLarge: 3,
  /** It would not reach the model before its deadline. */
  tooLate: 4,
} as const;
export type Admission = (typeof Admission)[keyof typeof Admission];

/** One call in the line. Extend it or own one; fields are the queue's to change. */
export class QueueEntry {
  queueState: QueueState = QueueState.idle;
  /** Request bytes counted while waiting. */
  queueBytes = 0;
  /** When it is no longer worth running; Infinity = never. */
  queueDeadlineMs = Number.POSITIVE_INFINITY;
  queueArrivedMs = 0;
  queueStartedMs = 0;
  /** @internal */
  queueNext: QueueEntry | null = null;
  /** @internal */
  queuePrev: QueueEntry | null = null;
}

export interface QueueSettings {
  /** Calls let through at once. 0 lets nobody through for now: arrivals line up, and no wait is foretold. */
  readonly concurrency: number;
  readonly maxWaiting: number;
  readonly maxWaitingBytes: number;
}

/** Weight of one run in the mean service time: it follows within some ten runs. */
const SERVICE_WEIGHT = 0.1;

export class InboundQueue<E extends QueueEntry> {
  private first: E | null = null;
  private last: E | null = null;

  running = 0;
  waiting = 0;
  waitingBytes = 0;
  /** Mean time a call holds its place, ms; 0 until one has finished. */
  serviceMs = 0;
  admittedTotal = 0;
  expiredTotal = 0;

  constructor(private settings: QueueSettings) {}

  get concurrency(): number {
    return this.settings.concurrency;
  }

  /** New limits for what happens from now on; nobody already waiting is sent away. Call `next` afterwards: more may be let through. */
  configure(settings: QueueSettings): void {
    this.settings = settings;
  }

  /** How long an arrival would wait for its turn, ms. 0 when it would not wait or nothing is known yet. */
  expectedWaitMs(): number {
    const { concurrency } = this.settings;
    if (concurrency <= 0 || (this.running < concurrency && this.waiting === 0)) return 0;
    return (this.serviceMs * (this.waiting + 1)) / concurrency;
  }

  /** An arrival. On `admitted` it is running, on `waiting` in line; otherwise it was not taken. */
  offer(entry: E, bytes: number, deadlineMs: number, nowMs: number): Admission {
    entry.queueBytes = bytes;
    entry.queueDeadlineMs = deadlineMs;
    entry.queueArrivedMs = nowMs;
    if (deadlineMs <= nowMs) return Admission.tooLate;
    if (this.running < this.settings.concurrency && this.waiting === 0) {
      this.start(entry, nowMs);
      return Admission.admitted;
    }
    if (this.waiting >= this.settings.maxWaiting) return Admission.tooMany;
    if (this.waitingBytes + bytes > this.settings.maxWaitingBytes) return Admission.tooLarge;
    if (this.expectedWaitMs() > deadlineMs - nowMs) return Admission.tooLate;
    this.append(entry);
    return Admission.waiting;
  }

  /** A running entry has finished; its time counts. Then call `next` until it returns null. */
  release(entry: E, nowMs: number): void {
    if (entry.queueState !== QueueState.running) return;
    const ranMs = nowMs - entry.queueStartedMs;
    this.serviceMs =
      this.serviceMs === 0 ? ranMs : this.serviceMs + (ranMs - this.serviceMs) * SERVICE_WEIGHT;
    this.forfeit(entry);
  }

  /** A running entry gave up its place without finishing, so its time says nothing. Then call `next` until it returns null. */
  forfeit(entry: E): void {
    if (entry.queueState !== QueueState.running) return;
    entry.queueState = QueueState.idle;
    this.running -= 1;
  }

  /**
   * The next entry to leave the line: `running`, now holding a place, or `expired`, to be answered so. Null when
   * all places are taken or nobody waits.
   */
  next(nowMs: number): E | null {
    const entry = this.first;
    if (entry === null) return null;
    if (entry.queueDeadlineMs <= nowMs) {
      this.unlink(entry);
      entry.queueState = QueueState.expired;
      this.expiredTotal += 1;
      return entry;
    }
    if (this.running >= this.settings.concurrency) return null;
    this.unlink(entry);
    this.start(entry, nowMs);
    return entry;
  }

  /** Takes a waiting entry out: its caller left, or its deadline passed. False when it was not waiting. */
  remove(entry: E): boolean {
    if (entry.queueState !== QueueState.waiting) return false;
    this.unlink(entry);
    entry.queueState = QueueState.idle;
    return true;
  }

  /** Takes the first waiting entry out whatever its state, to refuse it; null when nobody waits. For drains and a model that died. */
  takeWaiting(): E | null {
    const entry = this.first;
    if (entry !== null) this.remove(entry);
    return entry;
  }

  private start(entry: E, nowMs: number): void {
    entry.queueState = QueueState.running;
    entry.queueStartedMs = nowMs;
    this.running += 1;
    this.admittedTotal += 1;
  }

  private append(entry: E): void {
    entry.queueState = QueueState.waiting;
    entry.queuePrev = this.last;
    entry.queueNext = null;
    if (this.last === null) this.first = entry;
    else this.last.queueNext = entry;
    this.last = entry;
    this.waiting += 1;
    this.waitingBytes += entry.queueBytes;
  }

  private unlink(entry: E): void {
    const prev = entry.queuePrev as E | null;
    const next = entry.queueNext as E | null;
    if (prev === null) this.first = next;
    else prev.queueNext = next;
    if (next === null) this.last = prev;
    else next.queuePrev = prev;
    entry.queuePrev = null;
    entry.queueNext = null;
    this.waiting -= 1;
    this.waitingBytes -= entry.queueBytes;
  }
}
