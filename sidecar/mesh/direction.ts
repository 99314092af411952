/**
 * Where a call goes, where that is to be decided: traffic rules, several clusters, sticky calls, limits. Calls that
 * cannot go anywhere are answered.
 */

import { NO_KEY } from '../core/balance.js';
import { isValidPath } from '../core/method.js';
import { Reasons, reasonMessage } from '../core/reason.js';
import { keyOf } from '../core/ring-hash.js';
import { rewritePath } from '../core/traffic.js';
import { factsOf } from '../http2/facts.js';
import { metadataValue } from '../relay/forward.js';
import { PathFields } from '../relay/rewrite-path.js';
import { type Match, type Routes, timeAllowedMs } from '../relay/route-plan.js';
import type { Refuse } from './bounds.js';
import type { Clusters } from './clusters.js';
import type { OutboundCall } from './outbound-call.js';

export class Direction {
  private readonly paths = new PathFields();

  constructor(
    private readonly name: string,
    private readonly clusters: Clusters,
    /** The file's routes; replaced with the file. */
    public routes: Routes,
    private readonly random: () => number,
    private readonly refuse: Refuse,
  ) {}

  /** Rules say where the call goes. False: nowhere, and it has been answered. */
  direct(call: OutboundCall, match: Match, path: string): boolean {
    const { original } = call;
    const lookup = (name: string) => metadataValue(original, name);
    const rule = this.clusters.match(path, lookup);
    if (rule === undefined) return this.answerUnknownRoute(call, path);
    const upstream = this.clusters.draw(rule, this.random);
    if (upstream === undefined) return this.answerNoEndpoint(call);
    const rewritten = rewritePath(rule, path);
    if (rewritten !== path && !isValidPath(rewritten)) return this.answerUnknownRoute(call, rewritten);
    call.block = rewritten === path ? original : this.paths.rewritten(original, rewritten);
    call.upstream = upstream;
    call.match = this.routes.complete(match, rule);
    const hashKey = this.clusters.hashKeyOf(upstream);
    const value = hashKey === undefined ? undefined : lookup(hashKey);
    const key = value === undefined ? NO_KEY : keyOf(value);
    call.directed = { version: this.clusters.version, key, original };
    if (upstream.inFlight < upstream.maxInFlight) return true;
    const values = { upstream: this.name, limit: upstream.maxInFlight, what: 'calls in flight' };
    this.refuse(call, Reasons.breakerOpen, reasonMessage(Reasons.breakerOpen, values));
    return false;
  }

  /** What the call was directed by has changed, or it was directed by nothing yet. False: it has been answered. */
  redirect(call: OutboundCall): boolean {
    if (call.directed?.version === this.clusters.version && !call.upstream.isRetired) return true;
    const { original } = call;
    const { path } = factsOf(original);
    const match = this.routes.match(path);
    if (match === null) return this.answerUnknownRoute(call, path);
    const { plain } = this.clusters;
    if (plain === null) {
      if (!this.direct(call, match, path)) return false;
    } else {
      call.block = original;
      call.directed = null;
      call.match = match;
      call.upstream = plain;
    }
    call.plan = call.match.plan;
    // What the rule allows counts from the call's arrival, and never adds to what it was told before.
    const deadlineMs = call.startMs + timeAllowedMs(call.match.plan.config, call.block);
    if (deadlineMs < call.deadlineMs) call.setDeadline(deadlineMs);
    return true;
  }

  answerNoEndpoint(call: OutboundCall): false {
    this.refuse(call, Reasons.noEndpoint, reasonMessage(Reasons.noEndpoint, { upstream: this.name }));
    return false;
  }

  answerUnknownRoute(call: OutboundCall, path: string): false {
    this.refuse(call, Reasons.unknownRoute, reasonMessage(Reasons.unknownRoute, { path }));
    return false;
  }
}
