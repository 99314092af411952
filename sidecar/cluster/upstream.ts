import { labelOf } from '../config/codecs/address.js';
import type { Address, EjectionConfig, HashOn, UpstreamConfig } from '../config/model.js';
import { EjectionState } from '../core/outlier/ejection.js';
import { type Lookup, matchRoute, type TrafficRoute } from '../core/routing/route-match.js';
import {
  type ClusterSnapshot,
  MAIN_CLUSTER,
  type PassiveHealth,
  type UpstreamSnapshot,
} from '../discovery/snapshot.js';
import type { Cluster } from './cluster.js';
import { retireCluster, updateCluster } from './membership.js';

/** Makes one cluster of an upstream. `config` has the cluster's endpoints and limits. */
export type MakeCluster = (config: UpstreamConfig, cluster: string) => Cluster;

const ONE_ROUTE: readonly TrafficRoute[] = [{ split: [{ weight: 1, cluster: MAIN_CLUSTER }] }];

/**
 * The clusters of one upstream and its traffic rules: which cluster a call goes to. Without rules there is one cluster, and
 * calls look no further (`onlyCluster`).
 */
export class Upstream {
  /** Where every call goes; null: rules, a ring hash or a limit decide for each call. */
  onlyCluster: Cluster | null;
  /** Metadata key that calls stick by, by cluster. */
  private hashKeys = new Map<Cluster, string>();
  private byName: ReadonlyMap<string, Cluster>;
  private routes: readonly TrafficRoute[] = ONE_ROUTE;
  private snapshot: UpstreamSnapshot | undefined;
  /** A cluster that has gone had a connection. */
  private hadConnected = false;
  private staleListener: ((cluster: string, why: string) => void) | undefined;
  private disconnectedListener: (() => void) | null = null;

  constructor(
    private config: UpstreamConfig,
    private readonly make: MakeCluster,
  ) {
    const main = make(config, MAIN_CLUSTER);
    main.isKnown = !isDiscovered(config);
    this.byName = new Map([[MAIN_CLUSTER, main]]);
    this.onlyCluster = null;
    this.refresh();
  }

  /** Every cluster, the one of most calls first. */
  get all(): readonly Cluster[] {
    return [...this.byName.values()];
  }

  /** Grows when calls may have to be routed anew. */
  version = 0;

  /** Takes over all that discovery found out. */
  apply(knowledge: UpstreamSnapshot): void {
    this.snapshot = knowledge;
    const before = new Map(this.byName);
    const next = new Map<string, Cluster>();
    for (const [name, cluster] of knowledge.clusters) {
      next.set(name, this.take(before.get(name), name, cluster));
      before.delete(name);
    }
    this.byName = next;
    this.routes = knowledge.routes;
    this.refresh();
    // Calls that wait for one of these are routed anew at once, and should find only what is left.
    for (const gone of before.values()) {
      this.hadConnected ||= gone.hasConnected;
      retireCluster(gone);
    }
  }

  /** Takes over a changed configuration. What discovery found out stays in force until it says otherwise. */
  update(config: UpstreamConfig): void {
    const wasFound = isDiscovered(this.config);
    this.config = config;
    if (!isDiscovered(config)) {
      const { endpoints } = config;
      this.apply({ routes: ONE_ROUTE, clusters: new Map([[MAIN_CLUSTER, { endpoints }]]) });
      this.snapshot = undefined;
    } else if (this.snapshot !== undefined) {
      this.apply(this.snapshot);
    } else {
      // Nothing found out so far. Endpoints that the file named until now go on serving meanwhile.
      for (const main of this.byName.values()) {
        if (!wasFound) main.isKnown = main.endpoints.length > 0;
        updateCluster(main, { ...config, endpoints: main.endpoints.map((each) => each.config) });
      }
      this.refresh();
    }
  }

  private take(known: Cluster | undefined, name: string, found: ClusterSnapshot): Cluster {
    let cluster = known;
    if (found.endpoints === undefined && cluster !== undefined) {
      // Not known at the moment: what it had is better than nothing.
      const endpoints = cluster.endpoints.map((each) => each.config);
      updateCluster(cluster, { ...this.configOf(found), endpoints });
      cluster.isKnown = cluster.endpoints.length > 0;
    } else {
      const config = this.configOf(found);
      if (cluster === undefined) cluster = this.make(config, name);
      else updateCluster(cluster, config);
      cluster.isKnown = found.endpoints !== undefined;
    }
    cluster.maxInFlight = found.maxInFlight ?? Number.POSITIVE_INFINITY;
    cluster.maxConnections = found.maxConnections ?? 0;
    cluster.maxPending = found.maxPending ?? 0;
    return cluster;
  }

  private configOf(cluster: ClusterSnapshot): UpstreamConfig {
    const { connectTimeoutMs, hashKey, passiveHealth, ownPlace } = cluster;
    const { locality } = this.config;
    return {
      ...this.config,
      ...(passiveHealth === undefined
        ? {}
        : { ejection: withPassiveHealth(this.config.ejection, passiveHealth) }),
      endpoints: cluster.endpoints ?? [],
      ...(locality === undefined || ownPlace === undefined
        ? {}
        : { locality: { own: ownPlace, ...locality } }),
      ...(hashKey === undefined ? {} : { balance: { kind: 'ring-hash', key: hashKey } as const }),
      ...(connectTimeoutMs === undefined ? {} : { pool: { ...this.config.pool, connectTimeoutMs } }),
    };
  }

  private refresh(): void {
    this.version++;
    this.hashKeys = new Map();
    const { balance } = this.config;
    for (const [name, cluster] of this.byName) {
      const found = this.snapshot?.clusters.get(name)?.hashKey;
      const key = found ?? (balance.kind === 'ring-hash' ? balance.key : undefined);
      if (key !== undefined) this.hashKeys.set(cluster, key);
    }
    this.onlyCluster = this.findOnlyCluster();
    this.wire();
  }

  private findOnlyCluster(): Cluster | null {
    const [route] = this.routes;
    if (route === undefined || this.routes.length > 1 || route.split.length > 1) return null;
    // Besides the split it says something.
    if (Object.keys(route).length > 1) return null;
    const cluster = this.byName.get(route.split[0]!.cluster);
    if (cluster === undefined || cluster.maxInFlight !== Number.POSITIVE_INFINITY) return null;
    if (this.config.balance.kind === 'ring-hash' || this.hashKeys.has(cluster)) return null;
    return cluster;
  }

  /** Whether a rule asks for attempts after failures. */
  get hasRetries(): boolean {
    return this.routes.some(({ retry }) => retry !== undefined);
  }

  /** The route of a call; undefined when none matches. */
  match(path: string, lookup: Lookup): TrafficRoute | undefined {
    return matchRoute(this.routes, path, lookup);
  }

  /** A cluster that a route names; undefined when it is not there. */
  clusterNamed(name: string): Cluster | undefined {
    return this.byName.get(name);
  }

  /** The metadata key that calls of `cluster` stick by. */
  hashKeyOf(cluster: Cluster): string | undefined {
    return this.hashKeys.get(cluster);
  }

  /** What of their requests the calls of `cluster` stick by; undefined: nothing, or a metadata key. */
  hashOnOf(cluster: Cluster): HashOn | undefined {
    const { balance } = this.config;
    if (balance.kind !== 'ring-hash' || this.hashKeys.has(cluster)) return undefined;
    return balance.hashOn;
  }

  /** Where calls go depends on something in their requests. */
  get hasHashParameter(): boolean {
    const { balance } = this.config;
    if (balance.kind === 'prefix') return true;
    return balance.kind === 'ring-hash' && balance.hashOn !== undefined;
  }

  /** Whether an endpoint is connected. */
  get isReached(): boolean {
    return this.all.some(({ endpoints }) => endpoints.some(({ pool }) => pool.isConnected));
  }

  /**
   * Why calls may not get through yet; undefined once an endpoint has been reached. One that starts for calls, and ends without them, is
   * not waited for: it has no endpoint before the first call has come.
   */
  notReady(): string | undefined {
    const { all } = this;
    if (this.hadConnected || all.some(({ hasConnected }) => hasConnected)) return undefined;
    if (all.some(({ isKnown }) => !isKnown)) return 'its endpoints are not known yet';
    if (this.config.coldStart !== undefined) return undefined;
    return all.every(({ endpoints }) => endpoints.length === 0)
      ? 'it has no endpoint'
      : 'no endpoint is connected yet';
  }

  /** Whether an endpoint of this address is connected and not ejected. */
  isAnswering(address: Address): boolean {
    const label = labelOf(address);
    for (const cluster of this.byName.values()) {
      const ejection = cluster.find(label)?.ejection;
      if (ejection?.isAvailable === true && ejection.state === EjectionState.admitted) return true;
    }
    return false;
  }

  /** Called when connections contradict what discovery said. */
  onStaleDiscovery(listener: (cluster: string, why: string) => void): void {
    this.staleListener = listener;
    this.wire();
  }

  /** Called when an endpoint has lost its last connection: others may be about to take its place. */
  onDisconnected(listener: () => void): void {
    this.disconnectedListener = listener;
    this.wire();
  }

  private wire(): void {
    const { staleListener, disconnectedListener } = this;
    for (const [name, cluster] of this.byName) {
      if (staleListener !== undefined) cluster.staleDiscovery.listener = (why) => staleListener(name, why);
      cluster.onDisconnected = disconnectedListener;
    }
  }
}

/** Whether its endpoints come from Consul, DNS or Kubernetes, and are not known at first. */
export function isDiscovered({ consul, dns, kubernetes }: UpstreamConfig): boolean {
  return consul !== undefined || dns !== undefined || kubernetes !== undefined;
}

/** The ejection of the file, with what the registry says where the file has the default. */
function withPassiveHealth(ejection: EjectionConfig, said: PassiveHealth): EjectionConfig {
  const { consecutiveFaults, baseMs, mode } = said;
  const isOurs = (key: 'consecutiveFaults' | 'baseMs' | 'mode'): boolean =>
    ejection[key] !== DEFAULT_EJECTION[key];
  const base = baseMs === undefined || isOurs('baseMs') ? ejection.baseMs : baseMs;
  return {
    ...ejection,
    ...(consecutiveFaults === undefined || isOurs('consecutiveFaults') ? {} : { consecutiveFaults }),
    ...(mode === undefined || isOurs('mode') ? {} : { mode }),
    baseMs: base,
    maxMs: Math.max(ejection.maxMs, base),
  };
}

const DEFAULT_EJECTION = { consecutiveFaults: 5, baseMs: 30_000, mode: 'enforce' } as const;
