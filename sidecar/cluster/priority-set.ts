import type { Ejection, EjectionSettings } from '../core/outlier/ejection.js';
import type { EjectionPool } from '../core/outlier/ejection-pool.js';
import type { EjectionSet } from '../core/outlier/ejection-set.js';
import { getOrInsert } from '../runtime/get-or-insert.js';
import type { ConnectionWarmer } from './connection-warmer.js';
import type { Endpoint, EndpointEjection } from './endpoint.js';
import { type OwnLocality, PriorityLevel, ReturnShare } from './priority-level.js';

/**
 * The endpoints of a cluster by priority: which level is active, and which stands ready behind it. Calls go to the first level
 * that can take them; connections to the next are kept ready, and those further down are made when they are needed.
 */
export class PrioritySet {
  /** The level that calls go to. */
  active: PriorityLevel;
  /** There may be an endpoint for a further attempt outside the active level or locality. */
  hasFailover = false;
  /** By priorities or localities. */
  private canFailOver = false;
  /** Absent: all localities are alike. */
  locality: OwnLocality | undefined;
  /** The ejections of the only level; null when there are several. */
  onlyEjections: EjectionSet | null = null;
  private levels: readonly PriorityLevel[];
  /** When the endpoints last changed, until the next refresh holds the ejections to their cap; −1: they have not. */
  private joinedMs = -1;
  /** By priority. A level keeps its counters while it is empty. */
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
    this.canFailOver = this.levels.length > 1 || this.locality !== undefined;
    this.hasFailover = this.canFailOver;
    this.onlyEjections = this.levels.length === 1 ? this.levels[0]!.ejections.members : null;
    for (const level of this.known.values()) {
      level.endpoints = endpoints.filter(({ priority }) => priority === level.priority);
      for (const endpoint of level.endpoints) join(endpoint, level, nowMs);
    }
    return this.levels.flatMap(({ endpoints: each }) => each);
  }

  /** Recomputes the active level and which endpoints are eligible; returns how many levels have begun to panic. */
  refresh(nowMs: number): number {
    for (const level of this.levels) level.holdBack(nowMs);
    this.hasFailover = this.canFailOver || this.levels.some(({ isHolding }) => isHolding);
    const ready = this.levels.filter((level) => !level.isCritical && level.ejections.members.eligible > 0);
    for (const level of this.levels)
      level.ejections.members.hasAlternative = ready.length > (ready.includes(level) ? 1 : 0);
    if (this.joinedMs >= 0)
      for (const { ejections } of this.levels) ejections.members.keepToCap(this.joinedMs);
    this.joinedMs = -1;
    const at = this.levels.findIndex((level) => level.isUsable);
    const lastResort = at < 0 ? this.levels.find((level) => level.isReachable) : undefined;
    this.active = lastResort ?? this.levels[Math.max(0, at)]!;
    let panics = 0;
    for (const level of this.levels)
      if (level.updateEligible(level === this.active, lastResort !== undefined, this.locality)) panics++;
    this.connectTo(this.levelsToConnect(at));
    return panics;
  }

  /**
   * How many levels are connected to: the active one and the next, all when no endpoint can be reached. A level that Consul
   * reports as critical is no reserve.
   */
  private levelsToConnect(at: number): number {
    if (at < 0) return this.levels.length;
    const next = this.levels[at + 1];
    return next === undefined || next.isCritical ? at + 1 : at + 2;
  }

  /** Keeps connections to the first `count` levels. */
  private connectTo(count: number): void {
    for (let i = 0; i < count; i++)
      for (const endpoint of this.levels[i]!.endpoints) if (!endpoint.isPrepared) this.warmer.add(endpoint);
  }

  /** An ejected endpoint whose time is over. Critical ones are probed only where no other level is left. */
  takeProbe(
    nowMs: number,
    overMs: number,
    mayProbe?: (member: Ejection) => boolean,
  ): EndpointEjection | undefined {
    for (const level of this.levels) {
      if (level.isCritical && level !== this.active) continue;
      const probe = level.ejections.members.takeProbe(nowMs, overMs, mayProbe);
      if (probe !== undefined) return probe as EndpointEjection;
    }
    return undefined;
  }

  /** Whether `takeProbe` would find one. */
  isProbeDue(nowMs: number, mayProbe?: (member: Ejection) => boolean): boolean {
    for (const level of this.levels) {
      if (level.isCritical && level !== this.active) continue;
      if (level.ejections.members.isProbeDue(nowMs, mayProbe)) return true;
    }
    return false;
  }

  /** One that could take over: of another locality, or of another priority; at last one on probation, from which calls are held back. */
  failover(tried: readonly Endpoint[]): Endpoint | undefined {
    for (const level of this.levels) {
      if ((level === this.active && this.locality === undefined) || level.isCritical) continue;
      const endpoint = level.failover(tried);
      if (endpoint !== undefined) return endpoint;
    }
    return this.active.failover(tried, 'held');
  }

  /** How many of the calls go to an ejected endpoint once it is admitted. */
  shareOnReturn(ejected: Endpoint): ReturnShare {
    const ahead = this.active.priority - ejected.priority;
    if (ahead !== 0) return ahead > 0 ? ReturnShare.all : ReturnShare.none;
    return this.locality === undefined ? ReturnShare.some : this.active.shareOnReturn(ejected, this.locality);
  }

  /** When no endpoint is connected: one whose connection may come in time. */
  unconnected(tried: readonly Endpoint[]): Endpoint | undefined {
    for (const level of this.levels) {
      const best = level.bestUnconnected(tried);
      if (best !== undefined) return best;
    }
    return tried.length === 0 ? undefined : this.active.bestUnconnected([]);
  }

  private levelOf(priority: number): PriorityLevel {
    return getOrInsert(this.known, priority, () => new PriorityLevel(priority, this.settings, this.random));
  }
}

/**
 * The endpoint is ejected among those of its priority from now on; its history goes with it. One whose weight is 0 gets neither calls nor
 * probes, and no ejection of another relies on it.
 */
function join(endpoint: Endpoint, level: PriorityLevel, nowMs: number): void {
  const { ejection, ejections: before, weight } = endpoint;
  if (before !== undefined && before !== level.ejections) before.members.remove(ejection, nowMs);
  endpoint.ejections = level.ejections;
  if (weight > 0) level.ejections.add(ejection);
  else level.ejections.members.park(ejection, nowMs);
}
