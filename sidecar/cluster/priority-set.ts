/**
 * The endpoints of an upstream by their priorities: whose turn it is, who stands ready behind them, and who judges whom.
 * Calls go to the lowest priority that has anybody to take them; connections to the next are kept ready, and whatever
 * is further down is connected to when it is its turn.
 */

import type { LocalityConfig } from '../config/model.js';
import type { EjectionSettings } from '../core/outlier/ejection.js';
import type { EjectionPool } from '../core/outlier/ejection-pool.js';
import type { ConnectionWarmer } from './connection-warmer.js';
import type { Endpoint, EndpointEjection } from './endpoint.js';
import { PriorityLevel } from './priority-level.js';

export class PrioritySet {
  /** Those that calls go to. */
  active: PriorityLevel;
  /** There may be somebody to take a call beyond those whose turn it is. */
  hasFailover = false;
  /** Absent: all localities are alike. */
  locality: LocalityConfig | undefined;
  /** The ejections of the only group; null when there are several. */
  onlyEjections: EjectionPool | null = null;
  private levels: readonly PriorityLevel[];
  /** When endpoints came or went that nobody has counted yet; −1: not since the last refresh. */
  private joinedMs = -1;
  /** A group stays what it is, and keeps its counters, though it may be empty for a while. */
  private readonly known = new Map<number, PriorityLevel>();

  constructor(
    private settings: EjectionSettings,
    private readonly random: () => number,
    private readonly warmer: ConnectionWarmer,
  ) {
    this.active = this.levelOf(0);
    this.levels = [this.active];
  }

  /** Every priority there has been. */
  get all(): readonly PriorityLevel[] {
    return [...this.known.values()];
  }

  get allEjections(): readonly EjectionPool[] {
    return [...this.known.values()].map(({ ejections }) => ejections);
  }

  configure(settings: EjectionSettings, nowMs: number): void {
    this.settings = settings;
    for (const { ejections } of this.known.values()) ejections.configure(settings, nowMs);
  }

  /** Takes over the endpoints there are now; returns them in the order of their priorities. */
  set(endpoints: readonly Endpoint[], nowMs: number): readonly Endpoint[] {
    const priorities = [...new Set(endpoints.map(({ priority }) => priority))].sort((a, b) => a - b);
    this.levels = (priorities.length === 0 ? [0] : priorities).map((priority) => this.levelOf(priority));
    this.joinedMs = nowMs;
    this.hasFailover = this.levels.length > 1 || this.locality !== undefined;
    this.onlyEjections = this.levels.length === 1 ? this.levels[0]!.ejections : null;
    for (const group of this.known.values()) {
      group.endpoints = endpoints.filter(({ priority }) => priority === group.priority);
      for (const endpoint of group.endpoints) join(endpoint, group, nowMs);
    }
    return this.levels.flatMap(({ endpoints: each }) => each);
  }

  /** Recomputes whose turn it is and who may receive traffic; returns how many groups have begun to panic. */
  refresh(): number {
    const ready = this.levels.filter((group) => !group.isCritical && group.ejections.eligible > 0);
    for (const group of this.levels)
      group.ejections.hasAlternative = ready.length > (ready.includes(group) ? 1 : 0);
    if (this.joinedMs >= 0) for (const { ejections } of this.levels) ejections.keepToCap(this.joinedMs);
    this.joinedMs = -1;
    const at = this.levels.findIndex((group) => group.isUsable);
    const resort = at < 0 ? this.levels.find((group) => group.isReachable) : undefined;
    this.active = resort ?? this.levels[Math.max(0, at)]!;
    let panics = 0;
    for (const group of this.levels)
      if (group.updateEligible(group === this.active, resort !== undefined, this.locality)) panics++;
    this.connectTo(this.levelsToConnect(at));
    return panics;
  }

  /**
   * How many groups are connected to: the active one and the next, everybody when nobody can be reached. Whom the
   * registry counsels against is not called up as a reserve.
   */
  private levelsToConnect(at: number): number {
    if (at < 0) return this.levels.length;
    const next = this.levels[at + 1];
    return next === undefined || next.isCritical ? at + 1 : at + 2;
  }

  /** Keeps connections to the first `count` groups. */
  private connectTo(count: number): void {
    for (let i = 0; i < count; i++)
      for (const endpoint of this.levels[i]!.endpoints) if (!endpoint.isPrepared) this.warmer.add(endpoint);
  }

  /** An ejected endpoint whose time is over. Whom the registry counsels against is tried only where nobody else is left. */
  takeProbe(nowMs: number, overMs: number): EndpointEjection | undefined {
    for (const group of this.levels) {
      if (group.isCritical && group !== this.active) continue;
      const probe = group.ejections.takeProbe(nowMs, overMs);
      if (probe !== undefined) return probe as EndpointEjection;
    }
    return undefined;
  }

  /** Whether `probe` would find one. */
  isProbeDue(nowMs: number): boolean {
    for (const group of this.levels) {
      if (group.isCritical && group !== this.active) continue;
      if (group.ejections.isProbeDue(nowMs)) return true;
    }
    return false;
  }

  /** One that could take over: of another locality, or of another priority. */
  failover(tried: readonly Endpoint[]): Endpoint | undefined {
    for (const group of this.levels) {
      if ((group === this.active && this.locality === undefined) || group.isCritical) continue;
      const spare = group.failover(tried);
      if (spare !== undefined) return spare;
    }
    return undefined;
  }

  /** When nobody is connected: one whose connection may come in time. */
  unconnected(tried: readonly Endpoint[]): Endpoint | undefined {
    for (const group of this.levels) {
      const best = group.bestUnconnected(tried);
      if (best !== undefined) return best;
    }
    return tried.length === 0 ? undefined : this.active.bestUnconnected([]);
  }

  private levelOf(priority: number): PriorityLevel {
    let group = this.known.get(priority);
    if (group === undefined) {
      group = new PriorityLevel(priority, this.settings, this.random);
      this.known.set(priority, group);
    }
    return group;
  }
}

/** Judged among those of its priority from now on; what is known of it goes with it. */
function join(endpoint: Endpoint, group: PriorityLevel, nowMs: number): void {
  if (endpoint.ejections === group.ejections) return;
  endpoint.ejections?.remove(endpoint.ejection, nowMs);
  endpoint.ejections = group.ejections;
  group.ejections.add(endpoint.ejection);
}
