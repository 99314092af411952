import type { Socket } from 'node:net';
import type { Address, UpstreamConfig } from '../config/model.js';
import type { Balancer } from '../core/balancing/balancer.js';
import type { EjectionPool } from '../core/outlier/ejection-pool.js';
import { RetryBudget } from '../core/retry/retry-budget.js';
import { ShortDeadlines } from '../core/retry/short-deadlines.js';
import { MAIN_CLUSTER } from '../discovery/snapshot.js';
import type { LocalSettings } from '../http2/settings.js';
import { LogThrottle } from '../runtime/log/logger.js';
import type { DataPlaneContext } from '../transport/context.js';
import type { Session } from '../transport/session.js';
import { balancerFor } from './balancer-for.js';
import { ConnectionWarmer } from './connection-warmer.js';
import type { Endpoint, Peer } from './endpoint.js';
import type { OutlierSweep } from './outlier-sweep.js';
import { PrioritySet } from './priority-set.js';
import { ReportCounts } from './report-counts.js';
import type { ModelClaims, ModelMisses } from './served-models/model-claims.js';
import { UnservedModels } from './served-models/unserved-models.js';
import { StaleDiscovery } from './stale-discovery.js';

/** Opens a socket to an endpoint; undefined while there is no identity to present. */
export type Dial = (address: Address, peer: Peer, tls: 'mesh' | 'plaintext') => Socket | undefined;

/** What the endpoints of a cluster need from outside. */
export interface ClusterDeps {
  readonly context: DataPlaneContext;
  readonly settings: LocalSettings;
  readonly dial: Dial;
  /** Why `dial` gave nothing, for logs and replies. */
  readonly whyNot?: () => string;
  /** Whether `peer` would be accepted with the roots of now; absent: peers prove nothing. */
  readonly stillTrusts?: (session: Session, peer: Peer) => boolean;
}

/**
 * The record of one set of endpoints: which there are, which may receive traffic, and what its calls may cost. Most
 * upstreams have one; traffic rules make several. The functions that work on it are in files of one idea: membership,
 * picking, eligibility, ejection-events, endpoint-health, connections and sweep-config.
 */
export class Cluster {
  readonly name: string;
  /** All endpoints, in the order of their priorities. */
  endpoints: readonly Endpoint[] = [];
  /** Those of the priority that calls go to. */
  active: readonly Endpoint[] = [];
  readonly budget: RetryBudget;
  readonly shortDeadlines = new ShortDeadlines();
  readonly unservedModels = new UnservedModels();
  /** Load reports of its endpoints that were read. */
  readonly reports = new ReportCounts();
  /** Which endpoints have which models; null: as far as they say so, all have the same. */
  claims: ModelClaims | null = null;
  readonly modelMisses: ModelMisses = { unclaimed: 0, unavailable: 0, unnamed: 0 };
  /** False: discovery has not said yet which endpoints there are. */
  isKnown = true;
  /** An endpoint has been connected, at any time. */
  hasConnected = false;
  /** There has been an identity to connect with. Until then no endpoint can be reached, through no fault of its own. */
  hasIdentity = false;
  isRetired = false;
  /** Calls in flight beyond this are refused (Consul: `Limits.MaxConcurrentRequests`). */
  maxInFlight = Number.POSITIVE_INFINITY;
  /** Bounds that discovery sets where the file has no breaker (Consul: `Limits.MaxConnections`, `.MaxPendingRequests`); 0: none. */
  maxConnections = 0;
  maxPending = 0;
  /** Times that so few were eligible that ejections are ignored (panic). */
  panics = 0;
  /** Connections that the breaker prevented, for metrics. */
  connectionsRefused = 0;
  readonly staleDiscovery = new StaleDiscovery();
  /** A detector that trips without ejecting does so at every further fault: logged once per endpoint and event. */
  readonly logThrottle: LogThrottle;
  /** Called after every change of endpoints, their connections and eligibility; it must not call back. */
  onChange: ((cluster: Cluster) => void) | null = null;
  /** Called when the last connection of an endpoint has ended, whoever ended it. */
  onDisconnected: (() => void) | null = null;
  /** Called when an endpoint has said which methods its service has. */
  onDescribed: (() => void) | null = null;
  /** Examines the endpoints while there is traffic; null where no detector, slow start or check asks for that. */
  sweep: OutlierSweep | null = null;
  byLabel = new Map<string, Endpoint>();
  readonly warmer: ConnectionWarmer;
  readonly priorities: PrioritySet;
  balancer: Balancer;
  hadEndpoints = false;
  /** Draws the subset of too many endpoints; made when it is first needed. */
  seed: number | undefined;

  readonly context: DataPlaneContext;

  /** Without endpoints as yet: `makeCluster` adds them. @param clusterName among the clusters of the upstream. */
  constructor(
    public config: UpstreamConfig,
    readonly deps: ClusterDeps,
    readonly clusterName: string = MAIN_CLUSTER,
  ) {
    const { context } = deps;
    this.name = config.name;
    this.context = context;
    this.budget = new RetryBudget(config.budget);
    this.logThrottle = new LogThrottle(context.clock);
    this.balancer = balancerFor(config.balance, context.random);
    this.warmer = new ConnectionWarmer(context.wheel, context.clock);
    this.priorities = new PrioritySet(config.ejection, context.random, this.warmer);
  }

  /** The ejections of the endpoints that calls go to. */
  get ejections(): EjectionPool {
    return this.priorities.active.ejections;
  }

  /** The ejections of every priority there has been. */
  get allEjections(): readonly EjectionPool[] {
    return this.priorities.allEjections;
  }

  /** Attempts in flight. */
  get inFlight(): number {
    let n = 0;
    for (const endpoint of this.endpoints) n += endpoint.inFlight;
    return n;
  }

  /** The endpoint of this address, as `labelOf` writes it. */
  find(label: string): Endpoint | undefined {
    return this.byLabel.get(label);
  }
}
