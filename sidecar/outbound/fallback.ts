/**
 * What becomes of calls that their upstream cannot serve: the steps their route names, in order, each once. Another
 * upstream takes the call as one of its own, with its balancing, breaker and retries; the last good answer is given as it
 * was. Only a good answer counts: when no step has one, the caller is told what the primary said. The chain is that of
 * the upstream the application called; what it falls back to does not fall back further.
 */

import { LocalReplyReasons } from '../core/outcome/local-reply-reason.js';
import { Outcome } from '../core/outcome/outcome.js';
import { Status, statusName } from '../core/outcome/status.js';
import { PrimaryRoute } from '../core/retry/primary-breaker.js';
import { metadataValue } from '../http2/header-view.js';
import { type CallHandler, NEVER } from '../relay/call.js';
import { resumeAt } from '../relay/call-timer.js';
import { creditRequest } from '../relay/request-buffer.js';
import { sendStored } from '../relay/response.js';
import {
  type Failure,
  type FallbackOwner,
  FallbackState,
  type OutboundAttempt,
  type OutboundCall,
} from './call.js';

/** Another upstream of this sidecar. */
export interface FallbackTarget {
  /** Takes over a call that is not its own. False: it has no route for it. */
  adopt(call: OutboundCall): boolean;
}

/** The upstream whose calls these are. */
export interface Primary extends CallHandler {
  /** It is tried after all. */
  begin(call: OutboundCall): void;
  giveUp(call: OutboundCall, failure: Failure): void;
}

/** Answers of our own that something else may be better than. */
const FALLBACK_REASONS: ReadonlySet<string> = new Set(
  [
    LocalReplyReasons.noEndpoint,
    LocalReplyReasons.discoveryPending,
    LocalReplyReasons.breakerOpen,
    LocalReplyReasons.connectFailed,
    LocalReplyReasons.connectionLost,
    LocalReplyReasons.upstreamReset,
    LocalReplyReasons.attemptTimeout,
    LocalReplyReasons.protocolError,
  ].map(({ name }) => name),
);

export class FallbackChain implements FallbackOwner {
  constructor(
    private readonly primary: Primary,
    private readonly find: (name: string) => FallbackTarget | undefined,
    private readonly now: () => number,
  ) {}

  /** A call arrives. True: it goes elsewhere, for the primary keeps failing. */
  divert(call: OutboundCall): boolean {
    const care = call.methodState!;
    const lead = care.primaryBreaker.lead(this.now());
    if (lead === PrimaryRoute.primary) return false;
    if (lead === PrimaryRoute.fallback && isDeclined(call)) return false;
    const detour = new FallbackState(lead, this, care, call.match, call.cluster);
    call.fallback = detour;
    if (lead === PrimaryRoute.trial) return false;
    detour.why = care.lastWhy;
    this.nextStep(call);
    return true;
  }

  /** The primary answered well. */
  answered(call: OutboundCall, attempt: OutboundAttempt): void {
    const { responseCache } = call.methodState!;
    this.succeeded(call);
    if (responseCache !== null && attempt.status === Status.OK && call.requestEnded && call.isWhole)
      responseCache.store(call, attempt, this.now());
  }

  /** The primary answers a stream: as long as that lasts, it shall not keep others away. */
  began(call: OutboundCall): void {
    if (!call.fallback!.isJudged) this.succeeded(call);
  }

  /** The primary answered. */
  private succeeded(call: OutboundCall): void {
    const { fallback } = call;
    if (fallback !== null) fallback.isJudged = true;
    call.methodState!.primaryBreaker.succeeded(
      fallback?.route ?? PrimaryRoute.primary,
      call.startMs,
      this.now(),
    );
  }

  /** The primary failed a call that is past helping. */
  failed(call: OutboundCall): void {
    const { fallback } = call;
    if (fallback !== null) fallback.isJudged = true;
    call.methodState!.primaryBreaker.failed(
      fallback?.route ?? PrimaryRoute.primary,
      call.startMs,
      this.now(),
    );
  }

  /** A call of the primary's has failed for good there. True: it is not answered yet. */
  takes(call: OutboundCall, failure: Failure, outcome: Outcome): boolean {
    const care = call.methodState!;
    if (outcome === Outcome.neutral || outcome === Outcome.cancelled || !isMendable(failure)) {
      // A word of the endpoint's own: it answers.
      if (call.fallback !== null && failure.reason === null) this.succeeded(call);
      return false;
    }
    const why = whyOf(failure);
    if (failure.reason !== LocalReplyReasons.breakerOpen) {
      care.lastWhy = why;
      this.failed(call);
    }
    const { fallback } = call;
    // Its chain is at its end already: the primary was the last resort.
    if (fallback !== null && fallback.step > 0) return false;
    if (care.chain.length === 0 || !call.isWhole) return false;
    if (isDeclined(call)) {
      care.declined++;
      return false;
    }
    call.fallback ??= new FallbackState(PrimaryRoute.primary, this, care, call.match, call.cluster);
    call.fallback.failure = failure;
    call.fallback.why = why;
    this.nextStep(call);
    return true;
  }

  /** The next step, or the end of the chain. */
  nextStep(call: OutboundCall): void {
    const detour = call.fallback!;
    const { chain } = detour.methodState;
    while (detour.step < chain.length && call.isWhole) {
      const step = chain[detour.step]!;
      detour.step++;
      // What has crashed one model may crash another.
      if (
        step.kind === 'last-good'
          ? this.serveCached(call, detour)
          : this.forwardTo(call, detour, step.upstream)
      )
        return;
    }
    this.return(call, detour);
    if (detour.failure !== null) this.primary.giveUp(call, detour.failure);
    else this.primary.begin(call);
  }

  private forwardTo(call: OutboundCall, detour: FallbackState, upstream: string): boolean {
    const refuge = call.hasCrashed ? undefined : this.find(upstream);
    if (refuge === undefined) return false;
    detour.isAway = true;
    detour.attemptsBefore = call.attempts;
    this.marks(call, detour, upstream);
    return refuge.adopt(call);
  }

  /** True: the call has been answered, or waits until all of the request is here. */
  private serveCached(call: OutboundCall, detour: FallbackState): boolean {
    const { responseCache } = detour.methodState;
    if (responseCache === null || responseCache.size === 0) return false;
    this.return(call, detour);
    if (!call.requestEnded) {
      detour.isWaiting = true;
      detour.step--;
      resumeAt(call, NEVER);
      return true;
    }
    const answer = responseCache.find(call, this.now());
    if (answer === undefined) return false;
    this.marks(call, detour, 'last-good');
    sendStored(call, answer);
    return true;
  }

  private marks(call: OutboundCall, detour: FallbackState, from: string): void {
    detour.from = from;
    call.degraded = `${detour.why}; from=${from}`;
  }

  /** The call is its own upstream's again. */
  private return(call: OutboundCall, detour: FallbackState): void {
    call.degraded = '';
    if (!detour.isAway) return;
    detour.isAway = false;
    detour.attemptsBefore = call.attempts;
    call.leaveBreaker();
    call.handler = this.primary;
    call.match = detour.match;
    call.plan = detour.match.plan;
    call.cluster = detour.cluster;
    call.methodState = detour.methodState;
    call.block = call.original;
    call.routeDecision = null;
    call.retry = null;
    call.tried = [];
  }

  onRequestReady(call: OutboundCall): void {
    const detour = call.fallback!;
    if (!detour.isWaiting) return;
    if (!call.requestEnded && call.isWhole) return creditRequest(call, call.requestBytes);
    detour.isWaiting = false;
    this.nextStep(call);
  }

  onFinish(call: OutboundCall, status: number): void {
    const detour = call.fallback!;
    if (!detour.isJudged) detour.methodState.primaryBreaker.undecided(detour.route);
    if (call.degraded !== '' && status === 0) detour.methodState.recordDegraded(detour.from, detour.why);
  }
}

function isDeclined(call: OutboundCall): boolean {
  return metadataValue(call.original, 'outrider-accept-degraded') === 'no';
}

function isMendable({ reason }: Failure): boolean {
  return reason === null || FALLBACK_REASONS.has(reason.name);
}

/** In one word: the reason of our own answer, or the status of the endpoint's. */
function whyOf({ reason, attempt }: Failure): string {
  if (reason !== null) return reason.name;
  return statusName(attempt!.status).toLowerCase().replaceAll('_', '-');
}
