import type { Cluster } from '../cluster/cluster.js';
import { expireConnections, refreshConnections } from '../cluster/connections.js';
import { retireCluster, stopCluster } from '../cluster/membership.js';
import { isDiscovered, type MakeCluster, Upstream } from '../cluster/upstream.js';
import type { UpstreamConfig } from '../config/model.js';
import { PoisonTable } from '../core/retry/poison-table.js';
import type { UpstreamFailures } from '../core/retry/upstream-failures.js';
import { MethodKinds, type MethodList } from '../core/routing/method-kinds.js';
import type { UpstreamSnapshot } from '../discovery/snapshot.js';
import { encodeName } from '../http2/hpack/name-field.js';
import { NO_FIELDS } from '../http2/stream.js';
import type { ActiveFaults } from '../relay/fault-injection.js';
import { type RequestProfile, requestProfile } from '../relay/header-rewrite.js';
import { ENGINE_MODEL_ASKED } from '../relay/stream/engine-model.js';
import { TRACES_FIELD } from '../telemetry/trace-context.js';
import type { DataPlaneContext } from '../transport/context.js';
import type { OutboundCall, UpstreamHandler } from './call.js';
import { modelsThatMatter } from './called-model/models-that-matter.js';
import { CircuitBreaker } from './circuit-breaker.js';
import { ColdStart, type Wake } from './cold-start.js';
import { EjectionProbes } from './ejection-probe.js';
import { EngineCalls } from './engine-calls.js';
import { MethodStates } from './method-state.js';
import { ParameterKeys } from './parameter-key.js';
import { PoisonWatch } from './poison-requests.js';
import { Router } from './router.js';
import { SizeLimits } from './size-limits.js';
import { TrafficShift } from './traffic-shift.js';

/** What an upstream needs from outside. */
export interface OutboundDeps {
  readonly makeCluster: MakeCluster;
  readonly context: DataPlaneContext;
  /** Request bytes that one call may buffer for another attempt. */
  readonly replayBytes: number;
  /** Another upstream of this sidecar, by its name; absent: there is no other. */
  readonly find?: (name: string) => UpstreamHandler | undefined;
  /** Requests that crash models, of all upstreams of this sidecar; absent: of this one alone. */
  readonly poison?: PoisonTable;
  /** The service that calls; absent: it has no name. */
  readonly caller?: string;
  /** Asks for the start of a service; absent: it cannot be asked for. */
  readonly wake?: Wake;
  /** Where failures are kept that the application gets; absent: nowhere. */
  readonly failures?: UpstreamFailures;
}

/** What becomes of the calls that wait for what a change may bring; `Outbound` says it. */
export interface WaitingCallHandler {
  /** What the call waited for may be here. */
  resumeAfterChange(call: OutboundCall): void;
  /** The upstream goes away. */
  refuseRetired(call: OutboundCall): void;
}

/** What the calls of one upstream share, and how a reload, discovery or an identity changes it. `Outbound` takes a call through it. */
export class UpstreamState {
  readonly name: string;
  readonly upstream: Upstream;
  readonly breaker: CircuitBreaker;
  /** Latencies and fallbacks of methods whose route hedges or falls back. */
  readonly methodStates: MethodStates;
  readonly trafficShift: TrafficShift;
  readonly poison: PoisonWatch;
  readonly parameterKeys = new ParameterKeys();
  readonly sizeLimits = new SizeLimits();
  readonly engineCalls: EngineCalls;
  /** What is known of methods that the file says nothing of. */
  readonly kinds = new MethodKinds();
  /** Null: calls do not wait for endpoints to be up. */
  coldStart: ColdStart | null = null;
  /** Null: nothing asks for them. */
  readonly failures: UpstreamFailures | null;
  /** Counts for `/metrics`. */
  retries = 0;
  resumed = 0;
  attempts = 0;
  readonly context: DataPlaneContext;
  readonly router: Router;
  readonly probes = new EjectionProbes();
  profile: RequestProfile;
  /** Of calls whose answer is an engine's, whatever the file says of the upstream by now. */
  engineProfile: RequestProfile;
  /** `trafficShift` while a route or a fault drill needs it. */
  activeShift: TrafficShift | null = null;

  constructor(
    public config: UpstreamConfig,
    private readonly deps: OutboundDeps,
    private readonly waiting: WaitingCallHandler,
  ) {
    const { name, routes } = config;
    const { context } = deps;
    this.name = name;
    this.context = context;
    this.profile = profileOf(config, context, false);
    this.engineProfile = profileOf(config, context, true);
    this.upstream = new Upstream(config, (each, cluster) => this.watched(deps.makeCluster(each, cluster)));
    this.router = new Router(config, this.upstream, context, deps.replayBytes, this.kinds);
    this.kinds.onChange = () => this.router.forgetKinds();
    this.breaker = new CircuitBreaker(name, this.upstream, context);
    this.engineCalls = new EngineCalls(name, deps.caller ?? '', context.stats.engines);
    this.methodStates = new MethodStates(context.random, routes);
    this.trafficShift = new TrafficShift(name, context);
    this.poison = new PoisonWatch(name, deps.poison ?? new PoisonTable());
    this.failures = deps.failures ?? null;
    this.configure(config);
  }

  /** Another upstream of this sidecar. */
  find(name: string): UpstreamHandler | undefined {
    return this.deps.find?.(name);
  }

  /** Takes over a changed configuration. */
  update(config: UpstreamConfig): void {
    const profile = profileOf(config, this.context, false);
    // Kept where they say the same: header lists are remembered by them.
    if (config.tls !== this.config.tls || profile.added !== this.profile.added) {
      this.profile = profile;
      this.engineProfile = profileOf(config, this.context, true);
    }
    this.config = config;
    this.router.update(config);
    this.upstream.update(config);
    this.methodStates.update(config.routes);
    this.configure(config);
  }

  private configure(config: UpstreamConfig): void {
    this.breaker.configure(config);
    this.configureColdStart(config);
    this.trafficShift.configure(config.routes);
    this.activateShift();
    this.onTargetsChanged();
  }

  private configureColdStart({ name, coldStart }: UpstreamConfig): void {
    const { context, deps, breaker } = this;
    if (coldStart === undefined) this.coldStart = null;
    else if (this.coldStart !== null) this.coldStart.settings = coldStart;
    else this.coldStart = new ColdStart(coldStart, breaker, { upstream: name, context, wake: deps.wake });
  }

  /** Faults that calls are to meet; null: none. */
  setFaults(faults: ActiveFaults | null): void {
    this.trafficShift.setFaults(faults);
    this.activateShift();
  }

  private activateShift(): void {
    this.activeShift = this.trafficShift.isNeeded ? this.trafficShift : null;
  }

  /** Takes over all that discovery found out; calls that waited for it go on. */
  apply(snapshot: UpstreamSnapshot): void {
    // A reload may have ended discovery while an answer was on its way.
    if (!isDiscovered(this.config)) return;
    this.router.forgetRules();
    this.upstream.apply(snapshot);
    this.onTargetsChanged();
  }

  private onTargetsChanged(): void {
    this.router.models = modelsThatMatter(this.config.routes, this.clusters);
    const { engine, routes } = this.config;
    // Of an engine, Generate is the probe, whatever else is unary: no other call is waited for.
    this.probes.configure(engine === undefined ? routes : [], this.upstream.hasRetries);
    this.resumeWaiting();
  }

  private resumeWaiting(): void {
    if (this.breaker.waitingCalls === 0) return;
    this.context.nowMs = this.context.clock.now();
    for (const call of this.breaker.takeWaiting()) this.waiting.resumeAfterChange(call);
  }

  /** What endpoints say of their methods is taken over. */
  private watched(cluster: Cluster): Cluster {
    cluster.onDescribed = () => this.describe();
    return cluster;
  }

  private describe(): void {
    const lists = new Set<MethodList>();
    for (const { endpoints } of this.clusters)
      for (const { described } of endpoints) if (described !== null) lists.add(described);
    this.kinds.describe([...lists]);
  }

  /** Every cluster of endpoints, the one that most calls go to first. */
  get clusters(): readonly Cluster[] {
    return this.upstream.all;
  }

  /** The only cluster of an upstream without traffic rules, else the first. */
  get cluster(): Cluster {
    return this.upstream.all[0]!;
  }

  /** Replaces every connection by one with the new identity, make before break. */
  refreshConnections(): void {
    for (const cluster of this.clusters) refreshConnections(cluster);
    this.resumeWaiting();
  }

  /** No new call on connections that were made with an identity that is no longer valid. */
  expireConnections(): void {
    for (const cluster of this.clusters) expireConnections(cluster);
  }

  /** No new calls; those in flight end as usual. */
  retire(): void {
    for (const call of this.breaker.takeWaiting()) this.waiting.refuseRetired(call);
    for (const cluster of this.clusters) retireCluster(cluster);
  }

  /** Closes all connections and stops all timers. */
  stop(): void {
    this.trafficShift.stop();
    for (const cluster of this.clusters) stopCluster(cluster);
  }
}

const TRACES = [TRACES_FIELD];
const ASKS = [ENGINE_MODEL_ASKED];
const TRACES_AND_ASKS = [TRACES_FIELD, ENGINE_MODEL_ASKED];

/**
 * Sidecars of endpoints are told where calls are traced here, and those of engines that they may say what runs there.
 * @param isOfEngine of calls whose answer is an engine's
 */
function profileOf(
  { name, tls }: UpstreamConfig,
  { tracer }: DataPlaneContext,
  isOfEngine: boolean,
): RequestProfile {
  if (tls !== 'mesh') return requestProfile('http', encodeName(name));
  const added = tracer === null ? NO_FIELDS : TRACES;
  const all = !isOfEngine ? added : tracer === null ? ASKS : TRACES_AND_ASKS;
  return requestProfile('https', encodeName(name), all);
}
