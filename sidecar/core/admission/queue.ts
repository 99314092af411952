/**
 * The line before the local model: bounded by count and bytes, a number let through at once that may be found by
 * measuring, classes and turns where they are asked for. Refuses on arrival what could not be served in time, and never
 * lets expired work through. Decides only; the relay answers the refused and starts the admitted.
 */
import { FairQueue, QueueNode } from './fair-queue.js';

/** `resting`: it ran and will go on, and holds no place meanwhile. `late`: its turn came, and its run would not be over in time. */
export const QueueState = { idle: 0, waiting: 1, running: 2, expired: 3, suspended: 4, late: 5 } as const;
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
  /** Its run would not be over before its deadline. */
  tooLate: 4,
} as const;
export type Admission = (typeof Admission)[keyof typeof Admission];

/** One call in the line. Extend it or own one; fields are the queue's to change, but for class and caller, set before it is offered. */
export class QueueEntry extends QueueNode {
  queueState: QueueState = QueueState.idle;
  /** Request bytes counted while waiting. */
  queueBytes = 0;
  /** When it is no longer worth running; Infinity = never. */
  queueDeadlineMs = Number.POSITIVE_INFINITY;
  queueArrivedMs = 0;
  queueStartedMs = 0;
}

export interface QueueSettings {
  /** Calls let through at once. 0 lets nobody through for now: arrivals line up, and no wait is foretold. */
  readonly concurrency: number;
  readonly maxWaiting: number;
  readonly maxWaitingBytes: number;
  /** Callers take turns within a class. Default false. */
  readonly fair?: boolean;
}

/** Weight of one run in the mean service time, once there were as many: it follows within some ten runs. */
const SERVICE_WEIGHT = 0.1;
/** A foretold wait may be this much too short: who is let in on the edge and comes too late has cost others their run. */
const CAUTION = 1.2;
/** While nothing runs, what is known of service times loses half its weight in this time: a slow spell is over some day. */
const IDLE_HALF_LIFE_MS = 10_000;

export class InboundQueue<E extends QueueEntry> {
  private readonly line: FairQueue<E>;
  /** Those that rested and would go on, in the order in which they asked. */
  private readonly waking = new Set<E>();
  /** The last place went to one of them: the next is the line's. */
  private wokeLast = false;
  private idleSinceMs = Number.POSITIVE_INFINITY;

  running = 0;
  waitingBytes = 0;
  /** Mean time a call holds its place, ms; 0 until one has finished. */
  serviceMs = 0;
  /** Runs that it is the mean of, up to as many as count. */
  private served = 0;
  admittedTotal = 0;
  expiredTotal = 0;
  /** Those refused when their turn came, as their runs would have been in vain. */
  lateTotal = 0;
  /** Waiting ones that gave way to more important arrivals, or to callers with fewer. */
  evictedTotal = 0;

  constructor(private settings: QueueSettings) {
    this.line = new FairQueue(settings.fair === true);
  }

  get waiting(): number {
    return this.line.length;
  }

  /** Of a class. */
  waitingOf(lineClass: number): number {
    return this.line.lengthOf(lineClass);
  }

  /** Room for half of what may wait is taken, in calls or in bytes. */
  get isHalfFull(): boolean {
    const { maxWaiting, maxWaitingBytes } = this.settings;
    return this.waiting * 2 >= maxWaiting || this.waitingBytes * 2 >= maxWaitingBytes;
  }

  get concurrency(): number {
    return this.settings.concurrency;
  }

  /** Every place is taken. */
  get isFull(): boolean {
    return this.running >= this.settings.concurrency;
  }

  /** New limits for what happens from now on; nobody already waiting is sent away. Call `next` afterwards: more may be let through. */
  configure(settings: QueueSettings): void {
    this.settings = settings;
    this.line.fair = settings.fair === true;
  }

  /** How long an arrival would wait for its turn, ms. 0 when it would not wait or nothing is known yet. */
  expectedWaitMs(lineClass = 0, caller = ''): number {
    const { concurrency } = this.settings;
    if (concurrency <= 0 || (this.running < concurrency && this.waiting === 0)) return 0;
    return (this.serviceMs * (this.line.aheadOf(lineClass, caller) + 1)) / concurrency;
  }

  /**
   * An arrival. On `admitted` it is running, on `waiting` in line; otherwise it was not taken. Where the line was full
   * and somebody gave way, `onEvicted` gets that one, to be refused.
   */
  offer(
    entry: E,
    bytes: number,
    deadlineMs: number,
    nowMs: number,
    onEvicted?: (entry: E) => void,
  ): Admission {
    entry.queueBytes = bytes;
    entry.queueDeadlineMs = deadlineMs;
    entry.queueArrivedMs = nowMs;
    if (deadlineMs <= nowMs) return Admission.tooLate;
    if (this.running < this.settings.concurrency && this.waiting === 0) {
      this.start(entry, nowMs);
      this.admittedTotal += 1;
      return Admission.admitted;
    }
    if (this.isTooLate(entry, deadlineMs - nowMs)) return Admission.tooLate;
    const refusal = this.makeRoom(entry, onEvicted);
    if (refusal !== Admission.waiting) return refusal;
    entry.queueState = QueueState.waiting;
    this.line.append(entry);
    this.waitingBytes += bytes;
    return Admission.waiting;
  }

  /**
   * What an arrival would be told now, whose bytes are not known yet: where it is a refusal, they need not be read. Takes
   * nobody in and sends nobody away.
   */
  foresee(entry: E, deadlineMs: number, nowMs: number): Admission {
    if (deadlineMs <= nowMs) return Admission.tooLate;
    if (this.running < this.settings.concurrency && this.waiting === 0) return Admission.admitted;
    if (this.isTooLate(entry, deadlineMs - nowMs)) return Admission.tooLate;
    const isFull = this.waiting >= this.roomFor(entry.lineClass);
    if (!isFull && this.waitingBytes < this.settings.maxWaitingBytes) return Admission.waiting;
    if (this.line.victimFor(entry.lineClass, entry.lineCaller) !== null) return Admission.waiting;
    return isFull ? Admission.tooMany : Admission.tooLarge;
  }

  /** A running entry has finished; its time counts. Then call `next` until it returns null. */
  release(entry: E, nowMs: number): void {
    if (entry.queueState !== QueueState.running) return;
    // The first ones count alike, or the very first, which had the model to itself, would count for too long.
    if (this.served * SERVICE_WEIGHT < 1) this.served += 1;
    this.serviceMs += (nowMs - entry.queueStartedMs - this.serviceMs) / this.served;
    this.releaseWithoutSample(entry, nowMs);
  }

  /** A running entry gave up its place without finishing, so its time says nothing. Then call `next` until it returns null. */
  releaseWithoutSample(entry: E, nowMs: number): void {
    if (entry.queueState !== QueueState.running) return;
    entry.queueState = QueueState.idle;
    this.running -= 1;
    if (this.running === 0) this.idleSinceMs = nowMs;
  }

  /** A running entry pauses, and somebody else may have its place. Then call `next` until it returns null. */
  suspend(entry: E, nowMs: number): void {
    if (entry.queueState !== QueueState.running) return;
    this.releaseWithoutSample(entry, nowMs);
    entry.queueState = QueueState.suspended;
  }

  /**
   * It would go on: true when it holds a place, at once where one is free. Otherwise it waits for one, by turns with those
   * in line; `nextWaking` tells when it has come.
   */
  resume(entry: E, nowMs: number): boolean {
    if (entry.queueState !== QueueState.suspended) return entry.queueState === QueueState.running;
    if (this.running >= this.settings.concurrency) {
      this.waking.add(entry);
      return false;
    }
    this.waking.delete(entry);
    this.start(entry, nowMs);
    return true;
  }

  /** The next of those that rested and would go on, now holding a place. Call it before each `next`. */
  nextWaking(nowMs: number): E | null {
    if (this.waking.size === 0 || this.running >= this.settings.concurrency) return null;
    if (this.wokeLast && this.waiting > 0) return null;
    const [entry] = this.waking as Iterable<E> as [E];
    this.waking.delete(entry);
    this.wokeLast = true;
    this.start(entry, nowMs);
    return entry;
  }

  /**
   * The next entry to leave the line: `running`, now holding a place, or `expired` or `late`, to be answered so. Null when
   * all places are taken or nobody waits.
   */
  next(nowMs: number): E | null {
    const entry = this.line.peek();
    if (entry === null) return null;
    if (entry.queueDeadlineMs <= nowMs) {
      this.takeOut(entry);
      entry.queueState = QueueState.expired;
      this.expiredTotal += 1;
      return entry;
    }
    if (this.running >= this.settings.concurrency) return null;
    // Others took longer than was foretold. What cannot end in time gives way to those behind it; where there are none, it
    // may show that runs have become shorter.
    if (this.waiting > 1 && entry.queueDeadlineMs - nowMs < this.serviceMs) {
      this.takeOut(entry);
      entry.queueState = QueueState.late;
      this.lateTotal += 1;
      return entry;
    }
    this.line.take();
    this.waitingBytes -= entry.queueBytes;
    this.wokeLast = false;
    this.start(entry, nowMs);
    this.admittedTotal += 1;
    return entry;
  }

  /** Takes out one that waits or rests: its caller left, or its deadline passed. False when it was not in line. */
  remove(entry: E): boolean {
    this.waking.delete(entry);
    if (entry.queueState !== QueueState.waiting) return false;
    this.takeOut(entry);
    return true;
  }

  /** Takes the first waiting entry out whatever its state, to refuse it; null when nobody waits. For drains and a model that died. */
  takeWaiting(): E | null {
    const entry = this.line.peek();
    if (entry !== null) this.remove(entry);
    return entry;
  }

  private isTooLate(entry: E, leftMs: number): boolean {
    const waitMs = this.expectedWaitMs(entry.lineClass, entry.lineCaller);
    return waitMs > 0 && waitMs * CAUTION + this.serviceMs > leftMs;
  }

  /**
   * How long the line may be for one of a class to join it: the less important, the more room it leaves, a quarter at
   * first and never more than half. So the important find room, and hardly anybody waits only to give way.
   */
  private roomFor(lineClass: number): number {
    const { maxWaiting } = this.settings;
    return maxWaiting - Math.floor((maxWaiting * lineClass) / (2 * (lineClass + 1)));
  }

  /** `waiting`: there is room, perhaps because somebody gave way. Nobody does unless that is enough. */
  private makeRoom(entry: E, onEvicted: ((entry: E) => void) | undefined): Admission {
    const isFull = this.waiting >= this.roomFor(entry.lineClass);
    const overBytes = this.waitingBytes + entry.queueBytes - this.settings.maxWaitingBytes;
    if (!isFull && overBytes <= 0) return Admission.waiting;
    const refusal = isFull ? Admission.tooMany : Admission.tooLarge;
    const victim = onEvicted === undefined ? null : this.line.victimFor(entry.lineClass, entry.lineCaller);
    if (victim === null || victim.queueBytes < overBytes) return refusal;
    this.takeOut(victim);
    this.evictedTotal += 1;
    onEvicted!(victim);
    return Admission.waiting;
  }

  private takeOut(entry: E): void {
    this.line.remove(entry);
    this.waitingBytes -= entry.queueBytes;
    entry.queueState = QueueState.idle;
  }

  private start(entry: E, nowMs: number): void {
    entry.queueState = QueueState.running;
    entry.queueStartedMs = nowMs;
    if (this.running === 0 && nowMs > this.idleSinceMs)
      this.serviceMs *= 0.5 ** ((nowMs - this.idleSinceMs) / IDLE_HALF_LIFE_MS);
    this.running += 1;
  }
}
