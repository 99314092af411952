import { Hysteresis, type HysteresisSettings, isSameExceptNumbers } from './hysteresis.js';

/** Settings of active health checks (Envoy, HAProxy). */
export interface HealthSettings extends Required<HysteresisSettings> {
  /** Time between the starts of two checks, ms, ± 10 %. */
  readonly intervalMs: number;
}

export type CheckResult =
  | 'passed'
  /** The endpoint answered that it does not serve. */
  | 'failed'
  /** No answer in time. */
  | 'silent'
  /** Without meaning: the connection was lost, or this process stood still meanwhile. */
  | 'void';

/** Ends of an endpoint's calls since the start. */
export interface CallCounts {
  readonly successes: number;
  readonly faults: number;
}

/** Time between checks while there is doubt, ms. */
const DOUBT_MS = 1_000;
/** First checks of an endpoint that has not passed yet, which may be starting: they are as close as in doubt. */
const STARTING_CHECKS = 60;
const JITTER = 0.1;
/** The second check comes after a random share of the interval from this on, so that checks begun together diverge. */
const SPREAD_FROM = 0.1;

/**
 * Active health of one endpoint: thresholds in both directions, when to check next, and when calls have shown as much as a check
 * would. How it is checked and what unhealthy means for calls is decided elsewhere. Healthy until the first check: its
 * connection is up.
 */
export class CheckedHealth {
  /** Why it is unhealthy, one sentence; empty while it is healthy. Not replaced when only numbers in it change. */
  why = '';
  sinceMs: number;
  private readonly hysteresis: Hysteresis;
  /** No answer since it connected: the first one counts at once. */
  private isFresh = true;
  /** A check has passed since the start. */
  hasPassed = false;
  private checks = 0;
  /** The next check is the second one. */
  private isSpread = false;
  private calls: CallCounts = { successes: 0, faults: 0 };

  constructor(
    private readonly settings: HealthSettings,
    nowMs: number,
  ) {
    this.hysteresis = new Hysteresis(true, settings);
    this.sinceMs = nowMs;
  }

  get isHealthy(): boolean {
    return this.hysteresis.isGood;
  }

  /** Checks contradict the present health, though not enough of them, or there is none yet. */
  get isInDoubt(): boolean {
    return this.isFresh || this.hysteresis.isInDoubt;
  }

  /** It reconnected, perhaps to another process. Its health stays until the next answer. */
  renew(): void {
    this.isFresh = true;
    this.hysteresis.reset();
  }

  /** Counts a check. Whether it changed the health. */
  record(result: CheckResult, why: string, nowMs: number): boolean {
    if (result === 'void') {
      this.hysteresis.reset();
      return false;
    }
    this.checks += 1;
    if (result === 'passed') this.hasPassed = true;
    // The first answer on a connection suffices; a timeout is no answer.
    const isConclusive = this.isFresh && result !== 'silent';
    if (isConclusive) this.isSpread = true;
    if (result !== 'silent') this.isFresh = false;
    const isGood = result === 'passed';
    const changed = isConclusive ? this.hysteresis.set(isGood) : this.hysteresis.sample(isGood);
    if (changed) this.sinceMs = nowMs;
    if (this.isHealthy) this.why = '';
    else if (!isGood && !isSameExceptNumbers(this.why, why)) this.why = why;
    return changed;
  }

  /**
   * Whether calls since the last time prove it healthy, so that no check is needed (envoy#9351): some succeeded, none was its
   * fault. Never while there is doubt.
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
    // An unhealthy endpoint is checked a little more often, so that it is back within one interval.
    const wide = this.isHealthy ? 2 * JITTER : JITTER;
    return intervalMs * (1 - JITTER + wide * random());
  }
}
