/**
 * One set of endpoints as it stands now: who of them may receive traffic, and what its calls may cost. Most upstreams
 * are one such set; traffic rules make several of one upstream. Changes come from discovery and files (`update`), from
 * connections and from outcomes; readers see plain fields.
 */

import type { Socket } from 'node:net';
import { labelOf } from '../config/codecs/address.js';
import { DEFAULT_MAX_ENDPOINTS } from '../config/defaults.js';
import type { Address, EndpointConfig, UpstreamConfig } from '../config/model.js';
import { type Balancer, hasUntried } from '../core/balancing/balancer.js';
import { makeBalancer } from '../core/balancing/balancers.js';
import { EjectionEvent, NO_PROBE } from '../core/outlier/ejection.js';
import type { EjectionPool } from '../core/outlier/ejection-pool.js';
import { RetryBudget } from '../core/retry/retry-budget.js';
import { ownEndpoints } from '../discovery/endpoint-subset.js';
import { MAIN_CLUSTER } from '../discovery/snapshot.js';
import type { LocalSettings } from '../http2/settings.js';
import { LogThrottle } from '../runtime/log/logger.js';
import type { DataPlaneContext } from '../transport/context.js';
import { Pool } from '../transport/pool.js';
import { ConnectionWarmer } from './connection-warmer.js';
import { Endpoint, type EndpointEjection, type Peer, whyEjected } from './endpoint.js';
import { needsSweep, OutlierSweep, type SweepTarget } from './outlier-sweep.js';
import type { PriorityLevel } from './priority-level.js';
import { PrioritySet } from './priority-set.js';
import { StaleDiscovery } from './stale-discovery.js';
import { UnservedModels } from './unserved-models.js';

/** As long as what calls show is remembered. */
const FORGIVEN_AFTER_MS = 10_000;

/** Opens a socket to an endpoint; undefined while there is no identity to present. */
export type Dial = (address: Address, peer: Peer, tls: 'mesh' | 'plaintext') => Socket | undefined;

export class Cluster implements SweepTarget {
  readonly name: string;
  /** All endpoints, in the order of their priorities. */
  endpoints: readonly Endpoint[] = [];
  /** Those of the priority that calls go to. */
  active: readonly Endpoint[] = [];
  readonly budget: RetryBudget;
  readonly unservedModels = new UnservedModels();
  /** False: nobody has said yet which endpoints there are. */
  isKnown = true;
  /** There has been something to connect with. Until then nobody can be reached, and it is nobody's fault. */
  hasIdentity = false;
  isRetired = false;
  /** Calls in flight beyond this are refused. */
  maxInFlight = Number.POSITIVE_INFINITY;
  /** Panic: so few are eligible that ejections are ignored; counted once per onset. */
  panics = 0;
  /** Connections that were not made because there are as many as may be. */
  connectionsRefused = 0;
  readonly staleDiscovery = new StaleDiscovery();
  /** A detector that trips and may eject nobody does so at every further fault. */
  private readonly logThrottle: LogThrottle;
  /** Told of every change of endpoints, of their connections and of who may receive traffic; it must not call back. */
  onChange: ((upstream: Cluster) => void) | null = null;
  /** Looks at the endpoints while there is traffic; null where nothing asks for that. */
  sweep: OutlierSweep | null = null;
  private byLabel = new Map<string, Endpoint>();
  private readonly warmer: ConnectionWarmer;
  private readonly priorities: PrioritySet;
  private balancer: Balancer;
  private hadEndpoints = false;
  /** Which subset of too many endpoints is ours; drawn when it is first needed. */
  private seed: number | undefined;

  /** @param clusterName its name among the clusters of the upstream. */
  constructor(
    private config: UpstreamConfig,
    private readonly context: DataPlaneContext,
    private readonly settings: LocalSettings,
    private readonly dial: Dial,
    readonly clusterName: string = MAIN_CLUSTER,
    /** Why `dial` gave nothing, for people. */
    private readonly whyNot?: () => string,
  ) {
    this.name = config.name;
    this.budget = new RetryBudget(config.budget);
    this.logThrottle = new LogThrottle(context.clock);
    this.balancer = makeBalancer(config.balance.kind, context.random);
    this.warmer = new ConnectionWarmer(context.wheel, context.clock);
    this.priorities = new PrioritySet(config.ejection, context.random, this.warmer);
    this.scrutinize(config);
    this.setEndpoints(config);
  }

  /** Takes over a new configuration. Endpoints that stay keep their connections and what is known of them. */
  update(config: UpstreamConfig): void {
    this.priorities.configure(config.ejection, this.context.clock.now());
    this.budget.configure(config.budget);
    if (config.health === undefined)
      for (const endpoint of this.endpoints)
        this.endpointHealthy(endpoint, true, 'nobody checks it any more');
    if (config.balance.kind !== this.config.balance.kind)
      this.balancer = makeBalancer(config.balance.kind, this.context.random);
    this.scrutinize(config);
    const isSameProtocol = config.tls === this.config.tls;
    this.config = config;
    this.setEndpoints(config, isSameProtocol);
    // More connections, if more are wanted now (those too many go at their age); other limits hold from now on.
    for (const endpoint of this.endpoints) if (isStarted(endpoint)) endpoint.pool.start();
  }

  /** What is to be known of the endpoints beside how their calls end. */
  private scrutinize(config: UpstreamConfig): void {
    const { slowStart, locality } = config;
    this.priorities.locality = locality;
    const isWanted = needsSweep(config);
    if (isWanted) this.sweep ??= new OutlierSweep(this.context, this);
    else this.sweep?.stop();
    if (!isWanted) this.sweep = null;
    this.sweep?.configure(config);
    for (const endpoint of this.endpoints) {
      if (slowStart === undefined) endpoint.slowStart = null;
      if (!isWanted) endpoint.overloadFactor = 0;
      if (locality === undefined) endpoint.localityFactor = 1;
      endpoint.updateEffectiveWeight();
    }
    this.balancer.reweighed?.();
  }

  /** Every priority there has been. */
  get priorityLevels(): readonly PriorityLevel[] {
    return this.priorities.all;
  }

  get feelsLoad(): boolean {
    return this.balancer.feelsLoad === true;
  }

  peerOf(endpoint: Endpoint): Endpoint | undefined {
    const peer = this.balancer.pick(this.active, [endpoint], this.context.clock.now());
    return peer === endpoint ? undefined : peer;
  }

  onReweighed(): void {
    this.balancer.reweighed?.();
  }

  onVerdict(verdict: EjectionEvent, endpoint: Endpoint): void {
    this.refreshAfter(verdict, endpoint);
  }

  /** The ejections of the endpoints that calls go to. */
  get ejections(): EjectionPool {
    return this.priorities.active.ejections;
  }

  /** Those of every priority there has been. */
  get allEjections(): readonly EjectionPool[] {
    return this.priorities.allEjections;
  }

  /** Attempts under way. */
  get inFlight(): number {
    let n = 0;
    for (const endpoint of this.endpoints) n += endpoint.inFlight;
    return n;
  }

  /** Presents a new identity: every connection is replaced, make before break. */
  refreshConnections(): void {
    for (const endpoint of this.endpoints) if (isStarted(endpoint)) endpoint.pool.refresh();
  }

  /** Nothing new on the connections that stand: what they were made with is over. */
  expireConnections(): void {
    for (const endpoint of this.endpoints) if (isStarted(endpoint)) endpoint.pool.expire();
  }

  /** Whether `takeProbe` would find one. */
  isProbeDue(nowMs: number): boolean {
    return (this.priorities.onlyEjections ?? this.priorities).isProbeDue(nowMs);
  }

  /**
   * An ejected endpoint whose time is over and that this call shall try; its end must be recorded, and counts until
   * `overMs`.
   */
  takeProbe(nowMs: number, overMs: number): Endpoint | undefined {
    const { onlyEjections } = this.priorities;
    const probe = (
      onlyEjections === null
        ? this.priorities.takeProbe(nowMs, overMs)
        : onlyEjections.takeProbe(nowMs, overMs)
    ) as EndpointEjection | undefined;
    if (probe === undefined) return undefined;
    // The trial shall be what speaks for or against it, not what led to its ejection.
    probe.endpoint.latency.forgetPeak();
    this.refresh();
    return probe.endpoint;
  }

  /**
   * The endpoint for an attempt: the balancer's choice among the eligible; when nobody is connected, one whose
   * connection may come in time. Undefined: there is none.
   * @param key hash of what the call sticks to; NO_KEY: nothing.
   */
  pick(tried: readonly Endpoint[], nowMs: number, key?: number): Endpoint | undefined {
    return this.balancer.pick(this.active, tried, nowMs, key) ?? this.priorities.unconnected(tried);
  }

  /** The same for a further attempt, which may go beyond those whose turn it is when it has tried them all. */
  pickAgain(tried: readonly Endpoint[], nowMs: number, key?: number): Endpoint | undefined {
    return this.failover(tried) ?? this.pick(tried, nowMs, key);
  }

  /** The endpoint of this address, as `labelOf` writes it. */
  find(label: string): Endpoint | undefined {
    return this.byLabel.get(label);
  }

  /** Whether an attempt could go to an endpoint that the call has not tried. */
  hasUntried(tried: readonly Endpoint[]): boolean {
    return hasUntried(this.active, tried) || this.failover(tried) !== undefined;
  }

  /** For a call that has tried all whose turn it is: one of the next priority that could take over. */
  private failover(tried: readonly Endpoint[]): Endpoint | undefined {
    if (!this.priorities.hasFailover || hasUntried(this.active, tried)) return undefined;
    return this.priorities.failover(tried);
  }

  /** Tells ejection what came of an attempt; true when that changed who is eligible. */
  refreshAfter(verdict: EjectionEvent, endpoint: Endpoint): void {
    if (verdict === EjectionEvent.nothing) return;
    // What it cost while it failed is over, as for one that was away.
    if (verdict === EjectionEvent.recovered) return endpoint.latency.forgetPeak();
    this.refresh();
    if (verdict === EjectionEvent.readmitted) this.sweep?.startSlowly(endpoint);
    const { logger } = this.context;
    const why = whyEjected(endpoint);
    const fields = { upstream: this.name, endpoint: endpoint.label, why };
    if (verdict === EjectionEvent.ejected || verdict === EjectionEvent.reEjected)
      logger.warn(fields, 'endpoint ejected');
    else if (verdict === EjectionEvent.readmitted) logger.info(fields, 'endpoint readmitted');
    else {
      const held = this.logThrottle.pass(`${endpoint.label} ${verdict}`);
      if (held >= 0) logger.warn({ ...fields, verdict, held }, 'endpoint would have been ejected');
    }
  }

  /**
   * What an active check or a golden inference says of an endpoint; to be told as often as it is found out. An unhealthy
   * one gets no calls while another answers, and is not tried after an ejection. One that becomes healthy again need not
   * wait for the end of an ejection: the next call is its trial. A check that has passed all along ends no ejection while
   * there are calls, for those are better evidence than checks.
   * @param why in one sentence, for people; only needed of the unhealthy.
   */
  endpointHealthy(endpoint: Endpoint, healthy: boolean, why: string): void {
    const wasHealthy = endpoint.unhealthy === '';
    endpoint.unhealthy = healthy ? '' : why || 'its health check failed';
    if (wasHealthy === healthy || endpoint.isGone) return;
    const now = this.context.clock.now();
    endpoint.availableSinceMs = now;
    if (healthy) {
      endpoint.ejections.probeNow(endpoint.ejection, now);
      this.onRecovered(endpoint);
    }
    const fields = { upstream: this.name, endpoint: endpoint.label, why };
    if (healthy) this.context.logger.info(fields, 'endpoint is healthy again');
    else this.context.logger.warn(fields, 'endpoint is unhealthy');
    this.setAvailable(endpoint);
  }

  /** The time of an ejection was over, no call came to be the trial, and a check has passed. */
  readmitUntried(endpoint: Endpoint): void {
    endpoint.ejections.readmitUnprobed(endpoint.ejection, this.context.clock.now());
    this.refreshAfter(EjectionEvent.readmitted, endpoint);
  }

  /** The time in which it was away, or not well, must not go on speaking against it. */
  private onRecovered(endpoint: Endpoint): void {
    const now = this.context.clock.now();
    endpoint.latency.forgetPeak();
    // Who goes again right after it came is not forgiven each time: such a one is only ever seen to fail.
    if (now - endpoint.backSinceMs >= FORGIVEN_AFTER_MS) endpoint.ejections.forgetHistory(endpoint.ejection);
    endpoint.backSinceMs = now;
    this.sweep?.startSlowly(endpoint);
  }

  private setAvailable(endpoint: Endpoint): void {
    const isAvailable = endpoint.isConnected && endpoint.unhealthy === '';
    endpoint.ejections.setAvailable(endpoint.ejection, isAvailable ? 'available' : 'unavailable');
    this.refresh();
  }

  /** Recomputes whose turn it is and who may receive traffic. */
  refresh(): void {
    const { priorities } = this;
    const { logger } = this.context;
    const before = priorities.active;
    const panics = priorities.refresh();
    if (priorities.active !== before && this.hadEndpoints && priorities.active.endpoints.length > 0) {
      const fields = { upstream: this.name, cluster: this.clusterName, priority: priorities.active.priority };
      logger.warn(fields, 'traffic goes to the endpoints of another priority');
    }
    this.active = priorities.active.endpoints;
    this.onChange?.(this);
    if (panics === 0) return;
    this.panics += panics;
    logger.warn(
      { upstream: this.name },
      'fewer than half of the endpoints are eligible: ejections are ignored',
    );
  }

  /** Why an endpoint that could take calls gets none: those of another priority do, or of another locality. */
  isStandby(endpoint: Endpoint): '' | 'priority' | 'locality' {
    if (endpoint.priority !== this.priorities.active.priority) return 'priority';
    return endpoint.eligible || this.priorities.locality === undefined ? '' : 'locality';
  }

  /** No new calls; those under way end in peace. */
  retire(): void {
    this.isRetired = true;
    this.warmer.stop();
    for (const endpoint of this.endpoints) endpoint.pool.retire();
  }

  stop(): void {
    this.warmer.stop();
    this.sweep?.stop();
    for (const endpoint of this.endpoints) endpoint.pool.stop();
  }

  private setEndpoints(config: UpstreamConfig, keepPools = true): void {
    const before = this.byLabel;
    const now = this.context.clock.now();
    const chosen = this.choose(config.endpoints).map((each) => {
      const known = keepPools ? before.get(labelOf(each.address)) : undefined;
      if (known === undefined || !known.hasPeer(each, this.name)) {
        this.staleDiscovery.reset();
        return this.makeEndpoint(each);
      }
      before.delete(known.label);
      known.configure(each);
      known.limits.config = config.pool;
      return known;
    });
    // Connections are counted from here on, those that are begun with the groups included.
    this.endpoints = chosen;
    this.endpoints = this.priorities.set(chosen, now);
    this.byLabel = new Map(this.endpoints.map((endpoint) => [endpoint.label, endpoint]));
    for (const gone of before.values()) {
      gone.isGone = true;
      gone.ejections.remove(gone.ejection, now);
      gone.eligible = false;
      gone.slowStart = null;
      this.sweep?.inspector?.forget(gone);
      gone.pool.retire();
    }
    this.refresh();
    this.hadEndpoints ||= chosen.length > 0;
  }

  /** Of too many of one priority, the subset that is ours. */
  private choose(endpoints: readonly EndpointConfig[]): readonly EndpointConfig[] {
    const limit = this.config.pool.maxEndpoints ?? DEFAULT_MAX_ENDPOINTS;
    if (endpoints.length <= limit) return endpoints;
    this.seed ??= Math.floor(this.context.random() * 0x1_0000_0000);
    return ownEndpoints(endpoints, limit, this.seed);
  }

  private makeEndpoint(config: EndpointConfig): Endpoint {
    const endpoint = new Endpoint(config, this.name);
    endpoint.ejection.isAvailable = false;
    endpoint.ejection.probe = NO_PROBE;
    endpoint.eligible = false;
    endpoint.isNew = !this.hadEndpoints;
    endpoint.availableSinceMs = this.context.clock.now();
    endpoint.limits = {
      config: this.config.pool,
      settings: this.settings,
      dial: () => this.dialTo(endpoint),
      mayOpen: () => this.mayOpen(),
      onChange: () => this.onConnection(endpoint),
      ...(this.whyNot === undefined ? {} : { whyNot: this.whyNot }),
    };
    endpoint.pool = new Pool(endpoint.limits, this.context);
    return endpoint;
  }

  /** Those that only replace others are not counted twice for long, and always may. */
  private mayOpen(): boolean {
    if (this.hasRoom) return true;
    this.connectionsRefused++;
    return false;
  }

  /** For one more connection. */
  private get hasRoom(): boolean {
    const most = this.config.breaker?.maxConnections ?? 0;
    if (most === 0) return true;
    let n = 0;
    for (const { pool } of this.endpoints) n += pool.activeCount;
    return n < most;
  }

  /** Room for a connection may have come: those that have none take it, or wait until they may try again. */
  private fillStarved(): void {
    for (const endpoint of this.endpoints) {
      if (!this.hasRoom) return;
      if (isStarted(endpoint) && endpoint.pool.activeCount === 0) endpoint.pool.start();
    }
  }

  private dialTo({ address, peer }: Endpoint): Socket | undefined {
    const socket = this.dial(address, peer, this.config.tls);
    if (socket !== undefined) this.hasIdentity = true;
    return socket;
  }

  private onConnection(endpoint: Endpoint): void {
    const isConnected = endpoint.pool.isConnected;
    // Who is there from the beginning is no colder than the others.
    if (isConnected && !endpoint.isConnected && !endpoint.isNew) this.onRecovered(endpoint);
    if (isConnected || endpoint.pool.failures > 0) endpoint.isNew = false;
    if (endpoint.isConnected !== isConnected) {
      endpoint.isConnected = isConnected;
      endpoint.availableSinceMs = this.context.clock.now();
      this.context.logger.info(
        { upstream: this.name, endpoint: endpoint.label, why: endpoint.pool.problem },
        isConnected ? 'endpoint connected' : 'endpoint disconnected',
      );
    }
    this.setAvailable(endpoint);
    if (!isConnected && (this.config.breaker?.maxConnections ?? 0) > 0) this.fillStarved();
    if (isConnected || endpoint.isGone) return;
    if (endpoint.pool.failures > 0 && endpoint.critical === '') this.doubtFrom(endpoint);
  }

  private doubtFrom(endpoint: Endpoint): void {
    const vouchedFor = this.endpoints.filter(({ critical }) => critical === '').map(({ pool }) => pool);
    const why = `${endpoint.label}: ${endpoint.pool.problem}`;
    this.staleDiscovery.onFailure(endpoint.pool, vouchedFor, why, this.context.clock.now());
  }
}

function isStarted({ isPrepared, isQueued }: Endpoint): boolean {
  return isPrepared && !isQueued;
}
