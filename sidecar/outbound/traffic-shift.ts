import type { MirrorConfig, RouteConfig } from '../config/model.js';
import { findFault } from '../core/routing/fault-rule.js';
import { Split } from '../core/routing/traffic-split.js';
import { metadataValue } from '../http2/header-view.js';
import { NEVER } from '../relay/call.js';
import { setDeadline } from '../relay/call-timer.js';
import type { ActiveFaults } from '../relay/fault-injection.js';
import { injectFault } from '../relay/fault-injection.js';
import { type Match, timeAllowedMs } from '../relay/route-table.js';
import type { DataPlaneContext } from '../transport/context.js';
import type { OutboundCall, ShiftTarget } from './call.js';
import { MirroredCall } from './mirror/mirrored-call.js';
import { MirrorScheduler } from './mirror/scheduler.js';
import { MirrorStats } from './mirror/stats.js';

interface RouteShift {
  readonly split: Split | null;
  readonly mirror: MirrorConfig | null;
}

export class TrafficShift {
  private byRoute = new Map<RouteConfig, RouteShift>();
  private faults: ActiveFaults | null = null;
  private readonly mirrorScheduler: MirrorScheduler;
  /** Calls of split routes, by where they went. */
  readonly splits = new Map<string, { calls: number }>();
  /** By where the copies go. */
  readonly mirrors = new Map<string, MirrorStats>();

  constructor(
    private readonly own: ShiftTarget,
    private readonly find: (name: string) => ShiftTarget | undefined,
    private readonly context: DataPlaneContext,
  ) {
    this.mirrorScheduler = new MirrorScheduler(context);
  }

  /** Whether calls have to pass here. */
  get isNeeded(): boolean {
    return this.byRoute.size > 0 || this.faults !== null;
  }

  update(routes: readonly RouteConfig[]): void {
    this.byRoute = new Map();
    for (const route of routes) {
      const { split, mirror } = route;
      if (split === undefined && mirror === undefined) continue;
      this.byRoute.set(route, {
        split: split === undefined ? null : new Split(split),
        mirror: mirror ?? null,
      });
    }
  }

  /** Null: no drill is on. */
  setFaults(faults: ActiveFaults | null): void {
    this.faults = faults;
  }

  stop(): void {
    this.mirrorScheduler.stop();
  }

  /** A call arrives. True: it is seen to. */
  takes(call: OutboundCall, match: Match, path: string): boolean {
    const { faults, context } = this;
    if (faults !== null) {
      const fault = findFault(faults.outbound, this.own.name, path, context.nowMs, context.random);
      if (fault !== undefined) {
        this.limit(call, match);
        injectFault(call, fault, faults, () => {
          if (!this.shift(call, match, path)) this.own.take(call, match, path);
        });
        return true;
      }
    }
    return this.shift(call, match, path);
  }

  /** What is kept of a call that waits, and how long it may: as if it ran already. */
  private limit(call: OutboundCall, { plan }: Match): void {
    call.plan = plan;
    const allowed = timeAllowedMs(plan.config, call.block);
    if (allowed !== NEVER) setDeadline(call, call.startMs + allowed);
  }

  private shift(call: OutboundCall, match: Match, path: string): boolean {
    const shape = this.byRoute.get(match.plan.config);
    if (shape === undefined) return false;
    const { split, mirror } = shape;
    const target = split === null ? this.own : this.targetOf(split, call);
    if (mirror !== null && mirror.upstream !== target.name) this.mirror(call, mirror, path);
    const there = target === this.own ? null : target.matchOf(path);
    if (there === null) return false;
    // From here on it is the other one's call, and is split no more.
    call.handler = target;
    target.take(call, there, path);
    return true;
  }

  /** One that is not there (a changed file is being taken over) leaves the call where it is. */
  private targetOf(split: Split, call: OutboundCall): ShiftTarget {
    const to = split.choose(metadataValue, call.block, this.context.random) ?? this.own.name;
    const target = to === this.own.name ? this.own : (this.find(to) ?? this.own);
    const count = this.splits.get(target.name);
    if (count === undefined) this.splits.set(target.name, { calls: 1 });
    else count.calls++;
    return target;
  }

  private mirror(call: OutboundCall, config: MirrorConfig, path: string): void {
    if (config.ratio < 1 && this.context.random() >= config.ratio) return;
    const counts = this.countsOf(config.upstream);
    if (counts.inFlight >= config.maxInFlight) return counts.skip('busy');
    const there = this.find(config.upstream);
    const match = there?.matchOf(path) ?? null;
    if (there === undefined || match === null || !match.plan.holdsResponse) return counts.skip('no-route');
    const mirrored = new MirroredCall(
      config,
      counts,
      this.mirrorScheduler,
      { there, match, path },
      call.block,
    );
    call.observer = mirrored;
    mirrored.onRequest(call);
  }

  private countsOf(upstream: string): MirrorStats {
    let counts = this.mirrors.get(upstream);
    if (counts === undefined) {
      counts = new MirrorStats(this.own.name, upstream);
      this.mirrors.set(upstream, counts);
    }
    return counts;
  }
}
