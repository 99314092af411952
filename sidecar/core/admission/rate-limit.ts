import { matchesMethod } from '../routing/method.js';
import { TokenBudget, TokenLedger, TokenReservation } from './token-budget.js';
import { type TokenCost, totalOf } from './token-cost.js';

/** A rate limit for each caller that it names. */
export interface RateRule {
  /** Names of services; `*`: all callers, each with a bucket of its own. */
  readonly callers: readonly string[];
  /** `/package.Service/Method`, `/package.Service/*` or `*`. */
  readonly methods: readonly string[];
  /** Names of models that requests name, which share the bucket of the caller. Absent: every call, whatever it names. */
  readonly models?: readonly string[] | undefined;
  /** Only calls for this version; beside one model. Absent: all versions. */
  readonly version?: string | undefined;
  /** Calls per second in the long run, > 0. Absent: any number. */
  readonly perSecond?: number | undefined;
  /** Calls at once after a pause, ≥ 1. */
  readonly burst?: number | undefined;
  /** Tokens of a language-model engine in each minute, ≥ 1, and at once after a pause. Absent: any number. */
  readonly tokensPerMinute?: number | undefined;
}

/** A call as far as rate limits look at it. */
export interface RatedCall {
  /** The service that calls; empty: it has no identity. */
  readonly caller: string;
  readonly path: string;
  /** The model that its request names; empty: none. */
  readonly model: string;
  /** The version that the request names, or that it gets; empty: none. */
  readonly version: string;
  /** It names a model in a request that cannot be read, so that it may be about any. */
  readonly isUnreadable: boolean;
}

/** A limit that a call is over. */
export interface RateRefusal {
  /** Until a call would be within the limit, ms; > 0. */
  readonly waitMs: number;
  /** The limit is about single models: the one of the call, empty where that cannot be read. Undefined: it is about all calls. */
  readonly model: string | undefined;
}

/** A limit on tokens that a call is over. */
export interface TokenRefusal {
  /** Until the budget has room for the call, ms; > 0. Infinity: it never has, as the call may use more than all of it. */
  readonly waitMs: number;
  /** What is to be set aside for the call, what a minute has, and what is left of that now. */
  readonly needed: number;
  readonly perMinute: number;
  readonly left: number;
}

/** Calls refused by the limits of one model; no name: by limits that are about all, or for want of a name that can be read. */
export interface RateCount {
  readonly model: string;
  /** Empty: of limits that are about all versions. */
  readonly version: string;
  refused: number;
}

/** Buckets of a rule; the least recently used one is dropped, which fills it. */
const MAX_BUCKETS = 4_096;
/** Budgets with calls that run are passed over then, as far as the first so many. */
const PASSED_OVER = 16;

interface Bucket {
  tokens: number;
  atMs: number;
}

/**
 * Token buckets by caller, so that calls of one do not count against another. The first rule that matches a call decides. A rule
 * about single models matches calls that name one of these, and calls whose request cannot be read: a limit that a strange
 * encoding leads past would be none.
 */
export class RateLimits {
  private readonly rules: readonly Rule[];
  /** Calls over a limit so far. */
  refused = 0;
  /** The same by model, for the models that rules name; the first has no name. Their number is bounded by the configuration. */
  readonly counts: readonly RateCount[];
  /** A rule is about single models, so that requests have to be read. */
  readonly hasModels: boolean;
  /** A rule is about a version of a model, so that no version in them may be missed. */
  readonly hasVersions: boolean;
  /** A rule counts tokens. */
  readonly hasTokens: boolean;

  /**
   * @param before the limits until now: rules about the same calls keep their buckets, and models their counts.
   * @param ledger where tokens that are set aside are counted; it outlives the limits.
   */
  constructor(
    rules: readonly RateRule[],
    before?: RateLimits,
    private readonly ledger = new TokenLedger(),
  ) {
    const counts = new Map<string, RateCount>();
    const countOf = (model: string, version: string): RateCount => {
      const known = counts.get(`${version}/${model}`);
      if (known !== undefined) return known;
      const old = before?.counts.find((each) => each.model === model && each.version === version);
      const made = { model, version, refused: old?.refused ?? 0 };
      counts.set(`${version}/${model}`, made);
      return made;
    };
    countOf('', '');
    this.rules = rules.map((rule) => new Rule(rule, countOf));
    this.counts = [...counts.values()];
    this.hasModels = this.rules.some(({ isOfModels }) => isOfModels);
    this.hasVersions = rules.some(({ version }) => version !== undefined);
    this.hasTokens = rules.some(({ tokensPerMinute }) => tokensPerMinute !== undefined);
    if (before === undefined) return;
    this.refused = before.refused;
    for (const rule of this.rules) {
      const same = before.rules.find(({ key }) => key === rule.key);
      if (same === undefined) continue;
      rule.buckets = same.buckets;
      rule.budgets = same.budgets;
      const { tokensPerMinute } = rule;
      if (tokensPerMinute === undefined) continue;
      for (const budget of rule.budgets.values()) budget.perMinute = tokensPerMinute;
    }
  }

  /** Null: the call is within its limit, of which it has taken one, or there is none for it. */
  take(call: RatedCall, nowMs: number): RateRefusal | null {
    const rule = this.ruleOf(call);
    return rule === null ? null : this.takeFrom(rule, call, nowMs);
  }

  /**
   * A stream goes on with another model, or another version. It is a call to that one as far as limits about models are concerned, as it
   * could have begun so; other limits have counted it when it began.
   */
  takeMoved(call: RatedCall, nowMs: number): RateRefusal | null {
    const rule = this.ruleOf(call);
    return rule?.isOfModels === true ? this.takeFrom(rule, call, nowMs) : null;
  }

  /** The refusal of a call, whatever it may use, of a caller that has no tokens left: its request need not be read. */
  foresee(call: RatedCall, nowMs: number): TokenRefusal | null {
    const rule = this.ruleOf(call);
    const perMinute = rule?.tokensPerMinute;
    if (rule === null || perMinute === undefined) return null;
    const budget = rule.budgetOf(call.caller, perMinute, nowMs);
    const waitMs = budget.waitMs(1);
    return waitMs <= 0 ? null : this.refuse(rule, call, { waitMs, needed: 1, perMinute, left: budget.level });
  }

  /**
   * Sets aside what a call that `take` has let in may use; of one whose request cannot be read all that there is. Null: nothing limits it.
   * Where it is refused, what `take` took is given back.
   */
  reserve(call: RatedCall, cost: TokenCost, nowMs: number): TokenReservation | TokenRefusal | null {
    const rule = this.ruleOf(call);
    const perMinute = rule?.tokensPerMinute;
    if (rule === null || perMinute === undefined) return null;
    const budget = rule.budgetOf(call.caller, perMinute, nowMs);
    const needed = cost.isRead ? totalOf(cost) : perMinute;
    const waitMs = needed > perMinute ? Number.POSITIVE_INFINITY : budget.waitMs(needed);
    if (waitMs <= 0) return new TokenReservation(budget, this.ledger, needed);
    return this.refuse(rule, call, { waitMs, needed, perMinute, left: budget.level });
  }

  private refuse(rule: Rule, { caller }: RatedCall, refusal: TokenRefusal): TokenRefusal {
    rule.giveBack(caller);
    this.refused += 1;
    this.counts[0]!.refused += 1;
    return refusal;
  }

  private ruleOf(call: RatedCall): Rule | null {
    for (const rule of this.rules) if (rule.matches(call)) return rule;
    return null;
  }

  private takeFrom(rule: Rule, call: RatedCall, nowMs: number): RateRefusal | null {
    const waitMs = rule.take(call.caller, nowMs);
    if (waitMs <= 0) return null;
    this.refused += 1;
    const model = rule.isOfModels && !call.isUnreadable ? call.model : '';
    (rule.counts.get(model) ?? this.counts[0]!).refused += 1;
    return { waitMs, model: rule.isOfModels ? model : undefined };
  }
}

class Rule {
  readonly key: string;
  buckets = new Map<string, Bucket>();
  budgets = new Map<string, TokenBudget>();
  private readonly anyCaller: boolean;
  private readonly callers: ReadonlySet<string>;
  /** It is about some models only. */
  readonly isOfModels: boolean;
  /** Where refused calls count, by each of its models. */
  readonly counts: ReadonlyMap<string, RateCount>;

  constructor(
    private readonly rule: RateRule,
    countOf: (model: string, version: string) => RateCount,
  ) {
    const { callers, methods, models, version } = rule;
    this.anyCaller = callers.includes('*');
    this.callers = new Set(callers);
    this.isOfModels = models !== undefined;
    this.counts = new Map((models ?? []).map((model) => [model, countOf(model, version ?? '')]));
    this.key = JSON.stringify([callers, methods, models ?? null, version ?? null]);
  }

  matches(call: RatedCall): boolean {
    if (!this.anyCaller && !this.callers.has(call.caller)) return false;
    if (this.isOfModels && !call.isUnreadable && !this.isAbout(call)) return false;
    for (const method of this.rule.methods) if (matchesMethod(method, call.path)) return true;
    return false;
  }

  private isAbout({ model, version }: RatedCall): boolean {
    return this.counts.has(model) && (this.rule.version === undefined || this.rule.version === version);
  }

  get tokensPerMinute(): number | undefined {
    return this.rule.tokensPerMinute;
  }

  take(caller: string, nowMs: number): number {
    const { perSecond, burst = 1 } = this.rule;
    if (perSecond === undefined) return 0;
    const bucket = this.bucketOf(caller, burst, nowMs);
    bucket.tokens = Math.min(burst, bucket.tokens + ((nowMs - bucket.atMs) * perSecond) / 1_000);
    bucket.atMs = nowMs;
    if (bucket.tokens >= 1) {
      bucket.tokens -= 1;
      return 0;
    }
    return ((1 - bucket.tokens) * 1_000) / perSecond;
  }

  /** A call that was taken is refused for another reason. */
  giveBack(caller: string): void {
    const bucket = this.buckets.get(caller);
    if (bucket !== undefined) bucket.tokens = Math.min(this.rule.burst ?? 1, bucket.tokens + 1);
  }

  /** The tokens of a caller, filled up to now. */
  budgetOf(caller: string, perMinute: number, nowMs: number): TokenBudget {
    const { budgets } = this;
    let budget = budgets.get(caller);
    if (budget === undefined) {
      budget = new TokenBudget(perMinute, nowMs);
      if (budgets.size >= MAX_BUCKETS) budgets.delete(idleIn(budgets));
    } else {
      budget.refill(nowMs);
      if (budgets.size <= MAX_BUCKETS / 2) return budget;
      budgets.delete(caller);
    }
    budgets.set(caller, budget);
    return budget;
  }

  private bucketOf(caller: string, burst: number, nowMs: number): Bucket {
    let bucket = this.buckets.get(caller);
    if (bucket === undefined) {
      bucket = { tokens: burst, atMs: nowMs };
      if (this.buckets.size >= MAX_BUCKETS) this.buckets.delete(this.buckets.keys().next().value!);
    } else if (this.buckets.size > MAX_BUCKETS / 2) {
      // The order of use matters only when buckets may be dropped soon.
      this.buckets.delete(caller);
    } else return bucket;
    this.buckets.set(caller, bucket);
    return bucket;
  }
}

/** The caller that was seen the longest ago, of those without calls if they are not too many. */
function idleIn(budgets: ReadonlyMap<string, TokenBudget>): string {
  let oldest = '';
  let passed = 0;
  for (const [caller, { reserved }] of budgets) {
    if (reserved === 0) return caller;
    if (passed === 0) oldest = caller;
    if (++passed >= PASSED_OVER) break;
  }
  return oldest;
}
