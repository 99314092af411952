/**
 * Which call is the trial of an ejected endpoint whose time is over, as far as a call is concerned; when one is due is
 * said by core/outlier/ejection-set.ts. A trial that fails costs nobody anything where the call may be tried again, and it
 * says soonest how it went where the call is unary and its request is here. So such calls go first. Where there are
 * none, or none for a while, any call will do.
 */

import type { Endpoint } from '../cluster/endpoint.js';
import type { RouteConfig } from '../config/model.js';
import { Outcome } from '../core/outcome/outcome.js';
import { Evidence, NO_PROBE } from '../core/outlier/ejection.js';
import { areReadOnly } from '../core/routing/method.js';
import { resumeAt } from '../relay/call-timer.js';
import type { OutboundAttempt, OutboundCall } from './call.js';

/** How long a trial waits for a call of the best kind, ms. */
const PREFERRED_PROBE_WAIT_MS = 5_000;
/** How long a call that could be the trial waits for the rest of its request, ms. */
const REQUEST_MS = 500;
/** A stream that has brought nothing for so long gives the trial to another call. */
const STREAM_MS = 30_000;

const UNARY = 2;
const SAFE = 1;

/** How good the calls of a route are as trials. */
function rankOf({ kind, idempotent, retry }: RouteConfig): number {
  return (kind === 'unary' ? UNARY : 0) + (idempotent && retry !== undefined ? SAFE : 0);
}

export class EjectionProbes {
  /** Of all routes. */
  private best = 0;

  /**
   * Questions that only read are safe everywhere, but many callers send none: they are not waited for.
   * @param hasRetries rules make other routes safe, too.
   */
  configure(routes: readonly RouteConfig[], hasRetries: boolean): void {
    const awaited = routes.filter(({ methods }) => !areReadOnly(methods));
    this.best = Math.max(0, ...awaited.map(rankOf)) | (hasRetries ? SAFE : 0);
  }

  /** A first attempt is to be made. True: it waits for the rest of its request, once, for the call may be the trial then. */
  waits(call: OutboundCall, nowMs: number): boolean {
    if (call.requestEnded || call.hasWaited || !call.isReplayable) return false;
    const { config } = call.match.plan;
    if (config.kind !== 'unary' || !call.cluster.isProbeDue(this.asOfMs(rankOf(config), nowMs))) return false;
    call.hasWaited = true;
    call.isWaiting = true;
    resumeAt(call, nowMs + REQUEST_MS);
    return true;
  }

  /** The endpoint that a first attempt shall try, whose trial it is. */
  take(call: OutboundCall, nowMs: number): Endpoint | undefined {
    const { config } = call.match.plan;
    const isPartial = config.kind === 'unary' && !call.requestEnded;
    // Its caller is slow, and would be what is tried. One that is too large to be kept has shown that it is not.
    if (isPartial && call.isReplayable) return undefined;
    const rank = isPartial ? 0 : rankOf(config);
    const overMs = call.plan.holdsResponse ? Number.POSITIVE_INFINITY : nowMs + STREAM_MS;
    return call.cluster.takeProbe(this.asOfMs(rank, nowMs), overMs);
  }

  /** A trial that is a stream has its first answer: that will do, for its end may be hours away. */
  answered(call: OutboundCall, attempt: OutboundAttempt, nowMs: number): void {
    const { endpoint, startMs, probe } = attempt;
    const { ejection, ejections } = endpoint;
    attempt.probe = NO_PROBE;
    const verdict = ejections.record(ejection, Outcome.success, startMs, nowMs, probe, Evidence.sound);
    call.cluster.refreshAfter(verdict, endpoint);
  }

  /** Trials that are due at this time are the call's. */
  private asOfMs(rank: number, nowMs: number): number {
    return rank >= this.best ? nowMs : nowMs - PREFERRED_PROBE_WAIT_MS;
  }
}
