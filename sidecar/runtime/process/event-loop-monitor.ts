import type { Clock } from '../time/clock.js';
import type { Timer, Timers } from '../time/timers.js';

export interface EventLoopMonitorOptions {
  /** A beat that is this much late is a stall. Default 100 ms. */
  readonly stallMs?: number;
  /** Time between beats while it runs. Default 50 ms. */
  readonly beatMs?: number;
  /** Asked at every beat: false stops the monitor. Default: always `true`. */
  readonly isBusy?: () => boolean;
}

/**
 * Detects stalls of our own event loop. A frozen or starved process sees deadlines pass and probes
 * time out all at once, and must conclude nothing about peers (Cassandra's local-pause detection,
 * Lifeguard). It runs one coarse timer while there is work, and none at other times.
 */
export class EventLoopMonitor {
  private readonly stallMs: number;
  private readonly beatMs: number;
  private readonly isBusy: () => boolean;
  private timer: Timer | undefined;
  private lastBeatMs = 0;

  /** End of the last stall seen, monotonic ms; -Infinity before the first. */
  lastStallEndMs = Number.NEGATIVE_INFINITY;
  /** Length of the last stall, ms. */
  lastStallMs = 0;
  stalls = 0;

  constructor(
    private readonly clock: Clock,
    private readonly timers: Timers,
    options: EventLoopMonitorOptions = {},
  ) {
    this.stallMs = options.stallMs ?? 100;
    this.beatMs = options.beatMs ?? 50;
    this.isBusy = options.isBusy ?? (() => true);
  }

  get isRunning(): boolean {
    return this.timer !== undefined;
  }

  /** To be called when work begins; calling it again does nothing. */
  start(): void {
    if (this.timer !== undefined) return;
    this.lastBeatMs = this.clock.now();
    this.timer = this.timers.every(this.beatMs, () => this.onBeat(), { unref: true });
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
    const lateMs = nowMs - this.lastBeatMs - this.beatMs;
    this.lastBeatMs = nowMs;
    if (lateMs < this.stallMs) return nowMs;
    this.lastStallEndMs = nowMs;
    this.lastStallMs = lateMs;
    this.stalls += 1;
    return nowMs;
  }
}
