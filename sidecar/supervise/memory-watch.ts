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
  /**
   * Called once each time a suspicion begins, and with undefined when it ends, with the process at the latest. What is done about it is
   * for the owner of the process, a planned recycle for example.
   */
  onSuspicion(suspicion: MemorySuspicion | undefined): void;
}

/** Looks at the memory of a ready model process until `stop`, and says when it grows without end. It stops nothing itself. */
export class MemoryWatch {
  private readonly trend = new MemoryTrend();
  private timer: Timer;
  /** A suspicion has been told. */
  private isSuspect = false;

  constructor(private readonly deps: MemoryWatchDeps) {
    this.timer = this.later();
  }

  /** The process has ended, or serves no more: what is suspected of it is not true of the next one. */
  stop(): void {
    this.timer.cancel();
    if (this.isSuspect) this.deps.onSuspicion(undefined);
    this.isSuspect = false;
  }

  private later(): Timer {
    return this.deps.timers.after(LOOK_MS, () => this.look(), { unref: true });
  }

  private look(): void {
    const { deps, trend } = this;
    this.timer = this.later();
    const residentBytes = deps.residentBytes();
    if (residentBytes < 0) return;
    trend.observe(residentBytes, deps.limitBytes());
    const { suspicion } = trend;
    if (this.isSuspect === (suspicion !== undefined)) return;
    this.isSuspect = !this.isSuspect;
    deps.onSuspicion(suspicion);
  }
}
