import { OutcomeWindow } from './outcome-window.js';

/** What requests stick to an endpoint by, as a hash: 0 to 2³² − 1. The numbers below 0 are none. */
export type StickyKey = number;
/** The calls have no key. */
export const NO_STICKY_KEY = -1;
/** They have several. */
export const MIXED_KEYS = -2;

/** Keys on trial at a time. */
const MAX_TRIALS = 8;
/** So long calls with the key go elsewhere, until it is known how they fare there, ms. */
const TRIAL_MS = 10_000;
/** So long after the last failure, or after the trial, what came of it holds, ms. */
const HOLDS_MS = 60_000;
/** Failures elsewhere that show that requests with the key fail wherever they go. */
const FAULTS_ELSEWHERE = 2;
/** As many failures elsewhere, or fewer, are rarer than this by chance if requests with the key fail there as often as at home: it is the endpoint. */
const CHANCE = 0.05;
/** Where they can go nowhere else, successes of other keys at the endpoint that show that it is well. */
const OTHERS_WELL = 2;
/** So many answers without a failure between them show that requests with the key fail no more. */
const WELL_IN_ROW = 10;

const Verdict = { open: 0, key: 1, endpoint: 2 } as const;
type Verdict = (typeof Verdict)[keyof typeof Verdict];

class KeyTrial {
  verdict: Verdict = Verdict.open;
  faultsElsewhere = 0;
  wellElsewhere = 0;
  othersWell = 0;
  wellInRow = 0;
  hasNoOther = false;

  constructor(
    readonly member: object,
    /** The share of the requests with the key that fail at home. */
    readonly share: number,
    public untilMs: number,
  ) {}

  /** What the calls elsewhere show by now. */
  get shown(): Verdict {
    const { share, faultsElsewhere: faults, wellElsewhere: well } = this;
    if (faults >= FAULTS_ELSEWHERE) return Verdict.key;
    const few = (1 - share) ** well * (faults === 0 ? 1 : 1 + well * share);
    return few < CHANCE ? Verdict.endpoint : Verdict.open;
  }
}

/**
 * Requests that stick to one endpoint by a key, such as a user or a model, fail there alone when they are at fault: no peer gets any to compare with. So
 * before an endpoint is ejected for the failures of one key, the next calls with that key go to another endpoint. Where they fail as well, the
 * failures are those of the requests, and count nowhere; where they are answered well, it was the endpoint.
 */
export class KeyTrials {
  private readonly trials = new Map<StickyKey, KeyTrial>();

  get isEmpty(): boolean {
    return this.trials.size === 0;
  }

  /**
   * Whether the failures of this key hold nothing against the endpoint, as far as is known. A trial begins where there was none.
   * @param share of its requests there that fail.
   */
  holds(key: StickyKey, member: object, share: number, nowMs: number): boolean {
    const known = this.of(key, nowMs);
    if (known !== undefined && (known.member === member || known.verdict === Verdict.key))
      return known.verdict !== Verdict.endpoint;
    if (known === undefined && this.trials.size >= MAX_TRIALS && !this.forget(nowMs)) return false;
    this.trials.set(key, new KeyTrial(member, share, nowMs + TRIAL_MS));
    return true;
  }

  /** Whether a call with this key is to go elsewhere. */
  avoids(key: StickyKey, member: object, nowMs: number): boolean {
    const trial = this.of(key, nowMs);
    return trial?.verdict === Verdict.open && trial.member === member && !trial.hasNoOther;
  }

  /** It cannot: no other endpoint takes such calls. */
  recordNoOther(key: StickyKey): void {
    const trial = this.trials.get(key);
    if (trial !== undefined) trial.hasNoOther = true;
  }

  /** Whether requests with this key fail wherever they go. */
  isAtFault(key: StickyKey, nowMs: number): boolean {
    return this.of(key, nowMs)?.verdict === Verdict.key;
  }

  /** A failure that its request may have caused. */
  recordFault(key: StickyKey, member: object, nowMs: number): void {
    const trial = this.of(key, nowMs);
    if (trial === undefined || trial.verdict === Verdict.endpoint) return;
    trial.wellInRow = 0;
    if (trial.verdict === Verdict.key) trial.untilMs = nowMs + HOLDS_MS;
    else if (trial.member !== member) {
      trial.faultsElsewhere++;
      this.decide(trial, trial.shown, nowMs);
    }
  }

  recordSuccess(key: StickyKey, member: object, nowMs: number): void {
    for (const [each, trial] of this.trials) {
      if (each === key) this.recordWell(key, trial, member, nowMs);
      else if (trial.member === member && trial.hasNoOther && ++trial.othersWell >= OTHERS_WELL)
        if (trial.verdict === Verdict.open) this.decide(trial, Verdict.key, nowMs);
    }
  }

  private recordWell(key: StickyKey, trial: KeyTrial, member: object, nowMs: number): void {
    if (trial.verdict === Verdict.endpoint) return;
    if (++trial.wellInRow >= WELL_IN_ROW) this.trials.delete(key);
    else if (trial.verdict === Verdict.open && trial.member !== member) {
      trial.wellElsewhere++;
      this.decide(trial, trial.shown, nowMs);
    }
  }

  private decide(trial: KeyTrial, verdict: Verdict, nowMs: number): void {
    if (verdict === Verdict.open) return;
    trial.verdict = verdict;
    trial.untilMs = nowMs + HOLDS_MS;
  }

  /** Its trial. One that nothing came of is held against the endpoint, as the failures are all that is known. */
  private of(key: StickyKey, nowMs: number): KeyTrial | undefined {
    const trial = this.trials.get(key);
    if (trial === undefined || nowMs < trial.untilMs) return trial;
    if (trial.verdict === Verdict.open) {
      this.decide(trial, Verdict.endpoint, trial.untilMs);
      if (nowMs < trial.untilMs) return trial;
    }
    this.trials.delete(key);
    return undefined;
  }

  /** Drops those that are over. Whether there is room for another. */
  private forget(nowMs: number): boolean {
    for (const key of [...this.trials.keys()]) this.of(key, nowMs);
    return this.trials.size < MAX_TRIALS;
  }
}

/** Keys whose failures at one endpoint are told apart. */
const MAX_KEYS = 4;

interface KeyFaults {
  readonly key: StickyKey;
  readonly window: OutcomeWindow;
}

/** The keys of which most failures of one endpoint came in the last ten seconds, and how their other calls there ended since. */
export class FaultyKeys {
  private list: KeyFaults[] = [];

  /** The share of calls with this key that failed, by the rule of succession. */
  shareOf(key: StickyKey, nowMs: number): number {
    const window = this.list.find((each) => each.key === key)?.window;
    window?.moveTo(nowMs);
    return window === undefined ? 1 / 2 : (window.faults + 1) / (window.calls + 2);
  }

  success(key: StickyKey, nowMs: number): void {
    for (const each of this.list) if (each.key === key) each.window.success(nowMs);
  }

  fault(key: StickyKey, nowMs: number): void {
    let entry = this.list.find((each) => each.key === key);
    if (entry === undefined) {
      entry = { key, window: new OutcomeWindow() };
      if (this.list.length >= MAX_KEYS) this.byFaults(nowMs);
      if (this.list.length >= MAX_KEYS) this.list.pop();
      this.list.push(entry);
    }
    entry.window.fault(nowMs);
  }

  /** Those with most failures first. */
  byFaults(nowMs: number): readonly KeyFaults[] {
    for (const { window } of this.list) window.moveTo(nowMs);
    this.list = this.list.filter(({ window }) => window.faults > 0);
    return this.list.sort((a, b) => b.window.faults - a.window.faults);
  }
}
