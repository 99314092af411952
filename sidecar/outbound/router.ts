/**
 * Where a call goes: its route, and the cluster of endpoints. Most upstreams have one cluster for all calls; traffic
 * rules, several clusters, sticky calls and limits are looked at where there are any. Calls that cannot go anywhere are
 * answered.
 */

import type { Upstream } from '../cluster/upstream.js';
import type { UpstreamConfig } from '../config/model.js';
import { NO_KEY } from '../core/balancing/balancer.js';
import { keyOf } from '../core/balancing/ring-hash.js';
import { LocalReplyReasons, reasonMessage } from '../core/outcome/local-reply-reason.js';
import { isValidPath } from '../core/routing/method.js';
import { rewritePath } from '../core/routing/route-match.js';
import { headerViewOf, metadataValue } from '../http2/header-view.js';
import { headerValues } from '../relay/call-facts.js';
import { setDeadline } from '../relay/call-timer.js';
import { PathFields } from '../relay/header-rewrite.js';
import { type Match, matchForCopy, type RoutePlan, Routes, timeAllowedMs } from '../relay/route-table.js';
import type { DataPlaneContext } from '../transport/context.js';
import type { OutboundCall } from './call.js';
import type { Refuse } from './circuit-breaker.js';

export class Router {
  /** The file's. */
  routes: Routes;
  private readonly name: string;
  private readonly paths = new PathFields();

  constructor(
    config: UpstreamConfig,
    private readonly upstream: Upstream,
    private readonly context: DataPlaneContext,
    private readonly replayBytes: number,
    private readonly refuse: Refuse,
  ) {
    this.name = config.name;
    this.routes = this.makeRoutes(config);
  }

  /** Takes over a changed file. */
  update(config: UpstreamConfig): void {
    this.routes = this.makeRoutes(config, this.routes);
  }

  private makeRoutes(config: UpstreamConfig, before?: Routes): Routes {
    const { name, routes, tls } = config;
    return new Routes(
      routes,
      {
        direction: 'outbound',
        service: name,
        replayBytes: this.replayBytes,
        stripsResponse: tls !== 'mesh',
      },
      this.context.stats,
      before,
    );
  }

  /** A call of ours, or that came to us. False: it can go nowhere, and has been answered. */
  route(call: OutboundCall, match: Match, path: string): boolean {
    const { onlyCluster } = this.upstream;
    call.match = match;
    call.plan = match.plan;
    if (onlyCluster !== null) call.cluster = onlyCluster;
    else if (!this.applyRules(call, match, path)) return false;
    call.plan = planOf(call);
    return true;
  }

  /** Rules say where the call goes. */
  private applyRules(call: OutboundCall, match: Match, path: string): boolean {
    const { original } = call;
    const rule = this.upstream.match(path, (name) => headerValues(original, name));
    if (rule === undefined) return this.answerUnknownRoute(call, path);
    const upstream = this.upstream.draw(rule, this.context.random);
    if (upstream === undefined) return this.answerNoEndpoint(call);
    const rewritten = rewritePath(rule, path);
    if (rewritten !== path && !isValidPath(rewritten)) return this.answerUnknownRoute(call, rewritten);
    call.block = rewritten === path ? original : this.paths.rewritten(original, rewritten);
    call.cluster = upstream;
    call.match = this.routes.complete(match, rule);
    const hashKey = this.upstream.hashKeyOf(upstream);
    const value = hashKey === undefined ? undefined : metadataValue(original, hashKey);
    const key = value === undefined ? NO_KEY : keyOf(value);
    call.routeDecision = { version: this.upstream.version, key, original };
    if (upstream.inFlight < upstream.maxInFlight) return true;
    const values = { upstream: this.name, limit: upstream.maxInFlight, what: 'calls in flight' };
    this.refuse(call, LocalReplyReasons.breakerOpen, reasonMessage(LocalReplyReasons.breakerOpen, values));
    return false;
  }

  /** What the call was directed by has changed, or it was directed by nothing yet. False: it has been answered. */
  reroute(call: OutboundCall): boolean {
    if (call.routeDecision?.version === this.upstream.version && !call.cluster.isRetired) return true;
    const { original } = call;
    const { path } = headerViewOf(original);
    const found = this.routes.match(path);
    if (found === null) return this.answerUnknownRoute(call, path);
    const match = call.match.plan.isOnce ? matchForCopy(found) : found;
    const { onlyCluster } = this.upstream;
    if (onlyCluster === null) {
      if (!this.applyRules(call, match, path)) return false;
    } else {
      call.block = original;
      call.routeDecision = null;
      call.match = match;
      call.cluster = onlyCluster;
    }
    call.plan = planOf(call);
    // What the rule allows counts from the call's arrival, and never adds to what it was told before.
    const deadlineMs = call.startMs + timeAllowedMs(call.match.plan.config, call.block);
    if (deadlineMs < call.deadlineMs) setDeadline(call, deadlineMs);
    return true;
  }

  answerNoEndpoint(call: OutboundCall): false {
    this.refuse(
      call,
      LocalReplyReasons.noEndpoint,
      reasonMessage(LocalReplyReasons.noEndpoint, { upstream: this.name }),
    );
    return false;
  }

  answerUnknownRoute(call: OutboundCall, path: string): false {
    this.refuse(
      call,
      LocalReplyReasons.unknownRoute,
      reasonMessage(LocalReplyReasons.unknownRoute, { path }),
    );
    return false;
  }
}

/** As its route says; of a call that came to us because another upstream failed it, we have to know how it ends. */
function planOf({ match: { plan }, fallback }: OutboundCall): RoutePlan {
  if (plan.holdsResponse || fallback === null || !fallback.isAway) return plan;
  return { ...plan, holdsResponse: true };
}
