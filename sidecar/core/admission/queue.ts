import { FairQueue, QueueNode } from './fair-queue.js';

/** `suspended`: it ran and will go on, without a place meanwhile. `late`: its turn came, and its run would not end in time. */
export const QueueState = { idle: 0, waiting: 1, running: 2, expired: 3, suspended: 4, late: 5 } as const;
export type QueueState = (typeof QueueState)[keyof typeof QueueState];

/** The answer to an arrival. From `tooMany` on: refused, for this reason. */
export const Admission = {
  /** Start it now. */
  admitted: 0,
  waiting: 1,
  /** The queue is at its limit of calls. */
  tooMany: 2,
  /** The queue is at its limit of bytes. */
  tooLarge: 3,
  /** Its run would not end before its deadline. */
  tooLate: 4,
  /** The queue is at its limit of tokens. */
  tooCostly: 5,
} as const;
export type Admission = (typeof Admission)[keyof typeof Admission];

/** One call in the queue; to be extended. Only the queue changes its fields, except class, caller and cost, which are set before `offer`. */
export class QueueEntry extends QueueNode {
  queueState: QueueState = QueueState.idle;
  /** Bytes of its request, counted while it waits. */
  queueBytes = 0;
  /** Deadline, monotonic ms; Infinity: none. */
  queueDeadlineMs = Number.POSITIVE_INFINITY;
  queueStartedMs = 0;
  /** Since when it waits to go on, after it was suspended. */
  queueResumedMs = 0;
}

/** Limits of the queue. */
export interface QueueSettings {
  /** Calls that run at once. 0: none for now; arrivals wait, and no wait is predicted. */
  readonly concurrency: number;
  readonly maxWaiting: number;
  readonly maxWaitingBytes: number;
  /** Round robin over callers within a class. Default false. */
  readonly fair?: boolean;
  /** Entries wait up to this sum of their costs, by which callers take their turns. Absent: costs do not count. */
  readonly maxWaitingCost?: number | undefined;
}

/** Weight of one run in the mean service time, after the first ten. */
const SERVICE_WEIGHT = 0.1;
/** Factor on predicted waits: a call admitted at the edge that ends too late has cost others their run. */
const WAIT_MARGIN = 1.2;
/** While nothing runs, the mean service time halves in this time, ms: a slow period ends some time. */
const IDLE_HALF_LIFE_MS = 10_000;
/** What a refused call is told while no place is open, and while nothing is known of the runs yet, ms. */
const CLOSED_MS = 1_000;
const UNKNOWN_MS = 100;
/**
 * A suspended entry that wants to go on gets a place beyond the limit once no place has moved for so long, ms, and for so many times as long as
 * places are held; with each entry beyond the limit, for twice as long.
 */
const STUCK_MS = 5_000;
const STUCK_RUNS = 3;
const MOST_DOUBLINGS = 4;

/**
 * Admission queue before the local model, bounded by calls, bytes and perhaps tokens, with a concurrency that may be adaptive (gradient-limit.ts),
 * and classes and fairness where configured. Refuses on arrival what could not be served in time, and never admits expired
 * work. Decides only: the caller answers refused calls and starts admitted ones.
 */
export class InboundQueue<E extends QueueEntry> {
  private readonly queue: FairQueue<E>;
  /** Suspended entries that want to go on, in the order of `resume`. */
  private readonly resuming = new Set<E>();
  /** The last place went to one of them: the next is for the queue. */
  private resumedLast = false;
  private idleSinceMs = Number.POSITIVE_INFINITY;
  /** Mean time that a place is held, by runs of any kind, ms. */
  private heldMs = 0;
  /** When a place was last taken or given back, monotonic ms. */
  private movedMs = 0;

  running = 0;
  /** Entries that ran, pause, and have no place meanwhile. */
  suspended = 0;
  waitingBytes = 0;
  /** Sum of the costs of waiting entries, in tokens. */
  waitingCost = 0;
  private maxWaitingCost = Number.POSITIVE_INFINITY;
  /** Mean time that a call runs, ms; 0 until one has finished. */
  serviceMs = 0;
  /** Runs in the mean, up to 1 ÷ SERVICE_WEIGHT. */
  private served = 0;
  admittedTotal = 0;
  /** Answered because of their deadlines while they waited. */
  expiredTotal = 0;
  /** Refused when their turn came, because their runs would not have ended in time. */
  lateTotal = 0;
  /** Evicted for more important arrivals, or for callers with fewer entries. */
  evictedTotal = 0;

  constructor(private settings: QueueSettings) {
    this.queue = new FairQueue(settings.fair === true);
    this.configure(settings);
  }

  get waiting(): number {
    return this.queue.length;
  }

  /** Suspended entries that want nothing for now. */
  get idle(): number {
    return this.suspended - this.resuming.size;
  }

  /** Suspended entries that wait for a place. */
  get resumingEntries(): Iterable<E> {
    return this.resuming;
  }

  get hasResuming(): boolean {
    return this.resuming.size > 0;
  }

  /** The entry whose turn is next; null: none waits. */
  get first(): E | null {
    return this.queue.peek();
  }

  /** Waiting entries of a class. */
  waitingOf(queueClass: number): number {
    return this.queue.lengthOf(queueClass);
  }

  /** At least half of the limit on waiting calls, bytes or tokens is in use. */
  get isHalfFull(): boolean {
    const { maxWaiting, maxWaitingBytes } = this.settings;
    return (
      this.waiting * 2 >= maxWaiting ||
      this.waitingBytes * 2 >= maxWaitingBytes ||
      this.waitingCost * 2 >= this.maxWaitingCost
    );
  }

  get concurrency(): number {
    return this.settings.concurrency;
  }

  /** As many calls run as may. */
  get isFull(): boolean {
    return this.running >= this.settings.concurrency;
  }

  /** New limits from now on; waiting entries stay. Call `next` afterwards: more may be admitted. */
  configure(settings: QueueSettings): void {
    const { fair = false, maxWaitingCost } = settings;
    this.settings = settings;
    this.maxWaitingCost = maxWaitingCost ?? Number.POSITIVE_INFINITY;
    this.queue.configure(fair, maxWaitingCost !== undefined);
  }

  /** Predicted wait of an arrival, ms; 0 when it would not wait or nothing is known yet. */
  expectedWaitMs(queueClass = 0, caller = ''): number {
    const { concurrency } = this.settings;
    if (concurrency <= 0 || (this.running < concurrency && this.waiting === 0)) return 0;
    return (this.serviceMs * (this.queue.aheadOf(queueClass, caller) + 1)) / concurrency;
  }

  /**
   * When the queue will have run what is ahead of an arrival that is refused now, ms. Beside the runs that have ended it goes by how
   * long places are held, which is all that is known of streams, and by how long no place has become free: what runs since then
   * takes at least so long.
   */
  retryAfterMs(queueClass: number, caller: string, nowMs: number): number {
    const { concurrency } = this.settings;
    if (concurrency <= 0) return CLOSED_MS;
    if (this.running < concurrency && this.waiting === 0) return 0;
    const stuckMs = this.running >= concurrency ? nowMs - this.movedMs : 0;
    const eachMs = Math.max(this.serviceMs, this.heldMs, stuckMs) || UNKNOWN_MS;
    return (eachMs * (this.queue.aheadOf(queueClass, caller) + 1)) / concurrency;
  }

  /**
   * An arrival. After `admitted` it runs, after `waiting` it is in the queue; otherwise it was refused.
   * @param onEvicted gets the entry that was evicted for it, to be refused.
   * @param deadlineMs monotonic ms.
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
    this.queue.append(entry);
    this.waitingBytes += bytes;
    this.waitingCost += entry.queueCost;
    return Admission.waiting;
  }

  /**
   * The answer to an arrival whose bytes and cost are not known yet: after a refusal they need not be read. Changes nothing.
   */
  predict(entry: E, deadlineMs: number, nowMs: number): Admission {
    if (deadlineMs <= nowMs) return Admission.tooLate;
    if (this.running < this.settings.concurrency && this.waiting === 0) return Admission.admitted;
    if (this.isTooLate(entry, deadlineMs - nowMs)) return Admission.tooLate;
    const isFull = this.waiting >= this.roomFor(entry.queueClass);
    const isTooLarge = this.waitingBytes >= this.settings.maxWaitingBytes;
    if (!isFull && !isTooLarge && this.waitingCost < this.maxWaitingCost) return Admission.waiting;
    if (this.queue.evictionCandidate(entry.queueClass, entry.queueCaller, 0, isFull) !== null)
      return Admission.waiting;
    if (isFull) return Admission.tooMany;
    return isTooLarge ? Admission.tooLarge : Admission.tooCostly;
  }

  /** A running entry has finished; its time counts. Call `next` afterwards until it returns null. */
  release(entry: E, nowMs: number): void {
    if (entry.queueState !== QueueState.running) return;
    // A plain mean at first: the very first run, which had the model to itself, would count for too long.
    if (this.served * SERVICE_WEIGHT < 1) this.served += 1;
    this.serviceMs += (nowMs - entry.queueStartedMs - this.serviceMs) / this.served;
    this.releaseWithoutSample(entry, nowMs);
  }

  /** A running entry ended early: its time does not count. Call `next` afterwards until it returns null. */
  releaseWithoutSample(entry: E, nowMs: number): void {
    if (entry.queueState !== QueueState.running) return;
    entry.queueState = QueueState.idle;
    const heldMs = nowMs - entry.queueStartedMs;
    this.heldMs = this.heldMs === 0 ? heldMs : this.heldMs + (heldMs - this.heldMs) * SERVICE_WEIGHT;
    this.movedMs = nowMs;
    this.running -= 1;
    if (this.running === 0) this.idleSinceMs = nowMs;
  }

  /** A running entry pauses and frees its place. Call `next` afterwards until it returns null. */
  suspend(entry: E, nowMs: number): void {
    if (entry.queueState !== QueueState.running) return;
    this.releaseWithoutSample(entry, nowMs);
    entry.queueState = QueueState.suspended;
    this.suspended += 1;
  }

  /**
   * A suspended entry wants to go on: true when it has a place. Otherwise it waits for one, alternating with the queue, and
   * `nextResumed` returns it.
   */
  resume(entry: E, nowMs: number): boolean {
    if (entry.queueState !== QueueState.suspended) return entry.queueState === QueueState.running;
    if (this.running >= this.settings.concurrency) {
      if (!this.resuming.has(entry)) entry.queueResumedMs = nowMs;
      this.resuming.add(entry);
      return false;
    }
    this.resuming.delete(entry);
    this.start(entry, nowMs);
    return true;
  }

  /** The next suspended entry that goes on, now with a place; null: none. Call it before each `next`. */
  nextResumed(nowMs: number): E | null {
    if (this.resuming.size === 0 || this.running >= this.settings.concurrency) return null;
    if (this.resumedLast && this.waiting > 0) return null;
    return this.takeResuming(nowMs);
  }

  /**
   * The suspended entry that goes on beyond the limit, as no place has moved for long; null: none. It may occupy the worker of the model for
   * which the entries with a place wait, which would otherwise wait for each other for ever.
   */
  nextStuck(nowMs: number): E | null {
    const { concurrency } = this.settings;
    if (this.resuming.size === 0 || concurrency <= 0) return null;
    const [{ queueResumedMs }] = this.resuming as Iterable<E> as [E];
    const beyond = Math.max(0, this.running - concurrency);
    const usualMs = Math.max(STUCK_MS, STUCK_RUNS * Math.max(this.serviceMs, this.heldMs));
    const patienceMs = usualMs * 2 ** Math.min(beyond, MOST_DOUBLINGS);
    if (nowMs - Math.max(this.movedMs, queueResumedMs) < patienceMs) return null;
    return this.takeResuming(nowMs);
  }

  private takeResuming(nowMs: number): E {
    const [entry] = this.resuming as Iterable<E> as [E];
    this.resuming.delete(entry);
    this.resumedLast = true;
    this.start(entry, nowMs);
    return entry;
  }

  /**
   * The next entry to leave the queue: `running`, now with a place; or `expired` or `late`, to be refused. Null when no place is
   * free or none waits.
   */
  next(nowMs: number): E | null {
    const entry = this.queue.peek();
    if (entry === null) return null;
    if (entry.queueDeadlineMs <= nowMs) {
      this.takeOut(entry);
      entry.queueState = QueueState.expired;
      this.expiredTotal += 1;
      return entry;
    }
    if (this.running >= this.settings.concurrency) return null;
    // Runs took longer than predicted. An entry that cannot end in time makes room for those behind it; where there are none,
    // it may show that runs have become shorter.
    if (this.waiting > 1 && entry.queueDeadlineMs - nowMs < this.serviceMs) {
      this.takeOut(entry);
      entry.queueState = QueueState.late;
      this.lateTotal += 1;
      return entry;
    }
    this.queue.take();
    this.waitingBytes -= entry.queueBytes;
    this.waitingCost -= entry.queueCost;
    this.resumedLast = false;
    this.start(entry, nowMs);
    this.admittedTotal += 1;
    return entry;
  }

  /** Removes a waiting or suspended entry: its caller left, or its deadline passed. False when it was not waiting. */
  remove(entry: E): boolean {
    this.resuming.delete(entry);
    if (entry.queueState === QueueState.suspended) {
      entry.queueState = QueueState.idle;
      this.suspended -= 1;
    }
    if (entry.queueState !== QueueState.waiting) return false;
    this.takeOut(entry);
    return true;
  }

  /** Removes a waiting entry that is answered because of its deadline, before that passes or just after. */
  expire(entry: E): void {
    if (this.remove(entry)) this.expiredTotal += 1;
  }

  /** Removes the first waiting entry, to refuse it; null: none waits. For drains and an ended model process. */
  takeWaiting(): E | null {
    const entry = this.queue.peek();
    if (entry !== null) this.remove(entry);
    return entry;
  }

  private isTooLate(entry: E, leftMs: number): boolean {
    const waitMs = this.expectedWaitMs(entry.queueClass, entry.queueCaller);
    return waitMs > 0 && waitMs * WAIT_MARGIN + this.serviceMs > leftMs;
  }

  /**
   * Length of the queue up to which an entry of this class may join: the less important, the more room it leaves to others, a
   * quarter for class 1 and never more than half. So few entries wait only to be evicted.
   */
  private roomFor(queueClass: number): number {
    const { maxWaiting } = this.settings;
    return maxWaiting - Math.floor((maxWaiting * queueClass) / (2 * (queueClass + 1)));
  }

  /** `waiting`: there is room, perhaps after an eviction; an entry is evicted only when that is enough. */
  private makeRoom(entry: E, onEvicted: ((entry: E) => void) | undefined): Admission {
    const isFull = this.waiting >= this.roomFor(entry.queueClass);
    const overBytes = this.waitingBytes + entry.queueBytes - this.settings.maxWaitingBytes;
    // One that alone is more may wait while no other does: no later try would find more room.
    const overCost = this.waitingCost === 0 ? 0 : this.waitingCost + entry.queueCost - this.maxWaitingCost;
    if (!isFull && overBytes <= 0 && overCost <= 0) return Admission.waiting;
    const { queueClass, queueCaller, queueCost } = entry;
    const candidate =
      onEvicted === undefined
        ? null
        : this.queue.evictionCandidate(queueClass, queueCaller, queueCost, isFull);
    if (candidate === null || candidate.queueBytes < overBytes || candidate.queueCost < overCost) {
      if (isFull) return Admission.tooMany;
      return overBytes > 0 ? Admission.tooLarge : Admission.tooCostly;
    }
    this.takeOut(candidate);
    this.evictedTotal += 1;
    onEvicted!(candidate);
    return Admission.waiting;
  }

  private takeOut(entry: E): void {
    this.queue.remove(entry);
    this.waitingBytes -= entry.queueBytes;
    this.waitingCost -= entry.queueCost;
    entry.queueState = QueueState.idle;
  }

  private start(entry: E, nowMs: number): void {
    if (entry.queueState === QueueState.suspended) this.suspended -= 1;
    entry.queueState = QueueState.running;
    entry.queueStartedMs = nowMs;
    this.movedMs = nowMs;
    if (this.running === 0 && nowMs > this.idleSinceMs)
      this.serviceMs *= 0.5 ** ((nowMs - this.idleSinceMs) / IDLE_HALF_LIFE_MS);
    this.running += 1;
  }
}
