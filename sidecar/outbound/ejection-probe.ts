import { onEjectionEvent } from '../cluster/ejection-events.js';
import type { Endpoint } from '../cluster/endpoint.js';
import { isProbeDue, type MayProbe, takeProbe } from '../cluster/picking.js';
import type { RouteConfig } from '../config/model.js';
import { Outcome } from '../core/outcome/outcome.js';
import { Evidence, NO_PROBE } from '../core/outlier/ejection.js';
import { areReadOnly } from '../core/routing/method.js';
import { resumeAt } from '../relay/call-timer.js';
import { Next } from '../relay/next.js';
import { creditRequest } from '../relay/request-buffer.js';
import type { OutboundAttempt, OutboundCall } from './call.js';
import { startsSequence } from './parameter-key.js';
import { groupWithModel, wouldBeHome } from './sequence-home.js';

/** How long a probe that is due waits for a call of the highest rank, ms. */
const PREFERRED_PROBE_WAIT_MS = 5_000;
/** How long a call that could be the probe waits for the rest of its request, ms. */
const REQUEST_MS = 500;
/**
 * How long a probe that is due waits for other calls than one in the middle of a sequence, ms: by then a health check that passes has
 * ended the ejection, unless a check cannot show that the endpoint is well (health/endpoints/recovery.ts).
 */
const SEQUENCE_PROBE_WAIT_MS = 20_000;
/** A stream without a response for so long, ms, no longer counts as the probe: another call may be. */
const STREAM_MS = 30_000;

const UNARY = 2;
const SAFE = 1;

/** How well the calls of a route serve as probes. */
function rankOf({ kind, idempotent, retry }: RouteConfig): number {
  return (kind === 'unary' ? UNARY : 0) + (idempotent && retry !== undefined ? SAFE : 0);
}

/**
 * Chooses the call that is the probe of an ejected endpoint whose ejection time is over; when one is due is decided in
 * core/outlier/ejection-set.ts, and here for how long it waits for a better call. A probe that fails costs a caller nothing where the call may be tried again, and a unary call
 * whose request is here shows soonest how it went: such calls are preferred for 5 s, then any call will do. A call of a sequence may probe only
 * the endpoint that its sequence will have once that is admitted, and at best before there is state elsewhere.
 */
export class EjectionProbes {
  /** Highest rank among the routes. */
  private best = 0;

  /**
   * Methods that only read (health, metadata) are not waited for: many callers never call them.
   * @param hasRetries traffic rules make other routes safe to repeat, too.
   */
  configure(routes: readonly RouteConfig[], hasRetries: boolean): void {
    const awaited = routes.filter(({ methods }) => !areReadOnly(methods));
    this.best = Math.max(0, ...awaited.map(rankOf)) | (hasRetries ? SAFE : 0);
  }

  /** Before a first attempt. `handled`: it waits for the rest of its request, once, as it may be the probe then. */
  awaitRequest(call: OutboundCall, nowMs: number): Next {
    if (call.requestEnded || call.wait?.hasWaitedForProbe || !call.isReplayable) return Next.continue;
    const { config } = call.match.plan;
    if (config.kind !== 'unary') return Next.continue;
    const asOfMs = this.asOfMs(call, rankOf(config), nowMs);
    if (!isProbeDue(call.cluster, asOfMs, probedBy(call))) return Next.continue;
    const wait = call.ensureWait();
    wait.hasWaitedForProbe = true;
    wait.isForRequest = true;
    resumeAt(call, nowMs + REQUEST_MS);
    // It may have waited for something else with its window full.
    creditRequest(call, call.requestBytes);
    return Next.handled;
  }

  /** The ejected endpoint that a first attempt goes to as its probe; undefined: none is due for this call. */
  take(call: OutboundCall, nowMs: number): Endpoint | undefined {
    const { config } = call.match.plan;
    const isPartial = config.kind === 'unary' && !call.requestEnded;
    // A slow caller would be probed, not the endpoint. A request too large to be buffered has shown that it is not slow.
    if (isPartial && call.isReplayable) return undefined;
    const rank = isPartial ? 0 : rankOf(config);
    const overMs = call.plan.holdsResponse ? Number.POSITIVE_INFINITY : nowMs + STREAM_MS;
    return takeProbe(call.cluster, this.asOfMs(call, rank, nowMs), overMs, probedBy(call));
  }

  /** A probe that is a stream has its first response: a success, for its end may be hours away. */
  answered(call: OutboundCall, attempt: OutboundAttempt, nowMs: number): void {
    const { endpoint, startMs, probe } = attempt;
    const { ejection, ejections } = endpoint;
    attempt.probe = NO_PROBE;
    const event = ejections.record(ejection, Outcome.success, startMs, nowMs, probe, Evidence.sound);
    onEjectionEvent(call.cluster, event, endpoint);
  }

  /** Probes due at this time are for the call: those of a lower rank see the clock 5 s late, those in the middle of a sequence 20 s. */
  private asOfMs(call: OutboundCall, rank: number, nowMs: number): number {
    if (call.routeDecision?.isBound === true && !startsSequence(call)) return nowMs - SEQUENCE_PROBE_WAIT_MS;
    return rank >= this.best ? nowMs : nowMs - PREFERRED_PROBE_WAIT_MS;
  }
}

/** Which endpoints the call may probe: those with the model that it names, and the one of its sequence. Undefined: each. */
function probedBy(call: OutboundCall): MayProbe | undefined {
  const group = groupWithModel(call);
  if (call.routeDecision?.isBound === true)
    return (endpoint) => group?.has(endpoint) !== false && wouldBeHome(call, endpoint);
  return group && ((endpoint) => group.has(endpoint));
}
