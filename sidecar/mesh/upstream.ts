/**
 * One upstream as it stands now: its endpoints, who of them may receive traffic, and what its calls may cost.
 * Changes come from discovery (`update`), from connections and from outcomes; readers see plain fields.
 */

import type { Socket } from 'node:net';
import type { Address, UpstreamConfig } from '../config/model.js';
import { type Balancer, LeastLoaded, RoundRobin } from '../core/balance.js';
import { NO_PROBE, Verdict } from '../core/ejection.js';
import { EjectionPool } from '../core/ejection-pool.js';
import { RetryBudget } from '../core/retry-budget.js';
import type { LocalSettings } from '../http2/settings.js';
import { Pool } from '../relay/pool.js';
import type { Relay } from '../relay/relay.js';
import { Endpoint, type EndpointEjection, labelOf } from './endpoint.js';

/** Opens a socket to an endpoint of a service; undefined while there is no identity to present. */
export type Dial = (address: Address, service: string, tls: 'mesh' | 'plaintext') => Socket | undefined;

export class Upstream {
  readonly name: string;
  endpoints: readonly Endpoint[] = [];
  readonly ejections: EjectionPool;
  readonly budget: RetryBudget;
  /** Panic: so few are eligible that ejections are ignored; counted once per onset. */
  panics = 0;
  private isPanicking = false;
  private balancer: Balancer;

  constructor(
    private config: UpstreamConfig,
    private readonly relay: Relay,
    private readonly settings: LocalSettings,
    private readonly dial: Dial,
  ) {
    this.name = config.name;
    this.ejections = new EjectionPool(config.ejection, relay.random);
    this.budget = new RetryBudget(config.budget);
    this.balancer = balancerOf(config, relay);
    this.setEndpoints(config);
  }

  /** Takes over a new configuration. Endpoints that stay keep their connections and what is known of them. */
  update(config: UpstreamConfig): void {
    this.ejections.configure(config.ejection, this.relay.clock.now());
    this.budget.configure(config.budget);
    if (config.balance.kind !== this.config.balance.kind) this.balancer = balancerOf(config, this.relay);
    const isSamePool =
      JSON.stringify(config.pool) === JSON.stringify(this.config.pool) && config.tls === this.config.tls;
    this.config = config;
    this.setEndpoints(config, isSamePool);
  }

  /** Presents a new identity: every connection is replaced, make before break. */
  refreshConnections(): void {
    for (const endpoint of this.endpoints) endpoint.pool.refresh();
  }

  /** An ejected endpoint whose time is over and that this call shall try; its end must be recorded. */
  takeProbe(nowMs: number): Endpoint | undefined {
    const probe = this.ejections.takeProbe(nowMs) as EndpointEjection | undefined;
    if (probe === undefined) return undefined;
    this.refresh();
    return probe.endpoint;
  }

  /**
   * The endpoint for an attempt: the balancer's choice among the eligible; when nobody is connected, one whose
   * connection may come in time. Undefined: there is none.
   */
  pick(tried: readonly Endpoint[], nowMs: number): Endpoint | undefined {
    return this.balancer.pick(this.endpoints, tried, nowMs) ?? this.pickUnconnected(tried);
  }

  /** Tells ejection what came of an attempt; true when that changed who is eligible. */
  refreshAfter(verdict: Verdict, endpoint: Endpoint): void {
    if (verdict === Verdict.nothing) return;
    this.refresh();
    const { logger } = this.relay;
    const fields = { upstream: this.name, endpoint: endpoint.label, why: endpoint.lastFault };
    if (verdict === Verdict.ejected || verdict === Verdict.reEjected) logger.warn(fields, 'endpoint ejected');
    else if (verdict === Verdict.readmitted) logger.info(fields, 'endpoint readmitted');
    else logger.warn({ ...fields, verdict }, 'endpoint would have been ejected');
  }

  /** Recomputes who may receive traffic. */
  refresh(): void {
    for (const endpoint of this.endpoints) endpoint.eligible = this.ejections.mayCall(endpoint.ejection);
    const panicking = this.ejections.isPanicking;
    if (panicking && !this.isPanicking) {
      this.panics++;
      this.relay.logger.warn(
        { upstream: this.name },
        'fewer than half of the endpoints are eligible: ejections are ignored',
      );
    }
    this.isPanicking = panicking;
  }

  /** No new calls; those under way end in peace. */
  retire(): void {
    for (const endpoint of this.endpoints) endpoint.pool.retire();
  }

  stop(): void {
    for (const endpoint of this.endpoints) endpoint.pool.stop();
  }

  private pickUnconnected(tried: readonly Endpoint[]): Endpoint | undefined {
    let best: Endpoint | undefined;
    let bestRank = 0;
    for (const endpoint of this.endpoints) {
      if (endpoint.weight <= 0) continue;
      // Untried before tried, connecting before waiting to, admitted before ejected, idle before busy.
      let rank = 1 / (1 + endpoint.inFlight);
      if (!tried.includes(endpoint)) rank += 8;
      if (endpoint.pool.isConnecting) rank += 4;
      if (endpoint.ejection.state === 0) rank += 2;
      if (rank > bestRank) {
        bestRank = rank;
        best = endpoint;
      }
    }
    return best;
  }

  private setEndpoints(config: UpstreamConfig, keepPools = true): void {
    const before = new Map(this.endpoints.map((endpoint) => [endpoint.label, endpoint]));
    const now = this.relay.clock.now();
    this.endpoints = config.endpoints.map((each) => {
      const label = labelOf(each.address);
      const known = keepPools ? before.get(label) : undefined;
      if (known === undefined) return this.addEndpoint(new Endpoint(each));
      before.delete(label);
      known.weight = each.weight;
      known.id = each.id;
      return known;
    });
    for (const gone of before.values()) {
      this.ejections.remove(gone.ejection, now);
      gone.eligible = false;
      gone.pool.retire();
    }
    this.refresh();
  }

  private addEndpoint(endpoint: Endpoint): Endpoint {
    endpoint.ejection.isAvailable = false;
    endpoint.ejection.probe = NO_PROBE;
    endpoint.eligible = false;
    endpoint.availableSinceMs = this.relay.clock.now();
    endpoint.pool = new Pool(
      {
        config: this.config.pool,
        settings: this.settings,
        dial: () => this.dial(endpoint.address, this.name, this.config.tls),
        onChange: () => this.onConnection(endpoint),
      },
      this.relay,
    );
    this.ejections.add(endpoint.ejection);
    endpoint.pool.start();
    return endpoint;
  }

  private onConnection(endpoint: Endpoint): void {
    const isConnected = endpoint.pool.isConnected;
    if (endpoint.ejection.isAvailable !== isConnected) {
      endpoint.availableSinceMs = this.relay.clock.now();
      this.relay.logger.info(
        { upstream: this.name, endpoint: endpoint.label, why: endpoint.pool.problem },
        isConnected ? 'endpoint connected' : 'endpoint disconnected',
      );
    }
    this.ejections.setAvailable(endpoint.ejection, isConnected ? 'available' : 'unavailable');
    this.refresh();
  }
}

function balancerOf(config: UpstreamConfig, relay: Relay): Balancer {
  return config.balance.kind === 'round-robin' ? new RoundRobin() : new LeastLoaded(relay.random);
}
