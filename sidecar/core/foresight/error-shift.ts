import { Cusum } from './cusum.js';

/** Share of failures that is always ordinary, and the one that is to be found soonest. */
const ORDINARY = 0.002;
const BAD = 0.05;
/** Above the usual share of the endpoint and of its peers, by these factors. */
const ABOVE_USUAL = 1.5;
const BAD_FACTOR = 4;
/** The alarm: e⁸ in favour of `BAD`, and as much again as a month of calls at one a second would bring by chance. */
const THRESHOLD = 12;
/** Part of the sum that stays after a second without a call: it halves in two minutes. */
const KEPT = 0.994;
const USUAL_HALF_LIFE_MS = 15 * 60_000;
const RECENT_HALF_LIFE_MS = 20_000;
/** The first calls are what is usual, whatever they are. */
const LEARN_CALLS = 200;
/** After this long in suspicion, what was suspicious is the new usual, ms. */
const MAX_SUSPICION_MS = 15 * 60_000;
/** Levels below are noise. */
const FAINT = 0.1;
/** Calls at the ordinary share that every estimate begins with. */
const PRIOR_USUAL = 200;
const PRIOR_RECENT = 50;

/**
 * A cumulative sum of log-likelihood ratios on failed calls (Bernoulli CUSUM; Reynolds and Stoumbos 1999): finds one call in twenty that
 * fails after some hundred calls, which neither faults in a row nor a ratio over ten seconds do. With the threshold of 8 that our notes
 * measured there was one false alarm in 10⁵ calls; each 1 more is a factor of e, so that it grows with the rate.
 */
export class ErrorShift {
  private readonly cusum = new Cusum();
  private readonly usual = new DecayingShare(USUAL_HALF_LIFE_MS, PRIOR_USUAL);
  private readonly recent = new DecayingShare(RECENT_HALF_LIFE_MS, PRIOR_RECENT);
  private threshold = THRESHOLD;

  /** Share of failures of late, which is that of peers for the others. */
  get recentShare(): number {
    return this.recent.share;
  }

  /** Calls that ended since the last time. To be called of all endpoints before `judge` of any. */
  observe(successes: number, faults: number, nowMs: number): void {
    this.recent.add(successes, faults, nowMs);
    this.successes = successes;
    this.faults = faults;
    this.nowMs = nowMs;
  }

  private successes = 0;
  private faults = 0;
  private nowMs = 0;
  private calls = 0;
  private suspiciousMs = Number.NEGATIVE_INFINITY;

  /**
   * Takes them into account.
   * @param peersShare share of failures that its peers have at the same time: what all share is no sign of this endpoint.
   */
  judge(peersShare: number): void {
    const { successes, faults } = this;
    if (successes + faults === 0) return this.cusum.fade(KEPT);
    this.calls += successes + faults;
    if (this.calls <= LEARN_CALLS) return this.usual.add(successes, faults, this.nowMs);
    this.threshold = THRESHOLD + Math.log(Math.max(1, successes + faults));
    const ordinary = Math.min(0.3, Math.max(ORDINARY, ABOVE_USUAL * this.usual.share, peersShare));
    const bad = Math.min(0.9, Math.max(BAD, BAD_FACTOR * ordinary));
    const gain = Math.log(bad / ordinary);
    const loss = Math.log((1 - ordinary) / (1 - bad));
    this.cusum.add(faults * gain, successes * loss, 2 * this.threshold);
    if (this.level < FAINT) this.suspiciousMs = this.nowMs;
    // What is suspicious is not to become usual, unless it stays.
    if (this.level < FAINT || this.nowMs - this.suspiciousMs > MAX_SUSPICION_MS)
      this.usual.add(successes, faults, this.nowMs);
  }

  /** 0 to 1: ½ is an alarm. */
  get level(): number {
    return this.cusum.sum / (2 * this.threshold);
  }

  /** One sentence. */
  get why(): string {
    const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;
    return `${percent(this.recent.seen)} of its calls fail of late, where ${percent(this.usual.share)} is usual`;
  }

  /** The endpoint was away, or is another process now. */
  forget(): void {
    this.calls = 0;
    this.cusum.clear();
    this.recent.clear();
    this.usual.clear();
  }
}

/** A share of failures in which older calls count less. */
class DecayingShare {
  private calls = 0;
  private faults = 0;
  private atMs = 0;

  constructor(
    private readonly halfLifeMs: number,
    private readonly prior: number,
  ) {}

  add(successes: number, faults: number, nowMs: number): void {
    const kept = 2 ** (-Math.max(0, nowMs - this.atMs) / this.halfLifeMs);
    this.calls = this.calls * kept + successes + faults;
    this.faults = this.faults * kept + faults;
    this.atMs = nowMs;
  }

  /** As it was. */
  get seen(): number {
    return this.calls === 0 ? 0 : this.faults / this.calls;
  }

  /** As it is likely to be, where there are few calls. */
  get share(): number {
    return (this.faults + ORDINARY * this.prior) / (this.calls + this.prior);
  }

  clear(): void {
    this.calls = 0;
    this.faults = 0;
  }
}
