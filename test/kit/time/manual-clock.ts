/**
 * Time by hand: a clock that stands still until told, and the timers that hang on it. `advance` fires what is
 * due in order, each at its own time, so a test of an hour takes a millisecond and never flakes.
 */
import type { Clock } from '../../../sidecar/runtime/time/clock.js';
import type { Timer, Timers } from '../../../sidecar/runtime/time/timers.js';

interface Sleeper {
  dueMs: number;
  order: number;
  readonly everyMs: number;
  readonly fn: () => void;
  isCancelled: boolean;
}

/** Timers of the same time fire in the order in which they were armed. */
const isBefore = (a: Sleeper, b: Sleeper): boolean =>
  a.dueMs < b.dueMs || (a.dueMs === b.dueMs && a.order < b.order);

export class ManualClock implements Clock, Timers {
  /** A binary heap, the first timer in front. Cancelled timers stay until they come to the front. */
  private readonly heap: Sleeper[] = [];
  private armed = 0;
  private order = 0;

  constructor(
    private nowMs = 1_000,
    private readonly epochMs = Date.UTC(2026, 0, 1),
  ) {}

  now(): number {
    return this.nowMs;
  }

  wallNow(): number {
    return this.epochMs + this.nowMs;
  }

  after(delayMs: number, fn: () => void): Timer {
    return this.sleep(delayMs, 0, fn);
  }

  every(periodMs: number, fn: () => void): Timer {
    return this.sleep(periodMs, periodMs, fn);
  }

  /** Timers armed now. */
  pending(): number {
    return this.armed;
  }

  /** When the next timer is due; Infinity when none is armed. */
  nextDueMs(): number {
    return this.first()?.dueMs ?? Number.POSITIVE_INFINITY;
  }

  /** Moves on by `ms`, firing on the way. A timer armed by another fires too when it is due by then. */
  advance(ms: number): void {
    const untilMs = this.nowMs + ms;
    for (;;) {
      const next = this.first();
      if (next === undefined || next.dueMs > untilMs) break;
      this.nowMs = Math.max(this.nowMs, next.dueMs);
      this.run(this.take());
    }
    this.nowMs = untilMs;
  }

  /** Moves on to the first timer and fires it alone. False: none is armed, or it is due after `untilMs`. */
  step(untilMs: number): boolean {
    const next = this.first();
    if (next === undefined || next.dueMs > untilMs) return false;
    this.nowMs = Math.max(this.nowMs, next.dueMs);
    this.run(this.take());
    return true;
  }

  /** Time passes and nothing can run, as in a frozen process; then everything overdue fires, once. */
  stall(ms: number): void {
    this.nowMs += ms;
    const overdue: Sleeper[] = [];
    for (let next = this.first(); next !== undefined && next.dueMs <= this.nowMs; next = this.first())
      overdue.push(this.take());
    for (const sleeper of overdue) if (!sleeper.isCancelled) this.run(sleeper);
  }

  /** `advance`, with pending promises settled before and after each timer. */
  async settle(ms = 0): Promise<void> {
    const untilMs = this.nowMs + ms;
    await new Promise(setImmediate);
    while (this.nextDueMs() <= untilMs) {
      this.advance(Math.max(0, this.nextDueMs() - this.nowMs));
      await new Promise(setImmediate);
    }
    // Another waiter may have moved it on meanwhile.
    this.advance(Math.max(0, untilMs - this.nowMs));
    await new Promise(setImmediate);
  }

  /** A timer that has been taken from the heap; one that repeats goes back into it. */
  private run(sleeper: Sleeper): void {
    if (sleeper.everyMs > 0) {
      sleeper.dueMs = Math.max(sleeper.dueMs + sleeper.everyMs, this.nowMs + 1);
      sleeper.order = ++this.order;
      this.put(sleeper);
    } else {
      sleeper.isCancelled = true;
      this.armed--;
    }
    sleeper.fn();
  }

  private first(): Sleeper | undefined {
    while (this.heap.length > 0 && this.heap[0]!.isCancelled) this.take();
    return this.heap[0];
  }

  private sleep(delayMs: number, everyMs: number, fn: () => void): Timer {
    const dueMs = this.nowMs + Math.max(0, delayMs);
    const sleeper: Sleeper = { dueMs, order: ++this.order, everyMs, fn, isCancelled: false };
    this.armed++;
    this.put(sleeper);
    return {
      cancel: () => {
        if (!sleeper.isCancelled) this.armed--;
        sleeper.isCancelled = true;
      },
    };
  }

  private put(sleeper: Sleeper): void {
    const { heap } = this;
    let at = heap.push(sleeper) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (isBefore(heap[parent]!, sleeper)) break;
      heap[at] = heap[parent]!;
      at = parent;
    }
    heap[at] = sleeper;
  }

  private take(): Sleeper {
    const { heap } = this;
    const first = heap[0]!;
    const last = heap.pop()!;
    if (heap.length === 0) return first;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && isBefore(heap[child + 1]!, heap[child]!)) child++;
      if (isBefore(last, heap[child]!)) break;
      heap[at] = heap[child]!;
      at = child;
    }
    heap[at] = last;
    return first;
  }
}
