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
}

/** Timers of the same time fire in the order in which they were armed. */
const inOrder = (a: Sleeper, b: Sleeper): number => a.dueMs - b.dueMs || a.order - b.order;

export class ManualClock implements Clock, Timers {
  private readonly sleepers = new Set<Sleeper>();
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
    return this.sleepers.size;
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
      this.run(next);
    }
    this.nowMs = untilMs;
  }

  /** Time passes and nothing can run, as in a frozen process; then everything overdue fires, once. */
  stall(ms: number): void {
    this.nowMs += ms;
    const overdue = [...this.sleepers].filter(({ dueMs }) => dueMs <= this.nowMs);
    for (const sleeper of overdue.sort(inOrder)) if (this.sleepers.has(sleeper)) this.run(sleeper);
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

  private run(sleeper: Sleeper): void {
    if (sleeper.everyMs > 0) {
      sleeper.dueMs = Math.max(sleeper.dueMs + sleeper.everyMs, this.nowMs + 1);
      sleeper.order = ++this.order;
    } else this.sleepers.delete(sleeper);
    sleeper.fn();
  }

  private first(): Sleeper | undefined {
    let first: Sleeper | undefined;
    for (const sleeper of this.sleepers)
      if (first === undefined || inOrder(sleeper, first) < 0) first = sleeper;
    return first;
  }

  private sleep(delayMs: number, everyMs: number, fn: () => void): Timer {
    const sleeper = { dueMs: this.nowMs + Math.max(0, delayMs), order: ++this.order, everyMs, fn };
    this.sleepers.add(sleeper);
    return { cancel: () => void this.sleepers.delete(sleeper) };
  }
}
