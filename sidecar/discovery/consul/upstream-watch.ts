/**
 * Everything that Consul knows of one upstream, kept up: the rules (discovery chain, defaults), the targets they lead
 * to, and the endpoints of those. Each change is told as a whole; what is not known yet is said to be so.
 */

import type { DiscoveryConfig, DiscoveryTarget, UpstreamConfig } from '../../config/model.js';
import type { Timer } from '../../runtime/timers.js';
import type { ClusterKnowledge, UpstreamKnowledge } from '../knowledge.js';
import type { CacheFile } from './cache-file.js';
import { type ChainPlan, type ClusterPlan, plainPlan, planOf } from './chain.js';
import { ClusterEndpoints, type TargetInstances } from './cluster-endpoints.js';
import type { ConsulDeps } from './deps.js';
import type { Queries, TargetState, TargetWatch } from './endpoint-watch.js';
import type { Instance } from './instances.js';
import type { QuerySpec } from './query.js';
import { filterFor, keyOf, type Target } from './target.js';
import { limitsOf, refusedDefaults, type UpstreamLimits } from './upstream-limits.js';
import type { Watch } from './watches.js';

/** What is used of `Targets`. */
export interface TargetSource {
  watch(target: Target, onChange: (state: TargetState) => void): TargetWatch;
}

export interface UpstreamDeps extends ConsulDeps {
  /** Our own service: its `service-defaults` say what its upstreams may cost. */
  readonly service: string;
  readonly cache?: CacheFile;
  /** What has been named in the log already; one for all upstreams, so that each sentence is said once. */
  readonly named?: Set<string>;
}

/** A primary target that nobody can tell us about for this long gives way to those after it. */
const PATIENCE_MS = 3_000;
/** The file's connect timeout is somebody's wish unless it is this one. */
const DEFAULT_CONNECT_TIMEOUT_MS = 1_000;

interface Followed {
  readonly target: Target;
  readonly watch: TargetWatch;
  instances: readonly Instance[] | undefined;
}

export class UpstreamWatch {
  private rules: Watch[] = [];
  private plan: ChainPlan | undefined;
  private limits: UpstreamLimits = { notHonoured: [] };
  private refused: readonly string[] = [];
  private readonly followed = new Map<string, Followed>();
  private readonly endpoints = new Map<string, ClusterEndpoints>();
  private patience: Timer | undefined;
  private isPatient = true;
  /** Changes that come while others are being taken over are told together. */
  private isQuiet = false;
  private isClosed = false;

  constructor(
    private config: UpstreamConfig,
    private readonly watches: Queries,
    private readonly targets: TargetSource,
    private readonly deps: UpstreamDeps,
    private readonly onKnowledge: (knowledge: UpstreamKnowledge) => void,
  ) {
    this.open();
  }

  /** Connections contradict what is known of a cluster's endpoints: they are read again. */
  doubt(cluster: string, why: string): void {
    for (const target of this.plan?.clusters.get(cluster)?.targets ?? [])
      this.followed.get(keyOf(target))?.watch.doubt(why);
  }

  /** Rules of Consul that are not applied, each in one sentence. */
  notHonoured(): readonly string[] {
    return [...new Set([...(this.plan?.notHonoured ?? []), ...this.limits.notHonoured, ...this.refused])];
  }

  /** Takes over a changed file. What is known stays in force until Consul has said the new. */
  update(config: UpstreamConfig): void {
    const { discovery, tls } = this.config;
    this.config = config;
    if (JSON.stringify([config.discovery, config.tls]) === JSON.stringify([discovery, tls]))
      return this.tell();
    for (const watch of this.rules) watch.close();
    this.rules = [];
    this.limits = { notHonoured: [] };
    this.refused = [];
    this.open();
  }

  close(): void {
    this.isClosed = true;
    this.patience?.cancel();
    for (const watch of this.rules) watch.close();
    for (const { watch } of this.followed.values()) watch.close();
    this.followed.clear();
  }

  // ---- rules ----

  private open(): void {
    const { discovery } = this.config;
    if (discovery === undefined) return;
    if (!this.deps.config.rules || saysWhere(discovery)) return this.follow(plainPlan(clusterOf(discovery)));
    this.isQuiet = true;
    this.watchEntry('service-defaults', this.deps.service, (text) => {
      this.limits = limitsOf(text, discovery.service);
    });
    this.watchEntry('proxy-defaults', 'global', (text) => {
      this.refused = refusedDefaults(text);
    });
    this.isQuiet = false;
    this.watchChain(discovery.service);
  }

  private watchChain(service: string): void {
    const section = `chain ${service}`;
    const { cache } = this.deps;
    const path = `/discovery-chain/${encodeURIComponent(service)}`;
    const read = (text: string) => ({ text, plan: planOf(text) });
    const spec: QuerySpec<{ text: string; plan: ChainPlan }> = {
      key: path,
      name: `rules of ${service}`,
      path,
      query: {},
      parse: (body) => read(body.toString('utf8')),
      ...(cache === undefined
        ? {}
        : {
            cache: { load: () => loadChain(cache, section), save: ({ text }) => cache.save(section, text) },
          }),
    };
    this.rules.push(this.watches.watch(spec, ({ plan }) => this.follow(plan)));
  }

  /** A config entry, which may not be there. What it says is read here, so that nonsense leaves what was. */
  private watchEntry(kind: string, name: string, take: (text: string) => void): void {
    const path = `/config/${kind}/${encodeURIComponent(name)}`;
    const spec: QuerySpec<string> = {
      key: path,
      name: `${kind} of ${name}`,
      path,
      query: {},
      parse: (body) => {
        const text = body.toString('utf8');
        if (JSON.parse(text) === null) throw new Error(`not a ${kind} entry`);
        return text;
      },
      absent: () => '',
    };
    const onValue = (text: string): void => {
      if (this.isClosed) return;
      try {
        take(text);
      } catch (error) {
        const problem = error instanceof Error ? error.message : String(error);
        this.deps.logger.warn({ entry: `${kind} ${name}`, problem }, 'an entry of Consul makes no sense');
        return;
      }
      this.name();
      this.tell();
    };
    this.rules.push(this.watches.watch(spec, onValue));
  }

  // ---- targets ----

  /** Other targets from now on; those that stay are not asked anew, and the old ones are let go last. */
  private follow(plan: ChainPlan): void {
    if (this.isClosed) return;
    this.isQuiet = true;
    // Of a service outside the mesh there is no proxy to be found.
    this.plan = this.config.tls === 'plaintext' ? withoutMesh(plan) : plan;
    const wanted = new Set<string>();
    for (const { targets } of this.plan.clusters.values()) {
      for (const target of targets) {
        const key = keyOf(target);
        wanted.add(key);
        if (!this.followed.has(key)) this.followTarget(key, target);
      }
    }
    for (const name of this.endpoints.keys()) if (!plan.clusters.has(name)) this.endpoints.delete(name);
    this.isQuiet = false;
    this.name();
    this.tell();
    for (const [key, { watch }] of this.followed) {
      if (wanted.has(key)) continue;
      watch.close();
      this.followed.delete(key);
    }
  }

  private followTarget(key: string, target: Target): void {
    let known: readonly Instance[] | undefined;
    const watch = this.targets.watch(target, ({ instances }) => {
      known = instances;
      const followed = this.followed.get(key);
      if (followed === undefined || followed.watch !== watch) return;
      followed.instances = instances;
      this.tell();
    });
    this.followed.set(key, { target, watch, instances: known });
  }

  // ---- knowledge ----

  private tell(): void {
    const { plan } = this;
    if (plan === undefined || this.isQuiet || this.isClosed) return;
    const clusters = new Map<string, ClusterKnowledge>();
    for (const [name, cluster] of plan.clusters) clusters.set(name, this.clusterOf(name, cluster));
    this.onKnowledge({ routes: plan.routes, clusters });
  }

  private clusterOf(name: string, plan: ClusterPlan): ClusterKnowledge {
    const { pool, balance } = this.config;
    const { maxInFlight } = this.limits;
    const wished = this.limits.connectTimeoutMs ?? plan.connectTimeoutMs;
    const isFilesWish = pool.connectTimeoutMs !== DEFAULT_CONNECT_TIMEOUT_MS;
    return {
      endpoints: this.endpointsOf(name, plan),
      ...(wished === undefined || isFilesWish ? {} : { connectTimeoutMs: wished }),
      ...(maxInFlight === undefined ? {} : { maxInFlight }),
      ...(plan.hashKey === undefined || balance.kind !== 'least-loaded' ? {} : { hashKey: plan.hashKey }),
    };
  }

  /** Undefined while the first target is not known: those after it are not to be taken for it. */
  private endpointsOf(name: string, { targets }: ClusterPlan): ClusterKnowledge['endpoints'] {
    const known: TargetInstances[] = targets.map((target) => ({
      target,
      instances: this.followed.get(keyOf(target))?.instances,
    }));
    const [first] = known;
    if (first !== undefined && first.instances === undefined) {
      if (known.every(({ instances }) => instances === undefined)) return undefined;
      if (this.isPatient) {
        this.patience ??= this.deps.timers.after(PATIENCE_MS, () => this.loseHope(), { unref: true });
        return undefined;
      }
    }
    let endpoints = this.endpoints.get(name);
    if (endpoints === undefined) {
      endpoints = new ClusterEndpoints();
      this.endpoints.set(name, endpoints);
    }
    return endpoints.of(known);
  }

  private loseHope(): void {
    this.isPatient = false;
    this.tell();
  }

  /** Says once, for all upstreams, what is not applied. */
  private name(): void {
    const named = this.deps.named ?? this.ownNamed;
    for (const sentence of this.notHonoured()) {
      if (named.has(sentence)) continue;
      named.add(sentence);
      this.deps.logger.warn(
        { upstream: this.config.name, rule: sentence },
        'a rule of Consul is not applied',
      );
    }
  }

  private readonly ownNamed = new Set<string>();
}

/** Whether the file says itself where to go; the registry's rules are not asked then. */
function saysWhere({ datacenter, tags, meta, failover }: DiscoveryConfig): boolean {
  return datacenter !== undefined || tags.length > 0 || Object.keys(meta).length > 0 || failover.length > 0;
}

function withoutMesh(plan: ChainPlan): ChainPlan {
  const clusters = [...plan.clusters].map(([name, cluster]): [string, ClusterPlan] => {
    const targets = cluster.targets.map((target): Target => ({ ...target, via: 'plain' }));
    return [name, { ...cluster, targets }];
  });
  return { ...plan, clusters: new Map(clusters) };
}

function clusterOf(discovery: DiscoveryConfig): ClusterPlan {
  return { targets: [targetOf(discovery), ...discovery.failover.map(targetOf)] };
}

function targetOf({ service, datacenter, tags, meta }: DiscoveryTarget): Target {
  const filter = filterFor(tags, meta);
  return {
    service,
    ...(datacenter === undefined ? {} : { datacenter }),
    ...(filter === undefined ? {} : { filter }),
  };
}

/** The chain of an earlier run; undefined when there is none that makes sense. */
function loadChain(cache: CacheFile, section: string): { text: string; plan: ChainPlan } | undefined {
  const text = cache.load(section);
  if (typeof text !== 'string') return undefined;
  try {
    return { text, plan: planOf(text) };
  } catch {
    return undefined;
  }
}
