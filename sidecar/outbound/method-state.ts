import type { Cluster } from '../cluster/cluster.js';
import type { FallbackConfig, RouteConfig } from '../config/model.js';
import { Hedge } from '../core/retry/hedge.js';
import { PrimaryBreaker } from '../core/retry/primary-breaker.js';
import { Percentile } from '../core/stats/percentile.js';
import { ResponseCache } from '../relay/response-cache/response-cache.js';
import type { Match } from '../relay/route-table.js';
import { getOrInsert } from '../runtime/get-or-insert.js';
import type { CallStats } from '../telemetry/call-stats.js';

const NO_CHAIN: readonly FallbackConfig[] = [];

/** The steps that the route of a call falls back to, as they were when it began. */
export function chainOf({ plan }: Match): readonly FallbackConfig[] {
  return plan.config.fallback ?? NO_CHAIN;
}

/** A route that hedges or falls back: it keeps what it knows over a reload that changes what it says. */
class RouteState {
  readonly methods = new Map<CallStats, MethodState>();
  responseCache: ResponseCache | null = null;
  /** The file does not have it any more. */
  isLeft = false;

  constructor(public config: RouteConfig) {
    this.configure(config);
  }

  leave(): void {
    this.isLeft = true;
    this.responseCache = null;
  }

  configure(config: RouteConfig): void {
    this.config = config;
    this.isLeft = false;
    const step = config.fallback?.find(({ kind }) => kind === 'last-good');
    if (step?.kind !== 'last-good') this.responseCache = null;
    else if (this.responseCache === null) this.responseCache = new ResponseCache(step);
    else this.responseCache.configure(step);
  }
}

/**
 * What is remembered of the calls of one method on one route that hedges or falls back: latencies, how the primary fares, and
 * the last good responses. What the route says is in the match of each call, as a reload may change it while the call runs.
 */
export class MethodState {
  readonly hedgePolicy = new Hedge();
  readonly primaryBreaker: PrimaryBreaker;
  /** Why the primary failed last. */
  lastWhy = '';
  /** Degraded answers by `from` and why, as `from why`. */
  readonly degraded = new Map<string, number>();
  /** Calls whose caller wants no degraded answer, and that would have got one. */
  declined = 0;
  private readonly latencies = new Map<Cluster, Percentile>();
  private recent: Percentile | null = null;
  private recentOf: Cluster | null = null;

  constructor(
    readonly stats: CallStats,
    public route: RouteState,
    random: () => number,
  ) {
    this.primaryBreaker = new PrimaryBreaker(random);
  }

  /** Latencies of this method at one cluster; those of retired clusters are dropped. */
  latenciesOf(cluster: Cluster): Percentile {
    if (cluster === this.recentOf) return this.recent!;
    let found = this.latencies.get(cluster);
    if (found === undefined) {
      for (const other of this.latencies.keys()) if (other.isRetired) this.latencies.delete(other);
      found = new Percentile();
      this.latencies.set(cluster, found);
    }
    this.recentOf = cluster;
    this.recent = found;
    return found;
  }

  recordDegraded(from: string, why: string): void {
    const key = `${from} ${why}`;
    this.degraded.set(key, (this.degraded.get(key) ?? 0) + 1);
  }
}

/** The state of every method on every route of one upstream that needs one. */
export class MethodStates {
  private byKey = new Map<string, RouteState>();
  private byMatch = new WeakMap<Match, MethodState>();
  /** Routes that a reload took away or gave other methods: the next route that has calls of these takes over what is known of them. */
  private readonly left = new Map<string, RouteState>();

  constructor(
    private readonly random: () => number,
    routes: readonly RouteConfig[],
  ) {
    this.update(routes);
  }

  /**
   * Methods without a name of their own, of two routes, have the same counters and states of their own. With those that are left, so that no
   * count falls.
   */
  get all(): readonly MethodState[] {
    return [...this.byKey.values(), ...this.left.values()].flatMap(({ methods }) => [...methods.values()]);
  }

  get responseCaches(): readonly ResponseCache[] {
    return [...this.byKey.values()].flatMap(({ responseCache }) => responseCache ?? []);
  }

  /** Takes over the routes of a changed configuration. */
  update(routes: readonly RouteConfig[]): void {
    const before = this.byKey;
    this.byKey = new Map();
    this.byMatch = new WeakMap();
    for (const config of routes) {
      const key = keyOf(config);
      // The first of two that take the same calls has them all.
      if (this.byKey.has(key) || (config.hedge === undefined && config.fallback === undefined)) continue;
      const route = before.get(key) ?? this.left.get(key);
      this.left.delete(key);
      route?.configure(config);
      this.byKey.set(key, route ?? new RouteState(config));
    }
    for (const [key, route] of before) {
      if (this.byKey.has(key)) continue;
      route.leave();
      this.left.set(key, route);
    }
  }

  of(match: Match): MethodState {
    const known = this.byMatch.get(match);
    if (known !== undefined) return known;
    const { stats, plan } = match;
    const route = getOrInsert(this.byKey, keyOf(plan.route), () => new RouteState(plan.route));
    const state = getOrInsert(
      route.methods,
      stats,
      () => this.takeLeft(stats, route) ?? new MethodState(stats, route, this.random),
    );
    this.byMatch.set(match, state);
    return state;
  }

  /** What is known of the method from a route before; of several nobody knows which. */
  private takeLeft(stats: CallStats, route: RouteState): MethodState | undefined {
    const [before, ...more] = [...this.left.values()].filter(({ methods }) => methods.has(stats));
    if (before === undefined || more.length > 0) return undefined;
    const state = before.methods.get(stats)!;
    before.methods.delete(stats);
    state.route = route;
    return state;
  }
}

/** The calls that a route takes. */
function keyOf({ methods, models, version }: RouteConfig): string {
  return JSON.stringify([methods, models, version]);
}
