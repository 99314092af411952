import { DEFAULT_MAX_ENDPOINTS } from '../../../config/defaults.js';
import type { UpstreamConfig } from '../../../config/model.js';
import { defined } from '../../../config/present.js';
import { getOrInsert } from '../../../runtime/get-or-insert.js';
import type { Timer } from '../../../runtime/time/timers.js';
import { type ClusterSnapshot, isReplica, type Uncounted, type UpstreamSnapshot } from '../../snapshot.js';
import { ClusterEndpoints, type TargetInstances } from '../catalog/cluster-endpoints.js';
import type { EndpointWatcher, Queries, TargetWatch } from '../catalog/endpoint-watcher.js';
import type { OwnPlace } from '../catalog/own-place.js';
import { keyOf, queryOf, type Target, titleOf } from '../catalog/target.js';
import type { Instance } from '../parser/instances.js';
import type { ServiceDeps } from '../query/query-spec.js';
import type { ChainPlan } from './chain-plan.js';
import { ConfigEntryWatcher } from './config-entry-watcher.js';
import { hasOwnTarget, ownPlan, passedOverBy, withoutMesh } from './own-target.js';
import type { ClusterPlan } from './resolver.js';
import type { UpstreamLimits } from './service-defaults.js';

/** The part of `EndpointWatcher` that is used here. */
export type TargetSource = Pick<EndpointWatcher, 'watch'>;

/** What a watcher of an upstream is made with. */
export interface UpstreamDeps extends ServiceDeps {
  /** Sentences that are in the log already; one set for all upstreams, so that each is logged once. */
  readonly logged?: Set<string>;
  /** Where this machine is, for upstreams that prefer near endpoints. Absent: as far as the file says it. */
  readonly ownPlace?: Pick<OwnPlace, 'current' | 'watch'>;
}

/** Targets of failover are used when nothing is known of the first one for this long. */
const PRIMARY_WAIT_MS = 3_000;
/** The file's connect timeout wins over Consul's unless it is this default. */
const DEFAULT_CONNECT_TIMEOUT_MS = 1_000;

interface Followed {
  readonly watch: TargetWatch;
  instances: readonly Instance[] | undefined;
}

/**
 * Everything that Consul knows of one upstream, kept up: the rules (discovery chain, defaults), the targets they lead
 * to, and the endpoints of those. Each change is published as one snapshot; what is not known yet is undefined in it.
 */
export class UpstreamWatcher {
  private rules: ConfigEntryWatcher | undefined;
  private plan: ChainPlan | undefined;
  private limits: UpstreamLimits = { unsupported: [] };
  /** Said where the file names the target, and Consul has rules for the service. */
  private passedOver: readonly string[] = [];
  private readonly followed = new Map<string, Followed>();
  private readonly endpoints = new Map<string, ClusterEndpoints>();
  private published: UpstreamSnapshot['clusters'] | undefined;
  private readonly seed: number;
  private readonly logged: Set<string>;
  private leavePlace: (() => void) | undefined;
  /** First targets of clusters of which nothing is known yet, by key: until its timer has fired one is waited for. */
  private readonly awaited = new Map<string, Timer | 'late'>();
  /** Within a batch of changes: whether there is something to publish. Undefined outside one. */
  private hasUnpublished: boolean | undefined;
  private isClosed = false;

  constructor(
    private config: UpstreamConfig,
    private readonly watches: Queries,
    private readonly targets: TargetSource,
    private readonly deps: UpstreamDeps,
    private readonly onSnapshot: (knowledge: UpstreamSnapshot) => void,
  ) {
    this.seed = Math.floor(deps.random() * 0x1_0000_0000);
    this.logged = deps.logged ?? new Set();
    this.watchPlace();
    this.open();
  }

  /** Connections contradict what is known of a cluster's endpoints: they are read again. */
  doubt(cluster: string, why: string): void {
    for (const target of this.plan?.clusters.get(cluster)?.targets ?? [])
      this.followed.get(keyOf(target))?.watch.doubt(why);
  }

  /**
   * What the endpoints do not say of the replicas. An empty list of instances is no proof while Consul cannot be read, or hides them. Only the
   * list of a cluster's first target is judged, and only if it has no endpoint that counts: those of failover targets are other replicas. Beside clusters that have some, a cluster whose list cannot be read counts for one replica.
   * @param problemOf why the answer of this query is not what Consul has; undefined: it is.
   */
  uncounted(problemOf: (query: string) => string | undefined): Uncounted {
    let hasCounted = false;
    const unread: string[] = [];
    for (const [name, { targets }] of this.plan?.clusters ?? []) {
      const endpoints = this.published?.get(name)?.endpoints;
      // Its cluster says so itself.
      if (endpoints === undefined) continue;
      const isCounted = endpoints.some(isReplica);
      hasCounted ||= isCounted;
      const why = isCounted ? undefined : this.whyUnread(targets[0], problemOf);
      if (why !== undefined) unread.push(why);
    }
    const leftOut = this.leftOut();
    return hasCounted
      ? { why: undefined, replicas: leftOut + unread.length }
      : { why: unread[0], replicas: leftOut };
  }

  /** Why it is not known whether this target has an instance; undefined: it is. */
  private whyUnread(
    target: Target | undefined,
    problemOf: (query: string) => string | undefined,
  ): string | undefined {
    if (target === undefined) return undefined;
    const instances = this.followed.get(keyOf(target))?.instances;
    if (instances !== undefined && instances.length > 0) return undefined;
    const problem = problemOf(queryOf(target).name);
    if (problem !== undefined || instances !== undefined) return problem;
    // Targets of failover are used meanwhile.
    return `the instances of ${titleOf(target)} are not listed yet`;
  }

  /** Instances of first targets that `pool.max_endpoints` leaves out, of those that are not critical. */
  private leftOut(): number {
    const limit = this.config.pool.maxEndpoints ?? DEFAULT_MAX_ENDPOINTS;
    const clusters = [...(this.plan?.clusters.values() ?? [])];
    const firsts = new Set(clusters.flatMap(({ targets }) => targets.slice(0, 1).map(keyOf)));
    let count = 0;
    for (const [key, { instances = [] }] of this.followed)
      if (firsts.has(key))
        count += Math.max(0, instances.filter(({ status }) => status !== 'critical').length - limit);
    return count;
  }

  /** Rules of Consul that are not applied, each in one sentence. */
  unsupported(): readonly string[] {
    return [...new Set([...(this.plan?.unsupported ?? []), ...this.limits.unsupported, ...this.passedOver])];
  }

  /** Applies a changed configuration. What is known stays in force until Consul has answered for the new one. */
  update(config: UpstreamConfig): void {
    const { consul, tls } = this.config;
    this.config = config;
    this.watchPlace();
    if (JSON.stringify([config.consul, config.tls]) === JSON.stringify([consul, tls])) return this.publish();
    this.rules?.close();
    this.rules = undefined;
    this.open();
  }

  /** Ends the queries of rules and targets; no snapshot is published after it. */
  close(): void {
    this.isClosed = true;
    this.leavePlace?.();
    for (const key of [...this.awaited.keys()]) this.awaitNoLonger(key);
    this.rules?.close();
    for (const { watch } of this.followed.values()) watch.close();
    this.followed.clear();
  }

  /** Follows where this machine is, while the file asks for near endpoints and does not say it. */
  private watchPlace(): void {
    const { locality } = this.config;
    const isWanted = locality !== undefined && locality.own === undefined;
    if (isWanted) this.leavePlace ??= this.deps.ownPlace?.watch(() => this.publish());
    else {
      this.leavePlace?.();
      this.leavePlace = undefined;
    }
  }

  // ---- rules ----

  private open(): void {
    const { consul } = this.config;
    if (consul === undefined) return;
    const { rules } = this.deps.config;
    const isOwn = hasOwnTarget(consul);
    this.passedOver = [];
    if (!rules) this.limits = { unsupported: [] };
    this.batch(() => {
      // The cluster that the file names, with its failover targets.
      if (!rules || isOwn) this.follow(ownPlan(consul));
      if (!rules) return;
      this.rules = new ConfigEntryWatcher(consul, this.watches, this.deps, {
        plan: (plan) => {
          if (isOwn) this.change(() => (this.passedOver = passedOverBy(consul, plan)));
          else this.follow(plan);
        },
        limits: (limits) => this.change(() => (this.limits = limits)),
      });
    });
  }

  /** Changes that come within `work` are published together, after it. */
  private batch(work: () => void): void {
    const isOuter = this.hasUnpublished === undefined;
    this.hasUnpublished ??= false;
    work();
    if (!isOuter) return;
    const { hasUnpublished } = this;
    this.hasUnpublished = undefined;
    if (hasUnpublished) this.publish();
  }

  private change(how: () => void): void {
    how();
    this.logUnsupported();
    this.publish();
  }

  // ---- targets ----

  /** Other targets from now on; those that stay are not read anew, and the old ones are closed last. */
  private follow(plan: ChainPlan): void {
    if (this.isClosed) return;
    const wanted = new Set<string>();
    this.batch(() => {
      // A service outside the mesh has no proxy.
      this.plan = this.config.tls === 'plaintext' ? withoutMesh(plan) : plan;
      for (const target of [...this.plan.clusters.values()].flatMap(({ targets }) => targets)) {
        const key = keyOf(target);
        wanted.add(key);
        if (!this.followed.has(key)) this.followTarget(key, target);
      }
      for (const name of this.endpoints.keys()) if (!plan.clusters.has(name)) this.endpoints.delete(name);
      this.logUnsupported();
      this.publish();
    });
    for (const [key, { watch }] of this.followed) {
      if (wanted.has(key)) continue;
      watch.close();
      this.followed.delete(key);
      this.awaitNoLonger(key);
    }
  }

  private followTarget(key: string, target: Target): void {
    let known: readonly Instance[] | undefined;
    const watch = this.targets.watch(target, ({ instances }) => {
      known = instances;
      const followed = this.followed.get(key);
      if (followed === undefined || followed.watch !== watch) return;
      followed.instances = instances;
      this.publish();
    });
    this.followed.set(key, { watch, instances: known });
  }

  // ---- snapshot ----

  private publish(): void {
    const { plan } = this;
    if (this.hasUnpublished !== undefined) {
      this.hasUnpublished = true;
      return;
    }
    if (plan === undefined || this.isClosed) return;
    const clusters = new Map<string, ClusterSnapshot>();
    for (const [name, cluster] of plan.clusters) clusters.set(name, this.clusterOf(name, cluster));
    this.published = clusters;
    this.onSnapshot({ routes: plan.routes, clusters });
  }

  private clusterOf(name: string, plan: ClusterPlan): ClusterSnapshot {
    const { pool, balance } = this.config;
    const { maxInFlight, maxConnections, maxPending, passiveHealth } = this.limits;
    const wished = this.limits.connectTimeoutMs ?? plan.connectTimeoutMs;
    const isFilesWish = pool.connectTimeoutMs !== DEFAULT_CONNECT_TIMEOUT_MS;
    return {
      endpoints: this.endpointsOf(name, plan),
      ...defined({
        connectTimeoutMs: isFilesWish ? undefined : wished,
        maxInFlight,
        maxConnections,
        maxPending,
        passiveHealth,
        ownPlace: this.leavePlace && this.deps.ownPlace?.current,
        hashKey: balance.kind === 'least-loaded' ? plan.hashKey : undefined,
      }),
    };
  }

  /** Undefined while the first target is not known: those after it are used only when it has no healthy instance. */
  private endpointsOf(name: string, { targets }: ClusterPlan): ClusterSnapshot['endpoints'] {
    const known: TargetInstances[] = targets.map((target) => ({
      target,
      instances: this.followed.get(keyOf(target))?.instances,
    }));
    const [first] = known;
    if (first !== undefined) {
      const key = keyOf(first.target);
      if (first.instances !== undefined) this.awaitNoLonger(key);
      else if (known.every(({ instances }) => instances === undefined) || this.awaits(key)) return undefined;
    }
    const endpoints = getOrInsert(this.endpoints, name, () => new ClusterEndpoints(this.seed));
    return endpoints.of(known, this.config.pool.maxEndpoints ?? DEFAULT_MAX_ENDPOINTS);
  }

  /** Whether nothing is used in place of this target yet. The wait begins with the first question. */
  private awaits(key: string): boolean {
    const known = this.awaited.get(key);
    if (known !== undefined) return known !== 'late';
    const onLate = () => {
      this.awaited.set(key, 'late');
      this.publish();
    };
    this.awaited.set(key, this.deps.timers.after(PRIMARY_WAIT_MS, onLate, { unref: true }));
    return true;
  }

  private awaitNoLonger(key: string): void {
    const known = this.awaited.get(key);
    this.awaited.delete(key);
    if (known !== undefined && known !== 'late') known.cancel();
  }

  /** Logs what is not applied, each sentence once for all upstreams. */
  private logUnsupported(): void {
    for (const sentence of this.unsupported()) {
      if (this.logged.has(sentence)) continue;
      this.logged.add(sentence);
      const fields = { upstream: this.config.name, rule: sentence };
      this.deps.logger.warn(fields, 'a rule of Consul is not applied');
    }
  }
}
