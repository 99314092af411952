/**
 * Did our own event loop stand still a moment ago? A frozen or starved process sees every deadline pass and
 * every probe unanswered at once; verdicts on others drawn from that are wrong (Cassandra's local-pause guard,
 * Lifeguard). While awake it beats on one coarse timer; at rest it costs nothing.
 */
import type { Clock } from '../time/clock.js';
import type { Timer, Timers } from '../time/timers.js';

export interface EventLoopMonitorOptions {
  /** A turn that comes this much later than it was due is a stall. Default 100 ms. */
  readonly stallMs?: number;
  /** Time between beats while awake. Default 50 ms. */
  readonly beatMs?: number;
  /** Asked at every beat: when there is no work left, the watch goes to rest by itself. Default: always `true`. */
  readonly isBusy?: () => boolean;
}

export class EventLoopMonitor {
  private readonly stallMs: number;
  private readonly beatMs: number;
  private readonly isBusy: () => boolean;
  private timer: Timer | undefined;
  private lastBeatMs = 0;

  /** End of the last stall seen, monotonic ms; -Infinity before the first. */
  lastStallEndMs = Number.NEGATIVE_INFINITY;
  /** Length of the last stall seen. */
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

  /** Begins to watch. Call it when work begins; calling it again does nothing. */
  start(): void {
    if (this.timer !== undefined) return;
    this.lastBeatMs = this.clock.now();
    this.timer = this.timers.every(this.beatMs, () => this.onBeat(), { unref: true });
  }

  /** Stops watching, with no timer left. Stalls already seen are remembered. */
  stop(): void {
    if (this.timer === undefined) return;
    this.beat();
    this.timer.cancel();
    this.timer = undefined;
  }

  /**
   * Whether a stall ended within the last `withinMs`. A stall shows at once, even when the caller's timer runs
   * before the beat after it.
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
