import { LAG_INTERVAL_MS } from '../history/record.js';

const TICK_MS = 10;

/** Notes how late the event loop of the clients is: the greatest lateness within each interval. */
export class LagMeter {
  /** Of each interval so far, ms. */
  readonly lags: number[] = [];
  private timer: NodeJS.Timeout | undefined;
  private dueMs = 0;

  /** @param now ms since the begin of the load. */
  constructor(private readonly now: () => number) {}

  start(): void {
    this.dueMs = this.now() + TICK_MS;
    this.timer = setInterval(() => this.tick(this.now()), TICK_MS).unref();
  }

  stop(): void {
    clearInterval(this.timer);
  }

  /** A timer that was due at `dueMs` has run: how late it is counts in each interval that it reaches over. */
  tick(atMs: number): void {
    const lateMs = Math.max(0, atMs - this.dueMs);
    const first = Math.max(0, Math.floor(this.dueMs / LAG_INTERVAL_MS));
    const last = Math.max(0, Math.floor(atMs / LAG_INTERVAL_MS));
    for (let i = this.lags.length; i < first; i++) this.lags[i] = 0;
    for (let i = first; i <= last; i++) this.lags[i] = Math.max(this.lags[i] ?? 0, lateMs);
    this.dueMs = atMs + TICK_MS;
  }
}
