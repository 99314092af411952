/** A call of the local application and its attempts: what they remember beside what every call does. */

import type { Cluster } from '../cluster/cluster.js';
import type { Endpoint } from '../cluster/endpoint.js';
import type { LocalReplyReason } from '../core/outcome/local-reply-reason.js';
import type { CircuitBreakerLimits } from '../core/retry/circuit-breaker.js';
import type { PrimaryRoute } from '../core/retry/primary-breaker.js';
import type { RetryState } from '../core/retry/retry.js';
import type { HeaderField } from '../http2/hpack/field.js';
import type { HeaderBlock } from '../http2/hpack/header-list.js';
import { Attempt } from '../relay/attempt.js';
import type { CallHandler } from '../relay/call.js';
import { RelayedCall } from '../relay/relayed-call.js';
import type { Match } from '../relay/route-table.js';
import type { MethodState } from './method-state.js';

/** What was decided for a call by rules; most calls need none. */
export interface RouteDecision {
  /** The rules it was directed by. */
  readonly version: number;
  /** Hash of what it sticks to; NO_KEY: nothing. */
  readonly key: number;
  /** The request as it came, whose path a rule may have changed. */
  readonly original: HeaderBlock;
}

/** How a call failed, if nothing better can be had. */
export interface Failure {
  /** Null: the endpoint's own answer is passed on. */
  readonly reason: LocalReplyReason | null;
  readonly message: string;
  /** Null: there was none. */
  readonly attempt: OutboundAttempt | null;
}

/** Whoever sent a call on its detour. */
export interface FallbackOwner {
  /** Where it was sent did not help. */
  nextStep(call: OutboundCall): void;
  onRequestReady(call: OutboundCall): void;
  onFinish(call: OutboundCall, status: number): void;
}

/** The way of a call that falls back, or that tries whether it still has to. */
export class FallbackState {
  /** The next step of the chain. */
  step = 0;
  /** Attempts before those of the upstream that has the call now. */
  attemptsBefore = 0;
  /** What the primary said; null while it has not been asked. */
  failure: Failure | null = null;
  why = '';
  from = '';
  /** Another upstream has the call. */
  isAway = false;
  /** All of the request is needed first. */
  isWaiting = false;
  /** What the trial showed has been told. */
  isJudged = false;

  constructor(
    readonly route: PrimaryRoute,
    readonly home: FallbackOwner,
    readonly methodState: MethodState,
    readonly match: Match,
    readonly cluster: Cluster,
  ) {}
}

/** Told of what becomes of a call, beside its caller. */
export interface CallObserver {
  /** More of the request is here, or all of it. */
  onRequest(call: OutboundCall): void;
  /** The attempt still has what it holds of its answer. */
  onAttemptEnd(call: OutboundCall, attempt: Attempt): void;
  onFinish(call: OutboundCall, status: number): void;
}

export class OutboundCall extends RelayedCall {
  match!: Match;
  cluster!: Cluster;
  retry: RetryState | null = null;
  routeDecision: RouteDecision | null = null;
  /** Null: its route neither hedges nor falls back. */
  methodState: MethodState | null = null;
  fallback: FallbackState | null = null;
  observer: CallObserver | null = null;
  /** It waits for the rest of its request, to be an ejected endpoint's trial; it has done so. */
  isWaiting = false;
  hasWaited = false;
  /** The model that it names (model-view.ts), where that was noted before the request was let go. */
  model: Uint8Array | null = null;
  /** What it is known by where it may have crashed a model; empty: not made. */
  fingerprint = '';
  /** A model process crashed with it inside, or would: it goes nowhere else. */
  hasCrashed = false;
  /** Metadata that we add: to copies of other calls. */
  marker: HeaderField | null = null;
  /** Where it is counted, and the extra attempts it is counted with; null: nowhere. */
  breaker: CircuitBreakerLimits | null = null;
  extra = 0;

  get isCopy(): boolean {
    return this.marker !== null;
  }

  /** Attempts at the upstream that has the call now. */
  get attemptsHere(): number {
    return this.fallback === null ? this.attempts : this.attempts - this.fallback.attemptsBefore;
  }

  /** The request as it came. */
  get original(): HeaderBlock {
    return this.routeDecision === null ? this.block : this.routeDecision.original;
  }

  /** Whether all of the request, as far as it has come, could be sent again. */
  get isWhole(): boolean {
    return !this.isCommitted && (this.isReplayable || this.attempts === 0);
  }

  /** One more attempt is granted: it counts from now until it is observed. */
  takeExtra(): void {
    if (this.breaker === null) return;
    this.breaker.retries++;
    this.extra++;
  }

  giveExtra(): void {
    if (this.extra === 0) return;
    this.breaker!.retries--;
    this.extra--;
  }

  leaveBreaker(): void {
    if (this.breaker === null) return;
    while (this.extra > 0) this.giveExtra();
    this.breaker.leave();
    this.breaker = null;
  }
}

export class OutboundAttempt extends Attempt {
  /** Attempts of the call before it, for `grpc-previous-rpc-attempts` (gRFC A6). */
  readonly number: number;
  /** Its endpoint knows its limit, which is earlier than the call's deadline. */
  isLimitTold = false;
  /** What `classifyAttempt` made of its end: `AttemptTrait`s and the outcome; 0 while it runs. */
  traits = 0;
  /** What the endpoint needed, ms, once it has ended; UNKNOWN_DURATION: nobody can tell. */
  tookMs = -1;

  constructor(
    call: OutboundCall,
    readonly endpoint: Endpoint,
    nowMs: number,
  ) {
    super(call, endpoint, nowMs);
    this.number = call.attemptsHere;
  }
}

export interface ShiftTarget extends CallHandler {
  readonly name: string;
  /** Its route for calls of this path; null: it has none. */
  matchOf(path: string): Match | null;
  /** Runs a call, whoever it was made to. */
  take(call: OutboundCall, match: Match, path: string): void;
}
