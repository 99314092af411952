import type { Cluster } from '../../cluster/cluster.js';
import type { Endpoint } from '../../cluster/endpoint.js';
import type { UpstreamConfig } from '../../config/model.js';
import { getOrInsert } from '../../runtime/get-or-insert.js';
import { EventLoopMonitor } from '../../runtime/process/event-loop-monitor.js';
import type { Timers } from '../../runtime/time/timers.js';
import { WheelEntry } from '../../runtime/time/timing-wheel.js';
import type { Metric } from '../../telemetry/metric.js';
import { metric, metricsOver } from '../../telemetry/metric-rows.js';
import type { DataPlaneContext } from '../../transport/context.js';
import { LoadWatches } from './load-watches.js';
import { MethodWatches } from './method-watches.js';
import { type Member, Prober, type ProberDeps } from './prober.js';
import { askByConnecting, askByPing, HealthCalls, type Probe, type ProbeCallback } from './probes.js';
import { RecoveryProbes } from './recovery.js';

/** Checks begun in one turn of the event loop, and the pause until the next ones, ms. */
const AT_ONCE = 8;
const PAUSE_MS = 4;

export interface HealthCheckerOptions {
  readonly context: DataPlaneContext;
  readonly timers: Timers;
  /** Endpoints are asked for their load whatever the balancer goes by. Absent: they are not. */
  readonly asksForLoad?: boolean;
}

/** One cluster: the prober of each endpoint, and the configuration by which they were chosen. */
interface CheckedCluster {
  readonly probers: Map<Endpoint, Prober>;
  config: UpstreamConfig;
}

/**
 * Active health checks of the endpoints of all upstreams, by `grpc`, `ping` or `tcp` as each
 * upstream's `health` asks. Endpoints that no connection is prepared for (of far lower priority)
 * are not checked.
 *
 * At most 8 checks begin in one turn: thousands at once would starve the event loop and then time
 * out together (envoyproxy/envoy#28699).
 */
export class HealthChecker extends WheelEntry {
  private readonly configs = new Map<string, UpstreamConfig>();
  private readonly clusters = new Map<Cluster, CheckedCluster>();
  private readonly probers = new Map<string, Prober>();
  /** The key of each prober, and its calls where it checks by those. */
  private readonly details = new Map<Prober, { readonly key: string; readonly calls?: HealthCalls }>();
  private readonly deps: ProberDeps;
  private readonly recoveries: RecoveryProbes;
  private readonly loadWatches: LoadWatches;
  private readonly methodWatches: MethodWatches;
  private queue: Prober[] = [];
  private begun = 0;

  constructor(private readonly options: HealthCheckerOptions) {
    super();
    const { context, timers, asksForLoad = false } = options;
    this.recoveries = new RecoveryProbes(context);
    this.loadWatches = new LoadWatches(context, asksForLoad);
    this.methodWatches = new MethodWatches(context);
    const isBusy = (): boolean => [...this.probers.values()].some(({ isAsking }) => isAsking);
    this.deps = {
      context,
      loopMonitor: new EventLoopMonitor(context.clock, timers, isBusy),
      enqueue: (prober) => this.enqueue(prober),
      ask: (prober, hear) => this.ask(prober, hear),
    };
  }

  /**
   * The configuration of an upstream; to be called before the upstream itself is created or
   * updated.
   */
  configure(config: UpstreamConfig): void {
    this.configs.set(config.name, config);
  }

  /** Checks the endpoints of a new cluster from now on. */
  addCluster(cluster: Cluster): void {
    cluster.onChange = (changed) => this.update(changed);
    this.update(cluster);
  }

  /** Stops the checks of an upstream and all its clusters. */
  removeUpstream(name: string): void {
    this.configs.delete(name);
    this.recoveries.removeUpstream(name);
    this.loadWatches.removeUpstream(name);
    this.methodWatches.removeUpstream(name);
    for (const cluster of [...this.clusters.keys()]) if (cluster.name === name) this.leaveAll(cluster);
  }

  stop(): void {
    this.configs.clear();
    for (const cluster of [...this.clusters.keys()]) this.leaveAll(cluster);
    this.recoveries.stop();
    this.loadWatches.stop();
    this.methodWatches.stop();
    this.queue = [];
    this.options.context.wheel.cancel(this);
    this.deps.loopMonitor.stop();
  }

  /** After a change of endpoints or connections. */
  private update(cluster: Cluster): void {
    if (this.clusters.size > 0) this.leaveRetired();
    const config = this.configs.get(cluster.name);
    if (config !== undefined && !cluster.isRetired) this.recoveries.update(cluster, config);
    if (config !== undefined) this.loadWatches.update(cluster, config);
    if (config !== undefined) this.methodWatches.update(cluster, config);
    if (config?.health === undefined || cluster.isRetired) return this.leaveAll(cluster);
    const checked = getOrInsert(this.clusters, cluster, () => ({ probers: new Map(), config }));
    for (const endpoint of [...checked.probers.keys()])
      if (endpoint.isGone) this.leave(checked.probers, endpoint);
    const isChanged = checked.config !== config;
    checked.config = config;
    for (const endpoint of cluster.endpoints) {
      if (!endpoint.isPrepared) continue;
      const prober = checked.probers.get(endpoint);
      if (prober === undefined || isChanged) this.join(checked, { cluster, endpoint });
      checked.probers.get(endpoint)!.connectionsChanged();
    }
  }

  private join({ probers, config }: CheckedCluster, member: Member): void {
    const { endpoint } = member;
    const key = keyOf(endpoint, config);
    const before = probers.get(endpoint);
    if (before !== undefined && this.details.get(before)?.key === key) return;
    this.leave(probers, endpoint);
    let prober = this.probers.get(key);
    if (prober === undefined) {
      prober = new Prober(config.health!, endpoint.address, this.deps);
      this.probers.set(key, prober);
      this.details.set(prober, { key, ...callsOf(config) });
    }
    prober.join(member);
    probers.set(endpoint, prober);
  }

  private leave(probers: Map<Endpoint, Prober>, endpoint: Endpoint): void {
    const prober = probers.get(endpoint);
    probers.delete(endpoint);
    if (prober?.leave(endpoint) !== true) return;
    this.probers.delete(this.details.get(prober)!.key);
    this.details.delete(prober);
  }

  private leaveAll(cluster: Cluster): void {
    const checked = this.clusters.get(cluster);
    if (checked === undefined) return;
    this.clusters.delete(cluster);
    for (const endpoint of [...checked.probers.keys()]) this.leave(checked.probers, endpoint);
  }

  private leaveRetired(): void {
    for (const cluster of this.clusters.keys()) if (cluster.isRetired) this.leaveAll(cluster);
  }

  // ---- asking ----

  private enqueue(prober: Prober): void {
    this.queue.push(prober);
    if (this.begun < AT_ONCE) this.beginNext();
    if (!this.isScheduled) this.options.context.wheel.add(this, this.options.context.clock.now() + PAUSE_MS);
  }

  /** The timer of the next turn. */
  fire(): void {
    this.begun = 0;
    this.leaveRetired();
    while (this.begun < AT_ONCE && this.queue.length > 0) this.beginNext();
    if (this.begun > 0) this.options.context.wheel.add(this, this.options.context.clock.now() + PAUSE_MS);
  }

  private beginNext(): void {
    this.begun++;
    this.queue.shift()?.begin();
  }

  private ask(prober: Prober, onResult: ProbeCallback): Probe | undefined {
    const { check, address, members, timeoutMs } = prober;
    const { context } = this.options;
    if (check.kind === 'tcp') return askByConnecting(context.network.dial(address), onResult);
    const nowMs = context.clock.now();
    for (const { endpoint } of members) {
      const { pool } = endpoint;
      if (!pool.isConnected) continue;
      const calls = this.details.get(prober)?.calls;
      const probe =
        calls === undefined
          ? askByPing(pool, nowMs, onResult)
          : calls.ask(pool, { nowMs, timeoutMs, onResult });
      if (probe !== undefined) return probe;
    }
    return undefined;
  }

  // ---- reports ----

  metrics(): Metric[] {
    if (this.probers.size === 0) return this.recoveries.metrics();
    const rows = [...this.probers.values()].flatMap((prober) => {
      const endpoint = prober.members[0]!.endpoint.label;
      const upstreams = new Set(prober.members.map(({ cluster }) => cluster.name));
      return [...upstreams].map((upstream) => ({ labels: { upstream, endpoint }, prober }));
    });
    const over = (some: typeof rows) => metricsOver(some, ({ labels }) => labels);
    const asked = over(rows.filter(({ prober }) => prober.timeoutMs > 0));
    const answered = over(rows.filter(({ prober }) => prober.answerMs > 0));
    const checks = over(rows).counts('result', ({ prober }) => prober.counts);
    return [
      metric('outrider_health_checks_total', checks),
      over(rows).metric('outrider_endpoint_healthy', ({ prober }) => Number(prober.health.isHealthy)),
      answered.metric('outrider_health_check_seconds', ({ prober }) => prober.answerMs / 1000),
      asked.metric('outrider_health_check_timeout_seconds', ({ prober }) => prober.timeoutMs / 1000),
      ...this.recoveries.metrics(),
    ];
  }
}

function callsOf({ name, tls, health }: UpstreamConfig): { readonly calls?: HealthCalls } {
  if (health?.kind !== 'grpc') return {};
  const scheme = tls === 'mesh' ? 'https' : 'http';
  return { calls: new HealthCalls({ ...health, scheme, authority: name }) };
}

/** Key of a prober: clusters with the same check of the same peer share one. */
function keyOf({ label, peer }: Endpoint, { tls, health }: UpstreamConfig): string {
  return JSON.stringify([label, peer.service, peer.datacenter, peer.subset, tls, health]);
}
