import type { SaidWork } from '../scaling/waiting-work.js';

/** A report that is older does not count, ms. */
export const REPORT_MAX_AGE_MS = 3_000;
/** Bounds of the time in which a report loses most of its worth, ms. */
const MIN_FADE_MS = 50;
const MAX_FADE_MS = 1_000;
/** Part of what sets an endpoint apart from the mean that stays when a report has faded: one that is busy for long stays known for it. */
const USUAL_WEIGHT = 0.5;
/** Time over which the utilization is averaged, ms: what an endpoint can take is no matter of one burst. */
const SMOOTH_MS = 5_000;
/** So many calls fewer than we have there ourselves may a report say: they are on their way, or their answers are. */
const MAX_MISSING = 1;

/** What an endpoint has said of itself, as far as the choice of an endpoint reads it. */
export interface SaidLoad {
  /** Calls that it has, running or waiting, of all callers. */
  readonly calls: number;
  /** The same in the mean of the last second; absent: not known. */
  readonly meanCalls?: number;
  /** Calls that it runs at once. */
  readonly concurrency: number;
  /** Calls that have run for much longer than usual; absent: not known. */
  readonly longCalls?: number;
  /** Open streams on which nothing moves, of all callers: they are not among `calls`, and take no place. Absent: not known. */
  readonly idleStreams?: number;
  /** Mean time that a call runs, ms; 0: not known. */
  readonly runMs: number;
  /** Tokens of the calls that wait; absent: they are not counted. */
  readonly waitingTokens?: number;
}

/**
 * The last report of an endpoint, kept as the calls of others that it had then: together with our own, which we count ourselves from
 * then on, they are its load. What others send and get answered since is not known, so that the report fades, within half the time of a
 * run, to halfway between what this endpoint has in the mean of a second and what all have; after three seconds it is none.
 */
export class ReportedLoad {
  /** Calls of other callers at `atMs`. */
  others = 0;
  /** Of these, calls that run for long, at least: they do not fade. */
  private longOthers = 0;
  /** What they usually have there, in the mean of a second; −1: not known. */
  private usual = -1;
  concurrency = 1;
  /** Calls that have run for much longer than usual: each takes one place, for a time that nobody knows. */
  private long = 0;
  /** Of our own calls at `atMs`, streams on which nothing moved. */
  private idle = 0;
  /** Monotonic ms of the last report; −Infinity: there is none that counts. */
  atMs = Number.NEGATIVE_INFINITY;
  private fadeMs = MIN_FADE_MS;
  /** All calls there over those that it runs at once: as reported last, and in the mean of some seconds. */
  private utilization = 0;
  private usualUtilization = 0;
  private utilizationMs = Number.NEGATIVE_INFINITY;
  /** As the last report said. */
  private saidCalls = 0;
  private saidConcurrency = 0;
  private saidTokens = -1;

  /**
   * Takes over a report. False: it says fewer calls than the `own` that are under way there, and none counts until one agrees with that.
   * A large request that is on its way is not seen there yet; then the choice is by what we know ourselves. Our own calls that are missing are
   * idle streams where it names so many.
   */
  take(said: SaidLoad, own: number, nowMs: number): boolean {
    const { calls, meanCalls, concurrency, longCalls, idleStreams = 0, runMs, waitingTokens = -1 } = said;
    this.saidCalls = calls;
    this.saidConcurrency = concurrency;
    this.saidTokens = waitingTokens;
    this.smooth((meanCalls ?? calls) / Math.max(1, concurrency), nowMs);
    const idle = Math.min(Math.max(0, own - calls), idleStreams);
    const active = own - idle;
    if (calls + MAX_MISSING < active) {
      this.atMs = Number.NEGATIVE_INFINITY;
      return false;
    }
    this.idle = idle;
    this.others = Math.max(0, calls - active);
    this.usual = meanCalls === undefined ? -1 : Math.max(0, meanCalls - active);
    this.concurrency = Math.max(1, concurrency);
    this.long = Math.max(0, longCalls ?? 0);
    this.longOthers = Math.min(Math.max(0, this.long - active), this.others);
    // The fewer places are left beside calls that run for long, the longer others take.
    const part = Math.max(0, 1 - this.long / this.concurrency);
    this.fadeMs = Math.min(Math.max(runMs / 2, MIN_FADE_MS) / part, MAX_FADE_MS);
    this.atMs = nowMs;
    return true;
  }

  private smooth(utilization: number, nowMs: number): void {
    // The mean begins with the first load: an idle time before would show room that the load does not leave.
    const isFirst = this.usualUtilization === 0;
    const kept = isFirst ? 0 : Math.exp((this.utilizationMs - nowMs) / SMOOTH_MS);
    this.utilization = utilization;
    this.usualUtilization = this.usualUtilization * kept + utilization * (1 - kept);
    this.utilizationMs = nowMs;
  }

  /** Calls there over calls that it runs at once: the higher of its last report and the mean of some seconds; undefined: it has not reported lately. */
  meanUtilizationAt(nowMs: number): number | undefined {
    if (nowMs - this.utilizationMs >= REPORT_MAX_AGE_MS) return undefined;
    return Math.max(this.utilization, this.usualUtilization);
  }

  /** What it said last of its work, be it that we have more calls there; null: nothing in the last `maxAgeMs`. */
  saidAt(nowMs: number, maxAgeMs = REPORT_MAX_AGE_MS): SaidWork | null {
    if (nowMs - this.utilizationMs >= maxAgeMs) return null;
    const { saidCalls: calls, saidConcurrency: concurrency, saidTokens: waitingTokens } = this;
    return { calls, concurrency, waitingTokens };
  }

  /** Of the `calls` there, those that run for much longer than usual. */
  longOf(calls: number): number {
    return Math.min(this.long, calls);
  }

  counts(nowMs: number): boolean {
    return nowMs - this.atMs < REPORT_MAX_AGE_MS;
  }

  /** Calls there now over what it runs at once, with our `own`, as far as can be told; undefined: no report counts. */
  utilizationAt(own: number, nowMs: number): number | undefined {
    return this.counts(nowMs) ? (this.activeOf(own, nowMs) + this.others) / this.concurrency : undefined;
  }

  /** Of our `own` calls there, those that may take a place: all but the streams that were idle when it reported last. */
  activeOf(own: number, nowMs: number): number {
    return this.idle === 0 || !this.counts(nowMs) ? own : Math.max(0, own - this.idle);
  }

  /**
   * Whether it has a place free for one more call: also where its last report says fewer calls than our `own`, and all of these would
   * fit. Undefined: it has not reported lately.
   */
  hasPlace(own: number, nowMs: number): boolean | undefined {
    const utilization = this.utilizationAt(own, nowMs);
    if (utilization !== undefined) return utilization < 1;
    if (nowMs - this.utilizationMs >= REPORT_MAX_AGE_MS) return undefined;
    return Math.max(own, this.saidCalls) < this.saidConcurrency;
  }

  /** Calls of others there now, as far as can be told. @param mean what endpoints have of them in the mean. */
  othersAt(mean: number, nowMs: number): number {
    if (!this.counts(nowMs)) return mean;
    const base = this.usual < 0 ? mean : mean + (this.usual - mean) * USUAL_WEIGHT;
    return Math.max(
      base + (this.others - base) * Math.exp((this.atMs - nowMs) / this.fadeMs),
      this.longOthers,
    );
  }
}
