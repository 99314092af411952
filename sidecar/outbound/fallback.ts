/**
 * What becomes of calls that their upstream cannot serve: the steps their route names, in order, each once. Another
 * upstream takes the call as one of its own, with its balancing, breaker and retries; the last good answer is given as it
 * was. Only a good answer counts: when no step has one, the caller is told what the primary said. The chain is that of
 * the upstream the application called; what it falls back to does not fall back further.
 */

import { Reasons } from '../core/outcome/local-reply-reason.js';
import { Outcome } from '../core/outcome/outcome.js';
import { Status, statusName } from '../core/outcome/status.js';
import { Lead } from '../core/retry/primary-breaker.js';
import { metadataValue } from '../http2/header-view.js';
import { NEVER, type Story } from '../relay/call.js';
import { Detour, type DetourHome, type Failure, type OutboundAttempt, type OutboundCall } from './call.js';

/** Another upstream of this sidecar. */
export interface Refuge {
  /** Takes over a call that is not its own. False: it has no route for it. */
  adopt(call: OutboundCall): boolean;
}

/** The upstream whose calls these are. */
export interface Primary extends Story {
  /** It is tried after all. */
  begin(call: OutboundCall): void;
  giveUp(call: OutboundCall, failure: Failure): void;
}

/** Answers of our own that something else may be better than. */
const MENDABLE: ReadonlySet<string> = new Set(
  [
    Reasons.noEndpoint,
    Reasons.discoveryPending,
    Reasons.breakerOpen,
    Reasons.connectFailed,
    Reasons.connectionLost,
    Reasons.upstreamReset,
    Reasons.attemptTimeout,
    Reasons.protocolError,
  ].map(({ name }) => name),
);

export class Detours implements DetourHome {
  constructor(
    private readonly primary: Primary,
    private readonly find: (name: string) => Refuge | undefined,
    private readonly now: () => number,
  ) {}

  /** A call arrives. True: it goes elsewhere, for the primary keeps failing. */
  leads(call: OutboundCall): boolean {
    const care = call.care!;
    const lead = care.wayBack.lead(this.now());
    if (lead === Lead.primary) return false;
    if (lead === Lead.fallback && isDeclined(call)) return false;
    const detour = new Detour(lead, this, care, call.match, call.upstream);
    call.detour = detour;
    if (lead === Lead.trial) return false;
    detour.why = care.lastWhy;
    this.goOn(call);
    return true;
  }

  /** The primary answered well. */
  answered(call: OutboundCall, attempt: OutboundAttempt): void {
    const { lastGood } = call.care!;
    this.succeeded(call);
    if (lastGood !== null && attempt.status === Status.OK && call.requestEnded && call.isWhole)
      lastGood.store(call, attempt, this.now());
  }

  /** The primary answers a stream: as long as that lasts, it shall not keep others away. */
  began(call: OutboundCall): void {
    if (!call.detour!.isJudged) this.succeeded(call);
  }

  /** The primary answered. */
  private succeeded(call: OutboundCall): void {
    const { detour } = call;
    if (detour !== null) detour.isJudged = true;
    call.care!.wayBack.succeeded(detour?.lead ?? Lead.primary, call.startMs, this.now());
  }

  /** The primary failed a call that is past helping. */
  failed(call: OutboundCall): void {
    const { detour } = call;
    if (detour !== null) detour.isJudged = true;
    call.care!.wayBack.failed(detour?.lead ?? Lead.primary, call.startMs, this.now());
  }

  /** A call of the primary's has failed for good there. True: it is not answered yet. */
  takes(call: OutboundCall, failure: Failure, outcome: Outcome): boolean {
    const care = call.care!;
    if (outcome === Outcome.neutral || outcome === Outcome.cancelled || !isMendable(failure)) {
      // A word of the endpoint's own: it answers.
      if (call.detour !== null && failure.reason === null) this.succeeded(call);
      return false;
    }
    const why = whyOf(failure);
    if (failure.reason !== Reasons.breakerOpen) {
      care.lastWhy = why;
      this.failed(call);
    }
    const { detour } = call;
    // Its chain is at its end already: the primary was the last resort.
    if (detour !== null && detour.step > 0) return false;
    if (care.chain.length === 0 || !call.isWhole) return false;
    if (isDeclined(call)) {
      care.declined++;
      return false;
    }
    call.detour ??= new Detour(Lead.primary, this, care, call.match, call.upstream);
    call.detour.failure = failure;
    call.detour.why = why;
    this.goOn(call);
    return true;
  }

  /** The next step, or the end of the chain. */
  goOn(call: OutboundCall): void {
    const detour = call.detour!;
    const { chain } = detour.care;
    while (detour.step < chain.length && call.isWhole) {
      const step = chain[detour.step]!;
      detour.step++;
      // What has crashed one model may crash another.
      if (step.kind === 'last-good' ? this.repeats(call, detour) : this.sends(call, detour, step.upstream))
        return;
    }
    this.return(call, detour);
    if (detour.failure !== null) this.primary.giveUp(call, detour.failure);
    else this.primary.begin(call);
  }

  private sends(call: OutboundCall, detour: Detour, upstream: string): boolean {
    const refuge = call.hasCrashed ? undefined : this.find(upstream);
    if (refuge === undefined) return false;
    detour.isAway = true;
    detour.attemptsBefore = call.attempts;
    this.marks(call, detour, upstream);
    return refuge.adopt(call);
  }

  /** True: the call has been answered, or waits until all of the request is here. */
  private repeats(call: OutboundCall, detour: Detour): boolean {
    const { lastGood } = detour.care;
    if (lastGood === null || lastGood.size === 0) return false;
    this.return(call, detour);
    if (!call.requestEnded) {
      detour.isWaiting = true;
      detour.step--;
      call.resumeAt(NEVER);
      return true;
    }
    const answer = lastGood.find(call, this.now());
    if (answer === undefined) return false;
    this.marks(call, detour, 'last-good');
    call.answerWith(answer);
    return true;
  }

  private marks(call: OutboundCall, detour: Detour, from: string): void {
    detour.from = from;
    call.degraded = `${detour.why}; from=${from}`;
  }

  /** The call is its own upstream's again. */
  private return(call: OutboundCall, detour: Detour): void {
    call.degraded = '';
    if (!detour.isAway) return;
    detour.isAway = false;
    detour.attemptsBefore = call.attempts;
    call.leaveBreaker();
    call.story = this.primary;
    call.match = detour.match;
    call.plan = detour.match.plan;
    call.upstream = detour.upstream;
    call.care = detour.care;
    call.block = call.original;
    call.directed = null;
    call.retry = null;
    call.tried = [];
  }

  onRequestReady(call: OutboundCall): void {
    const detour = call.detour!;
    if (!detour.isWaiting) return;
    if (!call.requestEnded && call.isWhole) return call.onSentUp(call.requestBytes);
    detour.isWaiting = false;
    this.goOn(call);
  }

  onFinish(call: OutboundCall, status: number): void {
    const detour = call.detour!;
    if (!detour.isJudged) detour.care.wayBack.undecided(detour.lead);
    if (call.degraded !== '' && status === 0) detour.care.answered(detour.from, detour.why);
  }
}

function isDeclined(call: OutboundCall): boolean {
  return metadataValue(call.original, 'outrider-accept-degraded') === 'no';
}

function isMendable({ reason }: Failure): boolean {
  return reason === null || MENDABLE.has(reason.name);
}

/** In one word: the reason of our own answer, or the status of the endpoint's. */
function whyOf({ reason, attempt }: Failure): string {
  if (reason !== null) return reason.name;
  return statusName(attempt!.status).toLowerCase().replaceAll('_', '-');
}
