/**
 * How often a caller may call: a token bucket for each caller that a rule speaks about, so that one caller's calls never
 * cost another's. Rules are asked in order; the first that matches decides.
 */
import { matchesMethod } from '../routing/method.js';

export interface RateRule {
  /** Names of services; `*` is everyone, each with a bucket of their own. */
  readonly callers: readonly string[];
  /** `/package.Service/Method`, `/package.Service/*` or `*`. */
  readonly methods: readonly string[];
  /** Calls per second in the long run, > 0. */
  readonly perSecond: number;
  /** Calls at once after a pause, ≥ 1. */
  readonly burst: number;
}

/** Buckets kept for each rule; the one that was used least recently is forgotten, which fills it. */
const MAX_BUCKETS = 4_096;

interface Bucket {
  tokens: number;
  atMs: number;
}

export class RateLimits {
  private readonly rules: readonly Rule[];
  /** Calls over a limit so far. */
  refused = 0;

  /** `before`: what was in force until now. Rules about the same callers and methods go on from where they were. */
  constructor(rules: readonly RateRule[], before?: RateLimits) {
    this.rules = rules.map((rule) => new Rule(rule));
    if (before === undefined) return;
    this.refused = before.refused;
    for (const each of this.rules) each.goOnFrom(before.rules.find((other) => other.key === each.key));
  }

  /** 0: go on. Else the call is over the limit, and one may be made in so many ms. */
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
  private buckets = new Map<string, Bucket>();
  private readonly anyone: boolean;
  private readonly callers: ReadonlySet<string>;

  constructor(private readonly rule: RateRule) {
    this.anyone = rule.callers.includes('*');
    this.callers = new Set(rule.callers);
    this.key = JSON.stringify([rule.callers, rule.methods]);
  }

  goOnFrom(before: Rule | undefined): void {
    if (before !== undefined) this.buckets = before.buckets;
  }

  matches(caller: string, path: string): boolean {
    if (!this.anyone && !this.callers.has(caller)) return false;
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
      // Order matters only when forgetting is near.
      this.buckets.delete(caller);
    } else {
      return bucket;
    }
    this.buckets.set(caller, bucket);
    return bucket;
  }
}
