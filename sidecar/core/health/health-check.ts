/**
 * Is an endpoint well, as far as asking it tells? Thresholds in both directions (rise and fall), when to ask next, and
 * when calls have shown as much as a question would. After HAProxy's and Envoy's checks; how it is asked is not decided
 * here, nor what an unhealthy endpoint means for calls.
 *
 * Until it has been asked an endpoint is taken for well: its connection stands, and nobody has said otherwise.
 */
import { Hysteresis, isSameExceptNumbers } from './hysteresis.js';

export interface HealthSettings {
  /** Time between the starts of two checks, ± 10 %. */
  readonly intervalMs: number;
  /** Bad answers in a row until it is unhealthy. */
  readonly unhealthyThreshold: number;
  /** Good ones in a row until it is healthy again. */
  readonly healthyThreshold: number;
}

/** What came of one check. */
export type CheckResult =
  | 'passed'
  /** It answered, and that it does not serve. */
  | 'failed'
  /** No answer in time. */
  | 'silent'
  /** Says nothing: the connection went, or our own process stood still meanwhile. */
  | 'void';

/** What its calls have come to so far. */
export interface CallCounts {
  readonly successes: number;
  readonly faults: number;
}

/** Between checks while there is doubt. */
const DOUBT_MS = 1_000;
/** One that has not passed yet may be starting: its first checks are as close as that. */
const STARTING_CHECKS = 60;
const JITTER = 0.1;
/** The second check comes after any share of the interval from this on, so that those who began together part. */
const SPREAD_FROM = 0.1;

export class CheckedHealth {
  /** Why it is unhealthy, one sentence; empty while it is not. It keeps its words while only numbers in them change. */
  why = '';
  sinceMs: number;
  private readonly hysteresis: Hysteresis;
  /** Nothing has been heard of it since it was connected: the first word counts at once. */
  private isFresh = true;
  /** One check at least has passed since the start. */
  hasPassed = false;
  private checks = 0;
  /** The check that is next to be planned is the second of its life. */
  private isSpread = false;
  private calls: CallCounts = { successes: 0, faults: 0 };

  constructor(
    private readonly settings: HealthSettings,
    nowMs: number,
  ) {
    const { unhealthyThreshold, healthyThreshold } = settings;
    this.hysteresis = new Hysteresis(true, {
      unhealthyThreshold: unhealthyThreshold,
      healthyThreshold: healthyThreshold,
    });
    this.sinceMs = nowMs;
  }

  get isHealthy(): boolean {
    return this.hysteresis.isGood;
  }

  /** Checks speak against the verdict, though not yet enough of them, or none has spoken at all. */
  get isInDoubt(): boolean {
    return this.isFresh || this.hysteresis.isInDoubt;
  }

  /** It is connected anew, perhaps to another process. The verdict stays until something is heard. */
  renew(): void {
    this.isFresh = true;
    this.hysteresis.reset();
  }

  /** Counts a check. True when it changed the verdict. */
  record(result: CheckResult, why: string, nowMs: number): boolean {
    if (result === 'void') {
      this.hysteresis.reset();
      return false;
    }
    this.checks += 1;
    if (result === 'passed') this.hasPassed = true;
    // The first word of a connection needs no second; that nothing was heard is no word.
    const isWord = this.isFresh && result !== 'silent';
    if (isWord) this.isSpread = true;
    if (result !== 'silent') this.isFresh = false;
    const isGood = result === 'passed';
    const changed = isWord ? this.hysteresis.set(isGood) : this.hysteresis.sample(isGood);
    if (changed) this.sinceMs = nowMs;
    if (this.isHealthy) this.why = '';
    else if (!isGood && !isSameExceptNumbers(this.why, why)) this.why = why;
    return changed;
  }

  /**
   * Whether calls since the last look show that it is well, so that nobody need ask (envoy#9351): some succeeded, none
   * was its fault. Never while there is doubt.
   */
  isConfirmedBy(calls: CallCounts): boolean {
    const before = this.calls;
    this.calls = calls;
    if (!this.isHealthy || this.isInDoubt) return false;
    return calls.successes > before.successes && calls.faults <= before.faults;
  }

  /** From the start of a check to the start of the next, ms. @param random in [0, 1). */
  delayMs(random: () => number): number {
    const { intervalMs } = this.settings;
    if (this.isInDoubt || (!this.hasPassed && this.checks < STARTING_CHECKS))
      return Math.min(DOUBT_MS, intervalMs);
    if (this.isSpread) {
      this.isSpread = false;
      if (this.isHealthy) return intervalMs * (SPREAD_FROM + (1 - SPREAD_FROM) * random());
    }
    // One that is out of use is asked a little more often, never less: it comes back within one interval.
    const wide = this.isHealthy ? 2 * JITTER : JITTER;
    return intervalMs * (1 - JITTER + wide * random());
  }
}
