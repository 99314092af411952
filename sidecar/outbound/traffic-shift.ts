import type { MirrorConfig, RouteConfig } from '../config/model.js';
import { findFault } from '../core/routing/fault-rule.js';
import { Split } from '../core/routing/traffic-split.js';
import { headerViewOf, metadataValue } from '../http2/header-view.js';
import { NEVER } from '../relay/call.js';
import { setDeadline } from '../relay/call-timer.js';
import type { ActiveFaults } from '../relay/fault-injection.js';
import { injectFault } from '../relay/fault-injection.js';
import { Next } from '../relay/next.js';
import { type Match, timeAllowedMs } from '../relay/route-table.js';
import { getOrInsert } from '../runtime/get-or-insert.js';
import type { DataPlaneContext } from '../transport/context.js';
import type { OutboundCall, UpstreamHandler } from './call.js';
import { MirroredCall } from './mirror/mirrored-call.js';
import { MirrorScheduler } from './mirror/scheduler.js';
import { MirrorStats } from './mirror/stats.js';

/** A call that is put off before its own way has the plan and the deadline of its route, as if it ran already. */
export function limitTo(call: OutboundCall, match: Match): void {
  const { plan } = match;
  // What of its request is not kept is noted with its route.
  call.match = match;
  call.plan = plan;
  const allowed = timeAllowedMs(plan.config, call.block);
  if (allowed !== NEVER) setDeadline(call, call.startMs + allowed);
}

/** What a route does with its calls beside running them. */
interface RouteShift {
  readonly split: Split | null;
  readonly mirror: MirrorConfig | null;
}

/**
 * Faults, splits and mirrors of one upstream: what happens to a call between its arrival and its own way. Calls pass here
 * only while a route or a fault drill needs it (`isNeeded`).
 */
export class TrafficShift {
  private byRoute = new Map<RouteConfig, RouteShift>();
  private faults: ActiveFaults | null = null;
  private readonly mirrorScheduler: MirrorScheduler;
  /** Calls of split routes, by the upstream they went to. */
  readonly splits = new Map<string, { calls: number }>();
  /** By the upstream that the copies go to. */
  readonly mirrors = new Map<string, MirrorStats>();

  constructor(
    private readonly name: string,
    private readonly context: DataPlaneContext,
  ) {
    this.mirrorScheduler = new MirrorScheduler(context);
  }

  /** Whether calls have to pass here. */
  get isNeeded(): boolean {
    return this.byRoute.size > 0 || this.faults !== null;
  }

  /** Takes over the routes of a changed configuration. */
  configure(routes: readonly RouteConfig[]): void {
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

  /** Null: no fault drill is on. */
  setFaults(faults: ActiveFaults | null): void {
    this.faults = faults;
  }

  stop(): void {
    this.mirrorScheduler.stop();
  }

  /** A call of `own` arrives. `handled`: a fault answers or delays it, or another upstream has it. */
  apply(call: OutboundCall, match: Match, own: UpstreamHandler): Next {
    const { faults, context } = this;
    if (faults !== null) {
      const { path } = headerViewOf(call.block);
      const fault = findFault(faults.outbound, this.name, path, context.nowMs, context.random);
      if (fault !== undefined) {
        limitTo(call, match);
        injectFault(call, fault, faults, () => {
          if (this.shift(call, match, own) === Next.continue) own.take(call, match);
        });
        return Next.handled;
      }
    }
    return this.shift(call, match, own);
  }

  private shift(call: OutboundCall, match: Match, own: UpstreamHandler): Next {
    const routeShift = this.byRoute.get(match.plan.route);
    if (routeShift === undefined) return Next.continue;
    const { split, mirror } = routeShift;
    const target = split === null ? own : this.targetOf(split, call, own);
    if (mirror !== null && mirror.upstream !== target.name) this.mirror(call, mirror, own);
    const targetMatch = target === own ? null : target.matchOf(headerViewOf(call.block).path);
    if (targetMatch === null) return Next.continue;
    // From here on it is a call of the target, and is not split again.
    call.handler = target;
    target.takeSplit(call, targetMatch);
    return Next.handled;
  }

  /** A target that is not there, while a changed configuration is taken over, leaves the call where it is. */
  private targetOf(split: Split, call: OutboundCall, own: UpstreamHandler): UpstreamHandler {
    const to =
      split.choose(metadataValue, call.block, this.context.random, call.called ?? undefined) ?? own.name;
    const target = to === own.name ? own : (own.find(to) ?? own);
    const count = this.splits.get(target.name);
    if (count === undefined) this.splits.set(target.name, { calls: 1 });
    else count.calls++;
    return target;
  }

  private mirror(call: OutboundCall, config: MirrorConfig, own: UpstreamHandler): void {
    if (config.ratio < 1 && this.context.random() >= config.ratio) return;
    const stats = this.statsOf(config.upstream);
    if (stats.inFlight >= config.maxInFlight) return stats.skip('busy');
    const { path } = headerViewOf(call.block);
    const upstream = own.find(config.upstream);
    const match = upstream?.matchOf(path) ?? null;
    if (upstream === undefined || match === null || !match.plan.holdsResponse) return stats.skip('no-route');
    const target = { upstream, match, path };
    const mirrored = new MirroredCall(config, stats, this.mirrorScheduler, target, call.block);
    call.observer = mirrored;
    mirrored.onRequest(call);
  }

  private statsOf(upstream: string): MirrorStats {
    return getOrInsert(this.mirrors, upstream, () => new MirrorStats(this.name, upstream));
  }
}
