import { HEALTHY_RUN_MS } from '../retry/backoff.js';

/** When a process is given up; times in ms. */
export interface RestartLimitSettings {
  /** Starts, the first one included, within `withinMs`, after which it is given up if it served for less than half of that time. */
  readonly starts: number;
  readonly withinMs: number;
  /** Time from giving up until the single next start. */
  readonly retryAfterMs: number;
}

/** A process that is given up. */
export interface GivenUp {
  /** Starts that count against it, and the time from the first of them until now. */
  readonly starts: number;
  readonly inMs: number;
  readonly retryAfterMs: number;
}

/** Being ready for less than this is not service, ms: a process may become ready right before it ends. */
const SERVED_MS = 2_000;

/**
 * How often a process may be started in vain: after so many starts within a time it is given up, and started again only now and
 * then. The limit is that of an Erlang/OTP supervisor (intensity, period) and of systemd (StartLimitBurst,
 * StartLimitIntervalSec); the slow retry is added, because a model is often repaired from outside. A process that serves for most
 * of the time between its ends is not given up; the backoff slows its restarts down.
 */
export class RestartLimit {
  /** The latest starts since the last healthy run, at most `starts`, and how long each of these processes served. */
  private recent: { readonly startedMs: number; servedMs: number }[] = [];
  private isGivenUp = false;
  private totalStarts = 0;
  private firstStartMs = 0;

  constructor(private readonly settings: RestartLimitSettings) {}

  /** It was given up by the process before this one: the next start is a single one. */
  resume(): void {
    this.isGivenUp = true;
  }

  started(nowMs: number): void {
    if (this.totalStarts === 0) this.firstStartMs = nowMs;
    this.totalStarts += 1;
    this.recent.push({ startedMs: nowMs, servedMs: 0 });
    if (this.recent.length > this.settings.starts) this.recent.shift();
  }

  /** The process is ready: a slow retry has succeeded, and the limit begins anew. */
  ready(): void {
    if (!this.isGivenUp) return;
    this.isGivenUp = false;
    this.forget();
  }

  /**
   * The process ended. Null: it may be started again.
   * @param readyForMs how long it had been ready, ms; 0 when it never was.
   */
  died(readyForMs: number, nowMs: number): GivenUp | null {
    const { retryAfterMs } = this.settings;
    // A healthy run: what was before it is forgotten.
    if (readyForMs >= HEALTHY_RUN_MS) {
      this.forget();
      return null;
    }
    const last = this.recent.at(-1);
    if (last !== undefined && readyForMs >= SERVED_MS) last.servedMs = readyForMs;
    if (!this.isGivenUp) {
      if (this.mayStart(0, nowMs)) return null;
      this.isGivenUp = true;
      this.totalStarts = this.recent.length;
      this.firstStartMs = this.recent[0]!.startedMs;
    }
    return { starts: this.totalStarts, inMs: nowMs - this.firstStartMs, retryAfterMs };
  }

  /**
   * Whether it would be started again if it ended now; changes nothing. A drill asks before it ends a process on purpose.
   * @param readyForMs as in `died`.
   */
  mayDie(readyForMs: number, nowMs: number): boolean {
    if (readyForMs >= HEALTHY_RUN_MS) return true;
    return !this.isGivenUp && this.mayStart(readyForMs >= SERVED_MS ? readyForMs : 0, nowMs);
  }

  /** Whether the latest starts are few enough, far enough apart, or had enough service. @param moreMs service not yet noted. */
  private mayStart(moreMs: number, nowMs: number): boolean {
    const { starts, withinMs } = this.settings;
    const [first] = this.recent;
    if (this.recent.length < starts || first === undefined || nowMs - first.startedMs > withinMs) return true;
    const servedMs = this.recent.reduce((sum, each) => sum + each.servedMs, moreMs);
    return servedMs >= (nowMs - first.startedMs) / 2;
  }

  private forget(): void {
    this.recent = [];
    this.totalStarts = 0;
  }
}
