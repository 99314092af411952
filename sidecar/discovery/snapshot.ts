import type { EndpointConfig, UpstreamConfig } from '../config/model.js';
import type { TrafficRoute } from '../core/routing/route-match.js';

/**
 * What discovery tells the data plane of one upstream. An immutable snapshot: a later one replaces it whole, and what is
 * not known yet is marked as such and never left empty.
 */
export interface UpstreamSnapshot {
  /** First match wins; the last one matches every call. */
  readonly routes: readonly TrafficRoute[];
  /** By the names that the routes use. */
  readonly clusters: ReadonlyMap<string, ClusterSnapshot>;
}

/** One set of endpoints that calls are balanced over. */
export interface ClusterSnapshot {
  /** Undefined: not known yet, and calls wait for it within their deadline. Empty: there are none. */
  readonly endpoints: readonly EndpointConfig[] | undefined;
  readonly connectTimeoutMs?: number;
  /** Calls in flight beyond this are refused at once. */
  readonly maxInFlight?: number;
  /** Connections to all endpoints together. */
  readonly maxConnections?: number;
  /** Calls that wait for a connection; one more is refused at once. */
  readonly maxPending?: number;
  readonly passiveHealth?: PassiveHealth;
  /** Where this machine is by the registry, for `locality` of an upstream that does not say it. */
  readonly ownPlace?: string;
  /** Metadata key of a hash policy. */
  readonly hashKey?: string;
}

/** Bounds of ejection for faults in a row, as far as the registry sets them. */
export interface PassiveHealth {
  readonly consecutiveFaults?: number;
  /** Length of the first ejection, ms. */
  readonly baseMs?: number;
  /** `observe`: faults in a row are counted and eject nothing. */
  readonly mode?: 'enforce' | 'observe';
}

/**
 * Whether a scaler counts it as a replica. One that ends has calls that end with it, or before. One of a failover target belongs to another
 * workload. One whose proxy is no Outrider is a replica that says nothing.
 */
export function isReplica({ isEnding, isFailover }: EndpointConfig): boolean {
  return isEnding !== true && isFailover !== true;
}

/** Added to the priority of an instance that the registry calls critical: it gets traffic while no other can. */
export const CRITICAL_PRIORITY = 1000;

/** The cluster of an upstream that has no traffic rules. */
export const MAIN_CLUSTER = '';

/** A source of endpoints for upstreams whose configuration names none. */
export interface Discovery {
  /** @param onSnapshot called with every change, perhaps before this returns. */
  watchUpstream(
    config: UpstreamConfig,
    onSnapshot: (snapshot: UpstreamSnapshot) => void,
  ): DiscoverySubscription;
}

/** The discovery of one upstream, until it is closed. */
export interface DiscoverySubscription {
  /** Applies a changed configuration. */
  update(config: UpstreamConfig): void;
  /** Connections contradict the snapshot: the cluster's endpoints are read again. */
  doubt(cluster: string, why: string): void;
  /** An endpoint has lost its connections, so that a change may be near: sources that are asked are asked sooner. Absent: this one tells. */
  hurry?(): void;
  /** What the endpoints do not say of how many replicas there are. Absent: they say it. */
  uncounted?(): Uncounted;
  close(): void;
}

/** What the endpoints of an upstream do not say of its replicas. */
export interface Uncounted {
  /** Why they do not tell how many there are, or whether there is any; undefined: they do, with `replicas`. */
  readonly why: string | undefined;
  /** Replicas beside the endpoints: the source lists them, and nothing connects to them. */
  readonly replicas: number;
}
