/**
 * The endpoints of an upstream that have the same priority. They are judged among themselves: caps and panic are
 * theirs, and only one group gets traffic at a time.
 */

import type { LocalityConfig } from '../config/model.js';
import { type Shares, sharesOf } from '../core/balancing/locality.js';
import type { EjectionSettings } from '../core/outlier/ejection.js';
import { EjectionPool } from '../core/outlier/ejection-pool.js';
import { CRITICAL_PRIORITY } from '../discovery/snapshot.js';
import type { Endpoint } from './endpoint.js';

export class PriorityLevel {
  endpoints: readonly Endpoint[] = [];
  readonly ejections: EjectionPool;
  private isPanicking = false;

  constructor(
    readonly priority: number,
    settings: EjectionSettings,
    random: () => number,
  ) {
    this.ejections = new EjectionPool(settings, random);
  }

  /** The registry counsels against all of them. */
  get isCritical(): boolean {
    return this.priority >= CRITICAL_PRIORITY;
  }

  /** Whether calls should go here rather than further down: somebody may take them, or will in a moment for the first time. */
  get isUsable(): boolean {
    for (const endpoint of this.endpoints) {
      if (!(endpoint.weight > 0)) continue;
      if (this.ejections.mayCall(endpoint.ejection)) return true;
      const isOnItsWay = !endpoint.isPrepared || endpoint.isQueued || endpoint.pool.isConnecting;
      if (endpoint.isNew && isOnItsWay) return true;
    }
    return false;
  }

  /** Somebody here is connected, though a health check may speak against it. */
  get isReachable(): boolean {
    return this.endpoints.some(({ weight, isConnected }) => weight > 0 && isConnected);
  }

  /**
   * Writes down who may receive traffic; true when panic has just set in.
   * @param isLastResort nobody may anywhere: the unhealthy that are connected are better than nobody.
   */
  updateEligible(isActive: boolean, isLastResort: boolean, locality?: LocalityConfig): boolean {
    for (const endpoint of this.endpoints) {
      const may = this.ejections.mayCall(endpoint.ejection) || (isLastResort && endpoint.isConnected);
      endpoint.eligible = isActive && may;
    }
    if (locality !== undefined) this.preferLocal(locality);
    const was = this.isPanicking;
    this.isPanicking = this.ejections.isPanicking;
    return this.isPanicking && !was;
  }

  /** Of the eligible, those of our own locality go first. */
  private preferLocal({ own, spillBelow }: LocalityConfig): void {
    let near = 0;
    let nearAll = 0;
    let far = 0;
    for (const { locality, weight, eligible } of this.endpoints) {
      if (locality === own) {
        nearAll += weight;
        if (eligible) near += weight;
      } else if (eligible) far += weight;
    }
    this.share(own, sharesOf(near, nearAll, far, spillBelow));
  }

  private share(own: string, { near, far }: Shares): void {
    for (const endpoint of this.endpoints) {
      const nearness = endpoint.locality === own ? near : far;
      if (nearness === 0) endpoint.eligible = false;
      endpoint.localityFactor = nearness === 0 ? 1 : nearness;
      endpoint.updateEffectiveWeight();
    }
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

  /** An endpoint that may take an attempt though calls go elsewhere by rule: the one with the least to do. */
  failover(tried: readonly Endpoint[]): Endpoint | undefined {
    let best: Endpoint | undefined;
    for (const endpoint of this.endpoints) {
      if (endpoint.weight <= 0 || tried.includes(endpoint)) continue;
      if (!this.ejections.mayCall(endpoint.ejection)) continue;
      if (best === undefined || endpoint.inFlight < best.inFlight) best = endpoint;
    }
    return best;
  }
}
