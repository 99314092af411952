/**
 * How often a process may be started in vain. A process that died after so many starts within so long is given up: it is
 * started again only now and then, once each time. The limit is that of a supervisor in Erlang/OTP (intensity, period) and
 * of systemd (StartLimitBurst, StartLimitIntervalSec); the slow retry is ours, because a model is often mended from outside. A process that serves for most of the time between its deaths is not given
 * up: that would take away what it still does. The backoff slows its restarts down.
 */

import { HEALTHY_RUN_MS } from '../retry/backoff.js';

export interface RestartLimitSettings {
  /** Starts, the first one included, within `withinMs`, after which it is given up if it served for less than half of that time. */
  readonly starts: number;
  readonly withinMs: number;
  /** Time from giving up until the one start that tries again. */
  readonly retryAfterMs: number;
  /** A run at least this long was healthy: what was before it is forgotten. Default 60 s. */
  readonly healthyMs?: number;
}

/** What is said of a process that is given up. */
export interface GivenUp {
  /** Starts that count against it, and the time from the first of them until now. */
  readonly starts: number;
  readonly inMs: number;
  readonly retryAfterMs: number;
}

/** Being ready for less than this is not service: a process may be asked right before it dies. */
const SERVED_MS = 2_000;

export class RestartLimit {
  /** The latest starts since the last healthy run, at most `starts`, and how long each of these processes served. */
  private recent: { readonly startedMs: number; servedMs: number }[] = [];
  private isGivenUp = false;
  private totalStarts = 0;
  private firstStartMs = 0;

  constructor(private readonly settings: RestartLimitSettings) {}

  started(nowMs: number): void {
    if (this.totalStarts === 0) this.firstStartMs = nowMs;
    this.totalStarts += 1;
    this.recent.push({ startedMs: nowMs, servedMs: 0 });
    if (this.recent.length > this.settings.starts) this.recent.shift();
  }

  /** It serves: a slow retry that came this far has succeeded, and the whole limit is there again. */
  ready(): void {
    if (!this.isGivenUp) return;
    this.isGivenUp = false;
    this.forget();
  }

  /**
   * Null: it may be started again.
   * @param readyForMs how long it had been ready when it died; 0 when it never was.
   */
  died(readyForMs: number, nowMs: number): GivenUp | null {
    const { starts, withinMs, retryAfterMs, healthyMs = HEALTHY_RUN_MS } = this.settings;
    if (readyForMs >= healthyMs) {
      this.forget();
      return null;
    }
    const last = this.recent.at(-1);
    if (last !== undefined && readyForMs >= SERVED_MS) last.servedMs = readyForMs;
    if (!this.isGivenUp) {
      const [first] = this.recent;
      if (this.recent.length < starts || first === undefined || nowMs - first.startedMs > withinMs)
        return null;
      const servedMs = this.recent.reduce((sum, each) => sum + each.servedMs, 0);
      if (servedMs >= (nowMs - first.startedMs) / 2) return null;
      this.isGivenUp = true;
      this.totalStarts = this.recent.length;
      this.firstStartMs = first.startedMs;
    }
    return { starts: this.totalStarts, inMs: nowMs - this.firstStartMs, retryAfterMs };
  }

  private forget(): void {
    this.recent = [];
    this.totalStarts = 0;
  }
}
