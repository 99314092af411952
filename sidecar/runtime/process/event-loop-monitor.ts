import type { Clock } from '../time/clock.js';
import type { Timer, Timers } from '../time/timers.js';

/** A beat that is this much late is a stall. */
const STALL_MS = 100;
/** Time between beats while it runs. */
const BEAT_MS = 50;

/**
 * Detects stalls of our own event loop. A frozen or starved process sees deadlines pass and probes
 * time out all at once, and must conclude nothing about peers (Cassandra's local-pause detection,
 * Lifeguard). It runs one coarse timer while there is work, and none at other times.
 */
export class EventLoopMonitor {
  private timer: Timer | undefined;
  private lastBeatMs = 0;

  /** End of the last stall seen, monotonic ms; -Infinity before the first. */
  lastStallEndMs = Number.NEGATIVE_INFINITY;
  /** Length of the last stall, ms. */
  lastStallMs = 0;
  stalls = 0;

  /** @param isBusy asked at every beat: false stops the monitor. */
  constructor(
    private readonly clock: Clock,
    private readonly timers: Timers,
    private readonly isBusy: () => boolean,
  ) {}

  get isRunning(): boolean {
    return this.timer !== undefined;
  }

  /** To be called when work begins; calling it again does nothing. */
  start(): void {
    if (this.timer !== undefined) return;
    this.lastBeatMs = this.clock.now();
    this.timer = this.timers.every(BEAT_MS, () => this.onBeat(), { unref: true });
  }

  /** Stops the timer. Past stalls are still reported. */
  stop(): void {
    if (this.timer === undefined) return;
    this.beat();
    this.timer.cancel();
    this.timer = undefined;
  }

  /**
   * Whether a stall ended within the last `withinMs`, also one that ends only now, before the next
   * beat.
   */
  hasStalled(withinMs: number): boolean {
    const nowMs = this.timer === undefined ? this.clock.now() : this.beat();
    return nowMs - this.lastStallEndMs <= withinMs;
  }

  private onBeat(): void {
    if (this.isBusy()) this.beat();
    else this.stop();
  }

  private beat(): number {
    const nowMs = this.clock.now();
    const lateMs = nowMs - this.lastBeatMs - BEAT_MS;
    this.lastBeatMs = nowMs;
    if (lateMs < STALL_MS) return nowMs;
    this.lastStallEndMs = nowMs;
    this.lastStallMs = lateMs;
    this.stalls += 1;
    return nowMs;
  }
}
