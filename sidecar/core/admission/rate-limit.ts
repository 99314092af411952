import { matchesMethod } from '../routing/method.js';

/** A rate limit for each caller that it names. */
export interface RateRule {
  /** Names of services; `*`: all callers, each with a bucket of its own. */
  readonly callers: readonly string[];
  /** `/package.Service/Method`, `/package.Service/*` or `*`. */
  readonly methods: readonly string[];
  /** Calls per second in the long run, > 0. */
  readonly perSecond: number;
  /** Calls at once after a pause, ≥ 1. */
  readonly burst: number;
}

/** Buckets of a rule; the least recently used one is dropped, which fills it. */
const MAX_BUCKETS = 4_096;

interface Bucket {
  tokens: number;
  atMs: number;
}

/** Token buckets by caller, so that calls of one do not count against another. The first rule that matches a call decides. */
export class RateLimits {
  private readonly rules: readonly Rule[];
  /** Calls over a limit so far. */
  refused = 0;

  /** @param before the limits until now: rules with the same callers and methods keep their buckets. */
  constructor(rules: readonly RateRule[], before?: RateLimits) {
    this.rules = rules.map((rule) => new Rule(rule));
    if (before === undefined) return;
    this.refused = before.refused;
    for (const rule of this.rules) {
      const same = before.rules.find(({ key }) => key === rule.key);
      if (same !== undefined) rule.buckets = same.buckets;
    }
  }

  /** 0: the call is within its limit. Else ms until one would be. */
  take(caller: string, path: string, nowMs: number): number {
    for (const rule of this.rules) {
      if (!rule.matches(caller, path)) continue;
      const waitMs = rule.take(caller, nowMs);
      if (waitMs > 0) this.refused += 1;
      return waitMs;
    }
    return 0;
  }
}

class Rule {
  readonly key: string;
  buckets = new Map<string, Bucket>();
  private readonly anyCaller: boolean;
  private readonly callers: ReadonlySet<string>;

  constructor(private readonly rule: RateRule) {
    this.anyCaller = rule.callers.includes('*');
    this.callers = new Set(rule.callers);
    this.key = JSON.stringify([rule.callers, rule.methods]);
  }

  matches(caller: string, path: string): boolean {
    if (!this.anyCaller && !this.callers.has(caller)) return false;
    for (const method of this.rule.methods) if (matchesMethod(method, path)) return true;
    return false;
  }

  take(caller: string, nowMs: number): number {
    const { perSecond, burst } = this.rule;
    const bucket = this.bucketOf(caller, nowMs);
    bucket.tokens = Math.min(burst, bucket.tokens + ((nowMs - bucket.atMs) * perSecond) / 1_000);
    bucket.atMs = nowMs;
    if (bucket.tokens >= 1) {
      bucket.tokens -= 1;
      return 0;
    }
    return ((1 - bucket.tokens) * 1_000) / perSecond;
  }

  private bucketOf(caller: string, nowMs: number): Bucket {
    let bucket = this.buckets.get(caller);
    if (bucket === undefined) {
      bucket = { tokens: this.rule.burst, atMs: nowMs };
      if (this.buckets.size >= MAX_BUCKETS) this.buckets.delete(this.buckets.keys().next().value!);
    } else if (this.buckets.size > MAX_BUCKETS / 2) {
      // The order of use matters only when buckets may be dropped soon.
      this.buckets.delete(caller);
    } else return bucket;
    this.buckets.set(caller, bucket);
    return bucket;
  }
}
