/**
 * What discovery tells the data plane, whoever found it out. Values are immutable snapshots: a later one replaces the
 * earlier one whole, and what is not known yet is said to be so, never left to look empty.
 */

import type { EndpointConfig, UpstreamConfig } from '../config/model.js';
import type { TrafficRoute } from '../core/routing/route-match.js';

/** Everything about one upstream. */
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
  /** Metadata key of a hash policy. */
  readonly hashKey?: string;
}

/** Added to the priority of an instance that the registry calls critical: it gets traffic when nobody else can. */
export const CRITICAL_PRIORITY = 1000;

/** The cluster of an upstream that has no traffic rules. */
export const MAIN_CLUSTER = '';

/** Whoever finds the endpoints of upstreams that name none. */
export interface Discovery {
  /** @param onKnowledge called with every change, perhaps before this returns. */
  watchUpstream(
    config: UpstreamConfig,
    onKnowledge: (knowledge: UpstreamSnapshot) => void,
  ): DiscoverySubscription;
}

/** The discovery of one upstream, until it is closed. */
export interface DiscoverySubscription {
  /** Takes over what a changed file asks for. */
  update(config: UpstreamConfig): void;
  /** Connections contradict what was told. */
  doubt(cluster: string, why: string): void;
  close(): void;
}
