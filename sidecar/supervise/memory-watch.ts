import { type MemorySuspicion, MemoryTrend } from '../core/foresight/memory-trend.js';
import type { Timer, Timers } from '../runtime/time/timers.js';

/** Between two looks, ms: as the trend expects them. */
const LOOK_MS = 5_000;

export interface MemoryWatchDeps {
  readonly timers: Timers;
  /** Resident memory of the process and its children, bytes; −1: not known, and nothing is concluded. */
  residentBytes(): number;
  /** What it may grow to, bytes; 0: not known. */
  limitBytes(): number;
  /** Called once each time a suspicion begins. What is done about it is for the owner of the process, a planned recycle for example. */
  onSuspicion(suspicion: MemorySuspicion): void;
}

/** Looks at the memory of a ready model process until `stop`, and says when it grows without end. It stops nothing itself. */
export class MemoryWatch {
  private readonly trend = new MemoryTrend();
  private timer: Timer;

  constructor(private readonly deps: MemoryWatchDeps) {
    this.timer = this.later();
  }

  /** What is suspected now. */
  get suspicion(): MemorySuspicion | undefined {
    return this.trend.suspicion;
  }

  stop(): void {
    this.timer.cancel();
  }

  private later(): Timer {
    return this.deps.timers.after(LOOK_MS, () => this.look(), { unref: true });
  }

  private look(): void {
    const { deps, trend } = this;
    this.timer = this.later();
    const residentBytes = deps.residentBytes();
    if (residentBytes < 0) return;
    const before = trend.suspicion;
    trend.observe(residentBytes, deps.limitBytes());
    if (before === undefined && trend.suspicion !== undefined) deps.onSuspicion(trend.suspicion);
  }
}
