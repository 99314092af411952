import { factorsOf, nearnessOf, TIERS, type Tier } from '../core/balancing/locality.js';
import type { EjectionSettings } from '../core/outlier/ejection.js';
import { EjectionState } from '../core/outlier/ejection.js';
import { EjectionPool } from '../core/outlier/ejection-pool.js';
import { CRITICAL_PRIORITY } from '../discovery/snapshot.js';
import { Readiness } from '../http2/constants.js';
import { getOrInsert } from '../runtime/get-or-insert.js';
import type { Endpoint } from './endpoint.js';

/** How many of the calls go to an ejected endpoint once it is admitted. */
export const ReturnShare = { none: 0, some: 1, all: 2 } as const;
export type ReturnShare = (typeof ReturnShare)[keyof typeof ReturnShare];

/** Where the sidecar is, and how few of the endpoints there are too few for all of the traffic. */
export interface OwnLocality {
  readonly own: string;
  readonly spillBelow: number;
}

/**
 * The endpoints of a cluster that have the same priority. Ejection caps and panic count among them alone, and only one
 * priority gets traffic at a time (Envoy's priority levels).
 */
export class PriorityLevel {
  endpoints: readonly Endpoint[] = [];
  readonly ejections: EjectionPool;
  private isPanicking = false;
  /** How near places are to `nearTo`. */
  private readonly nearnesses = new Map<string, number>();
  private nearTo = '';

  constructor(
    readonly priority: number,
    settings: EjectionSettings,
    random: () => number,
  ) {
    this.ejections = new EjectionPool(settings, random);
  }

  /** Consul reports all of them as critical. */
  get isCritical(): boolean {
    return this.priority >= CRITICAL_PRIORITY;
  }

  /** Whether calls go here rather than to a lower priority: an endpoint may take them, or is about to connect for the first time. */
  get isUsable(): boolean {
    for (const endpoint of this.endpoints) {
      if (!(endpoint.weight > 0)) continue;
      if (this.ejections.members.mayCall(endpoint.ejection)) return true;
      const isOnItsWay = !endpoint.isPrepared || endpoint.isQueued || endpoint.pool.isConnecting;
      if (endpoint.isNew && isOnItsWay) return true;
    }
    return false;
  }

  /** An endpoint is connected, though its health check may fail. */
  get isReachable(): boolean {
    return this.endpoints.some(({ weight, isConnected }) => weight > 0 && isConnected);
  }

  /**
   * Holds calls and probes back from endpoints on probation, while at least half of all, and one, take calls without them and none
   * of those refuses calls as full. Otherwise they get calls as any others: what has died of late may serve, and an overloaded
   * replica is a worse risk.
   */
  holdBack(nowMs: number): void {
    const suspects = this.endpoints.filter(({ readiness }) => readiness === Readiness.probation);
    const others = this.endpoints.filter(takesCalls).length;
    const all = this.endpoints.filter(({ weight }) => weight > 0).length;
    const areEnough = others > 0 && others * 2 >= all;
    const mayHold = suspects.length > 0 && areEnough && !this.ejections.isAnyFull(nowMs);
    for (const { ejection, readiness } of this.endpoints)
      this.ejections.members.setHeld(
        ejection,
        mayHold && readiness === Readiness.probation ? 'held' : 'free',
      );
  }

  /**
   * Sets `eligible` of each endpoint; true when panic has just set in.
   * @param isLastResort no endpoint of any priority may be called: connected ones get calls though they are unhealthy.
   */
  updateEligible(isActive: boolean, isLastResort: boolean, locality?: OwnLocality): boolean {
    for (const endpoint of this.endpoints) {
      const may = this.ejections.members.mayCall(endpoint.ejection) || (isLastResort && endpoint.isConnected);
      endpoint.eligible = isActive && may && !endpoint.ejection.isHeld;
    }
    if (locality !== undefined) this.preferLocal(locality);
    const was = this.isPanicking;
    this.isPanicking = this.ejections.members.isPanicking;
    return this.isPanicking && !was;
  }

  /** Of the eligible, the nearest get the calls, as far as their capacity goes: those of the own zone, of its region, the others. */
  private preferLocal({ own, spillBelow }: OwnLocality): void {
    const factors = factorsOf(
      this.tiers(own, ({ eligible }) => eligible),
      spillBelow,
    );
    for (const endpoint of this.endpoints) {
      const factor = factors[this.nearness(own, endpoint.locality)]!;
      if (factor === 0) endpoint.eligible = false;
      endpoint.localityFactor = factor === 0 ? 1 : factor;
      endpoint.updateEffectiveWeight();
    }
  }

  private tiers(own: string, takesCalls: (endpoint: Endpoint) => boolean): readonly Tier[] {
    const tiers = Array.from({ length: TIERS }, () => ({ eligible: 0, all: 0 }));
    for (const endpoint of this.endpoints) {
      const tier = tiers[this.nearness(own, endpoint.locality)]!;
      tier.all += endpoint.weight;
      if (takesCalls(endpoint)) tier.eligible += endpoint.weight;
    }
    return tiers;
  }

  /** How many of the calls of this level go to an ejected endpoint of it once that is admitted. */
  shareOnReturn(ejected: Endpoint, { own, spillBelow }: OwnLocality): ReturnShare {
    const mayCall = ({ ejection }: Endpoint): boolean =>
      this.ejections.members.mayCall(ejection) && !ejection.isHeld;
    const tiers = this.tiers(own, (endpoint) => endpoint === ejected || mayCall(endpoint));
    const factors = factorsOf(tiers, spillBelow);
    const at = this.nearness(own, ejected.locality);
    if (factors[at] === 0) return ReturnShare.none;
    const takesAll = tiers.every(({ eligible }, i) => i === at || eligible === 0 || factors[i] === 0);
    return takesAll && tiers[at]!.eligible === ejected.weight ? ReturnShare.all : ReturnShare.some;
  }

  /** `nearnessOf`, remembered: there are few places and many endpoints. */
  private nearness(own: string, place: string): number {
    if (own !== this.nearTo) {
      this.nearTo = own;
      this.nearnesses.clear();
    }
    return getOrInsert(this.nearnesses, place, () => nearnessOf(own, place));
  }

  /** The endpoint without a connection that is likeliest to have one soon; not one of `tried`. */
  bestUnconnected(tried: readonly Endpoint[]): Endpoint | undefined {
    let best: Endpoint | undefined;
    let bestRank = 0;
    for (const endpoint of this.endpoints) {
      if (endpoint.weight <= 0 || tried.includes(endpoint)) continue;
      // Connecting before waiting to, admitted before ejected, idle before busy.
      let rank = 1 / (1 + endpoint.inFlight);
      if (endpoint.pool.isConnecting) rank += 4;
      if (endpoint.ejection.state === 0) rank += 2;
      if (rank > bestRank) {
        bestRank = rank;
        best = endpoint;
      }
    }
    return best;
  }

  /** Whether calls are held back from one of its endpoints. */
  get isHolding(): boolean {
    return this.endpoints.some(({ ejection }) => ejection.isHeld);
  }

  /**
   * An endpoint that may take an attempt although calls go to another priority or locality, or, of those `held` back, although they
   * do not go there first: the one with the fewest in flight.
   */
  failover(tried: readonly Endpoint[], which: 'free' | 'held' = 'free'): Endpoint | undefined {
    let best: Endpoint | undefined;
    for (const endpoint of this.endpoints) {
      if (endpoint.weight <= 0 || tried.includes(endpoint)) continue;
      const { ejection } = endpoint;
      if (!this.ejections.members.mayCall(ejection) || ejection.isHeld !== (which === 'held')) continue;
      if (best === undefined || endpoint.inFlight < best.inFlight) best = endpoint;
    }
    return best;
  }
}

/** Whether an endpoint takes calls, and nothing speaks against it. */
function takesCalls({ ejection, weight, readiness }: Endpoint): boolean {
  const isAdmitted = ejection.state === EjectionState.admitted && !ejection.ejectionSuppressed;
  return weight > 0 && readiness === Readiness.serving && ejection.isAvailable && isAdmitted;
}
