/**
 * How often a process may be started in vain. A process that died after so many starts within so long is given up: it is
 * started again only now and then, once each time. The limit is that of a supervisor in Erlang/OTP (intensity, period) and
 * of systemd (StartLimitBurst, StartLimitIntervalSec); the slow retry is ours, because a model is often mended from outside.
 */

import { HEALTHY_RUN_MS } from './backoff.js';

export interface RestartLimitSettings {
  /** Starts, the first one included, that may fail within `withinMs`. */
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

export class RestartLimit {
  /** Of the starts since the last healthy run; at most `starts`, the latest ones. */
  private startedMs: number[] = [];
  private isGivenUp = false;
  private totalStarts = 0;
  private firstStartMs = 0;

  constructor(private readonly settings: RestartLimitSettings) {}

  started(nowMs: number): void {
    if (this.totalStarts === 0) this.firstStartMs = nowMs;
    this.totalStarts += 1;
    this.startedMs.push(nowMs);
    if (this.startedMs.length > this.settings.starts) this.startedMs.shift();
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
    if (!this.isGivenUp) {
      const first = this.startedMs[0];
      if (this.startedMs.length < starts || first === undefined || nowMs - first > withinMs) return null;
      this.isGivenUp = true;
      this.totalStarts = this.startedMs.length;
      this.firstStartMs = first;
    }
    return { starts: this.totalStarts, inMs: nowMs - this.firstStartMs, retryAfterMs };
  }

  private forget(): void {
    this.startedMs = [];
    this.totalStarts = 0;
  }
}
