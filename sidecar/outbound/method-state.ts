import type { Cluster } from '../cluster/cluster.js';
import type { FallbackConfig, HedgeConfig, RouteConfig } from '../config/model.js';
import { Hedge } from '../core/retry/hedge.js';
import { PrimaryBreaker } from '../core/retry/primary-breaker.js';
import { Percentile } from '../core/stats/percentile.js';
import { ResponseCache } from '../relay/response-cache/response-cache.js';
import type { Match } from '../relay/route-table.js';
import { getOrInsert } from '../runtime/get-or-insert.js';
import type { CallStats } from '../telemetry/call-stats.js';

const NO_CHAIN: readonly FallbackConfig[] = [];

/**
 * What is remembered of the calls of one method whose route hedges or falls back: latencies, how the primary fares, and the
 * last good responses. Methods whose route does neither have none.
 */
export class MethodState {
  hedgeSettings: HedgeConfig | null = null;
  readonly hedgePolicy = new Hedge();
  chain: readonly FallbackConfig[] = NO_CHAIN;
  readonly primaryBreaker: PrimaryBreaker;
  /** Why the primary failed last. */
  lastWhy = '';
  responseCache: ResponseCache | null = null;
  /** Degraded answers by `from` and why, as `from why`. */
  readonly degraded = new Map<string, number>();
  /** Calls whose caller wants no degraded answer, and that would have got one. */
  declined = 0;
  private config: RouteConfig | null = null;
  private readonly latencies = new Map<Cluster, Percentile>();
  private recent: Percentile | null = null;
  private recentOf: Cluster | null = null;

  constructor(
    readonly stats: CallStats,
    random: () => number,
  ) {
    this.primaryBreaker = new PrimaryBreaker(random);
  }

  /** Takes over the route of a changed configuration. */
  configure(config: RouteConfig, caches: ResponseCaches): void {
    if (config === this.config) return;
    this.config = config;
    this.hedgeSettings = config.hedge ?? null;
    this.chain = config.fallback ?? NO_CHAIN;
    this.responseCache = caches.of(this.chain);
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

/** The caches of last good answers: one for each route that asks for it. A route keeps its own over a reload. */
class ResponseCaches {
  private readonly byStep = new Map<FallbackConfig, ResponseCache>();
  private byMethods = new Map<string, ResponseCache>();

  get all(): Iterable<ResponseCache> {
    return this.byMethods.values();
  }

  update(routes: readonly RouteConfig[]): void {
    const before = this.byMethods;
    this.byMethods = new Map();
    this.byStep.clear();
    for (const { methods, models, version, fallback } of routes) {
      for (const step of fallback ?? NO_CHAIN) {
        if (step.kind !== 'last-good') continue;
        const key = JSON.stringify([methods, models, version]);
        const cache = before.get(key) ?? new ResponseCache(step);
        cache.configure(step);
        this.byMethods.set(key, cache);
        this.byStep.set(step, cache);
      }
    }
  }

  of(chain: readonly FallbackConfig[]): ResponseCache | null {
    for (const step of chain) {
      const cache = this.byStep.get(step);
      if (cache !== undefined) return cache;
    }
    return null;
  }
}

/** The state of every method of one upstream that needs one, and the response caches of its routes. */
export class MethodStates {
  private readonly byStats = new Map<CallStats, MethodState>();
  private readonly caches = new ResponseCaches();

  constructor(
    private readonly random: () => number,
    routes: readonly RouteConfig[],
  ) {
    this.caches.update(routes);
  }

  get all(): Iterable<MethodState> {
    return this.byStats.values();
  }

  get responseCaches(): Iterable<ResponseCache> {
    return this.caches.all;
  }

  update(routes: readonly RouteConfig[]): void {
    this.caches.update(routes);
  }

  of({ stats, plan }: Match): MethodState {
    const state = getOrInsert(this.byStats, stats, () => new MethodState(stats, this.random));
    state.configure(plan.config, this.caches);
    return state;
  }
}
