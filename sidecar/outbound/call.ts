import type { Cluster } from '../cluster/cluster.js';
import type { Endpoint } from '../cluster/endpoint.js';
import { isAnsweredByFront } from '../codec/engines/engine-methods.js';
import { CallKind } from '../core/balancing/balancer.js';
import type { CircuitBreakerLimits } from '../core/retry/breaker-limits.js';
import type { RequestFingerprint } from '../core/retry/poison-table.js';
import type { PrimaryRoute } from '../core/retry/primary-breaker.js';
import type { RetryState } from '../core/retry/retry-state.js';
import type { TrafficRoute } from '../core/routing/route-match.js';
import type { CalledModel } from '../core/routing/traffic-split.js';
import type { EngineSilence } from '../core/stats/engine-silence.js';
import { headerViewOf } from '../http2/header-view.js';
import type { HeaderField } from '../http2/hpack/field.js';
import type { HeaderBlock } from '../http2/hpack/header-list.js';
import { Attempt } from '../relay/attempt.js';
import type { CallDecisions, RepeatEvents, ResponseEvents } from '../relay/call.js';
import type { LocalReply } from '../relay/local-reply.js';
import type { Next } from '../relay/next.js';
import { RelayedCall } from '../relay/relayed-call.js';
import type { Match } from '../relay/route-table.js';
import type { Pool } from '../transport/pool.js';
import type { EngineRequests } from './engine-requests.js';
import type { MethodState } from './method-state.js';

/** What rules decided for a call; most calls need none. */
export interface RouteDecision {
  /** Version of the rules that decided. */
  readonly version: number;
  /** Hash of the value that the call sticks to an endpoint by; NO_KEY: it does not stick; KEY_UNREAD: not known yet. */
  readonly key: number;
  /** The key is that of a sequence, whose state is at one endpoint. */
  readonly isBound: boolean;
  /** The request as it came, whose path a rule may have changed. */
  readonly original: HeaderBlock;
  /** The one that it took, which says what its route in the file does not. */
  readonly rule: TrafficRoute;
}

/** Where a call goes on once its model has been read: as one of the application, or as one that a split sends. */
export const Entry = { done: 0, own: 1, split: 2 } as const;
export type Entry = (typeof Entry)[keyof typeof Entry];

/** The waits of a call before its attempts. */
export class CallWait {
  /** It waits at its entry until its model can be read. */
  entry: Entry = Entry.done;
  /** It waits for more of its request. */
  isForRequest = false;
  /** Bytes of the request at which its beginning is looked at again, while `isRequestAwaited`. */
  keyBytes = 0;
  /** It has waited once, to be the probe of an ejected endpoint. */
  hasWaitedForProbe = false;
  /** It waits until then at the longest for an endpoint that is up; 0: it has not had to. */
  coldUntilMs = 0;
}

/** What model processes did that were lost with a call inside. */
export class CrashRecord {
  /** What the request is known by; null: not made. */
  fingerprint: RequestFingerprint | null = null;
  /** A model process crashed with it inside, or would: it goes nowhere else. */
  hasCrashed = false;
  /** A sidecar lost its model process with it inside, and could not say that it crashed. */
  hasLostModel = false;
  /** Messages that its caller had then. */
  messagesAtLoss = 0;
  /** What deaths of language-model engines say against it (core/retry/engine-deaths.ts), all together, and the last one. */
  weight = 0;
  lastWeight = 0;
  /** What the last one says once it is known that it was a death, and the connections that say so. */
  unproven = 0;
  pool: Pool | null = null;
  /** The engine that died last, and when. */
  engine: EngineSilence | null = null;
  lostMs = 0;
  /** When the request had been sent there. */
  sentMs = 0;
  /** Engines that stalled under it; null: none has. */
  stalls: EngineStall[] | null = null;
}

/** A language-model engine that stalled under a request. */
export interface EngineStall {
  readonly engine: EngineSilence;
  /** Which of its processes. */
  readonly process: number;
  /** When the request left it. */
  readonly leftMs: number;
  /** What that says against the request, unless the engine is well again. */
  readonly weight: number;
  /** It was silent for so long that it hangs; else only an answer that still waits there shows that it does. */
  readonly isLong: boolean;
}

/** The place of a call at the circuit breaker of an upstream. */
export class BreakerPlace {
  /** The extra attempts that it is counted with. */
  extra = 0;

  constructor(readonly limits: CircuitBreakerLimits) {}
}

/** How a call failed, for when no retry or fallback step has anything better. */
export interface Failure {
  /** The sidecar's own answer; null: the endpoint's answer is passed on. */
  readonly reply: LocalReply | null;
  /** The last attempt; null: there was none. */
  readonly attempt: OutboundAttempt | null;
}

/**
 * An upstream as the calls of other upstreams reach it: those that a split, a mirror or a fallback step sends to it, and
 * its own when they come back.
 */
export interface UpstreamHandler extends CallDecisions, ResponseEvents, RepeatEvents {
  readonly name: string;
  /** Of the calls that the application sends to it: those that generate tokens, by the ids of their clients, whichever upstream has them now. */
  readonly engineRequests: EngineRequests<OutboundCall>;
  /** Another upstream of this sidecar; undefined: there is none of this name (any more). */
  find(name: string): UpstreamHandler | undefined;
  /** Its route for a path; null: it has none. */
  matchOf(path: string): Match | null;
  /** Runs a call of this upstream, or a copy that a mirror sends to it. */
  take(call: OutboundCall, match: Match): void;
  /** Runs a call that a split sends to it. */
  takeSplit(call: OutboundCall, match: Match): void;
  /** Runs a call that failed elsewhere, or belongs here, as one of its own. `continue`: it has no route for it. */
  takeOver(call: OutboundCall): Next;
  /** Takes back a call that the fallback step before could not serve. */
  nextStep(call: OutboundCall): void;
}

/** Where a call stands in the fallback chain of its route; also kept for the probe of a primary that failed. */
export class FallbackState {
  /** Index of the next step of the chain. */
  step = 0;
  /** Attempts before those of the upstream that has the call now. */
  attemptsBefore = 0;
  /** How the primary failed; null: it has not been asked. */
  failure: Failure | null = null;
  /** Why the call falls back, and to what, as in `outrider-degraded`. */
  why = '';
  from = '';
  /** Another upstream has the call. */
  isAway = false;
  /** The step needs all of the request, which is not here yet. */
  isWaiting = false;
  /** An endpoint of its own upstream may have worked on the call before another upstream got it. */
  wasProcessedAtHome = false;
  /** The primary's breaker has been told how the call went there. */
  isRecorded = false;

  constructor(
    readonly route: PrimaryRoute,
    /** The upstream that the application called. */
    readonly home: UpstreamHandler,
    readonly methodState: MethodState,
    readonly match: Match,
    readonly cluster: Cluster,
  ) {}
}

/** What an Abort names. */
export interface AbortedRequests {
  /** The engine that has the first of them; undefined: none is known. */
  readonly endpoint: Endpoint | undefined;
  /** Requests that it names and that are not known here. One that cannot be read is taken to name one. */
  readonly unknown: number;
}

/** Told of what becomes of a call, beside its caller: a mirrored call, and the copy of it. */
export interface CallObserver {
  /** More of the request is here, or all of it. */
  onRequest(call: OutboundCall): void;
  /** The answer is longer than what is held, and passed on from now on. */
  onLongResponse(call: OutboundCall): void;
  /** The attempt still has what it holds of its answer. */
  onAttemptEnd(call: OutboundCall, attempt: Attempt): void;
  onFinish(call: OutboundCall, status: number): void;
}

/**
 * A call of the local application: what its way through its upstream needs beside the record of every call. What only some
 * calls need is in records that are made when its state begins.
 */
export class OutboundCall extends RelayedCall {
  /** The upstream that the application called. */
  readonly home = this.handler as UpstreamHandler;
  match!: Match;
  cluster!: Cluster;
  retry: RetryState | null = null;
  routeDecision: RouteDecision | null = null;
  /** Null: its route neither hedges nor falls back. */
  methodState: MethodState | null = null;
  fallback: FallbackState | null = null;
  observer: CallObserver | null = null;
  /** Null: it has not waited before an attempt. */
  wait: CallWait | null = null;
  /** What its request names; null: that has not been read. */
  called: CalledModel | null = null;
  /** The model that it names (cluster/served-models/model-key.ts), where that was noted before the request was let go. */
  model: Uint8Array | null = null;
  /** Null: no model process was lost with it, and nothing is known of its request. */
  crash: CrashRecord | null = null;
  /** Metadata added to the request of a mirrored copy; null: the call is no copy. */
  marker: HeaderField | null = null;
  /** Null: it is no Abort, or that has not been read. */
  aborting: AbortedRequests | null = null;
  /** Null: it is counted nowhere. */
  breaker: BreakerPlace | null = null;

  /** By which of the endpoints' times it is balanced and judged. */
  get kind(): CallKind {
    return this.plan.judgedAs;
  }

  override get isCopy(): boolean {
    return this.marker !== null;
  }

  /** The record of its waits, made where there is none. */
  ensureWait(): CallWait {
    this.wait ??= new CallWait();
    return this.wait;
  }

  /** It waits for more of its request before its first attempt. */
  get isWaitingForRequest(): boolean {
    return this.wait?.isForRequest === true;
  }

  /** It waits for an endpoint that is up, or has done so. */
  get isCold(): boolean {
    return (this.wait?.coldUntilMs ?? 0) > 0;
  }

  /** A model process crashed with it inside, or would: it goes nowhere else. */
  get hasCrashed(): boolean {
    return this.crash?.hasCrashed === true;
  }

  /** Attempts at the upstream that has the call now. */
  get attemptsHere(): number {
    return this.fallback === null ? this.attempts : this.attempts - this.fallback.attemptsBefore;
  }

  /** An endpoint of its own upstream may have done something for it, whatever others did that it fell back to. */
  get mayBeProcessedAtHome(): boolean {
    const { fallback } = this;
    if (fallback === null) return this.mayBeProcessed;
    if (fallback.wasProcessedAtHome) return true;
    return !fallback.isAway && this.attemptsHere > 0 && this.mayBeProcessed;
  }

  /** The request as it came. */
  get original(): HeaderBlock {
    return this.routeDecision === null ? this.block : this.routeDecision.original;
  }

  /** Its answer says nothing of the language-model engine behind the front that gives it. */
  get isOfFront(): boolean {
    const { calledEngine } = this.match.plan;
    return calledEngine !== null && isAnsweredByFront(calledEngine, headerViewOf(this.block).path);
  }

  /** Whether all of the request, as far as it has come, could be sent again. */
  get isWhole(): boolean {
    return !this.isCommitted && (this.hasRequest || this.attempts === 0);
  }

  /** All of the request so far is here: it is kept for another attempt, or too large for that, and nothing of it has been sent. */
  get hasRequest(): boolean {
    return this.isReplayable || (this.buffered !== null && this.buffered.bytes === this.requestBytes);
  }

  /** One more attempt is granted: it counts from now until it is observed. */
  takeExtra(): void {
    if (this.breaker === null) return;
    this.breaker.limits.retries++;
    this.breaker.extra++;
  }

  giveExtra(): void {
    if (this.breaker === null || this.breaker.extra === 0) return;
    this.breaker.limits.retries--;
    this.breaker.extra--;
  }

  leaveBreaker(): void {
    if (this.breaker === null) return;
    while (this.breaker.extra > 0) this.giveExtra();
    this.breaker.limits.leave();
    this.breaker = null;
  }
}

/** Where a sample of the pace of a stream began. */
export class PaceSample {
  constructor(
    public sinceMs: number,
    public messages: number,
  ) {}
}

/** One attempt of an outbound call at one endpoint, and the class of its end. */
export class OutboundAttempt extends Attempt {
  /** Attempts of the call before it, for `grpc-previous-rpc-attempts` (gRFC A6). */
  readonly number: number;
  /** Its endpoint knows its limit, which is earlier than the call's deadline. */
  isLimitTold = false;
  /** What `classifyAttempt` made of its end: `AttemptTrait`s and the outcome; 0 while it runs. */
  traits = 0;
  /** A trial whose answer is as invalid as those for which its endpoint is ejected. */
  isRefutedTrial = false;
  /** A stream that waits for its first message: it is counted so at its endpoint. */
  isUnanswered: boolean;
  /** Bytes of the response at the end of its first message; −1: not there yet, or more than that message had come. */
  firstMessageBytes = -1;
  /** The present sample of its pace; null: its messages are not counted. */
  pace: PaceSample | null = null;
  /** A language-model engine died with it inside. */
  isEngineLost = false;
  /** Its language-model engine has stalled, and its call has left as many of these as it may without evidence. */
  isLastMove = false;
  /** What the endpoint needed, ms, once it has ended; UNKNOWN_DURATION: it cannot be told. */
  tookMs = -1;

  constructor(
    call: OutboundCall,
    readonly endpoint: Endpoint,
    nowMs: number,
  ) {
    super(call, endpoint, nowMs);
    this.number = call.attemptsHere;
    // One that goes on with a stream repeats what the caller has first.
    this.isUnanswered = call.kind === CallKind.stream && !call.isCommitted;
  }
}
