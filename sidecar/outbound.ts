import type { Endpoint } from './cluster/endpoint.js';
import { isProbeDue } from './cluster/picking.js';
import { AttemptTrait } from './core/outcome/classify-attempt.js';
import { Outcome } from './core/outcome/outcome.js';
import { headerViewOf } from './http2/header-view.js';
import type { HeaderBlock } from './http2/hpack/header-list.js';
import type { Stream } from './http2/stream.js';
import { attemptDueMs, noteLimit, retimeHeaders } from './outbound/attempt-timeout.js';
import {
  Entry,
  type Failure,
  type OutboundAttempt,
  OutboundCall,
  type UpstreamHandler,
} from './outbound/call.js';
import { CallEvents } from './outbound/call-events.js';
import { leaveUpstream, onFallbackRequest, runFallback } from './outbound/fallback/chain.js';
import { divert, fallBack, recordPrimaryResponse } from './outbound/fallback/primary.js';
import { sendFailure } from './outbound/final-failure.js';
import * as hedging from './outbound/hedging.js';
import { awaitModel, namesModel, readModel } from './outbound/models/called-model.js';
import { recordOutcome } from './outbound/outcome-recorder.js';
import { KEY_UNREAD } from './outbound/parameter-key.js';
import { pickEndpoint } from './outbound/pick.js';
import { failureOf, notResumedReply } from './outbound/replies.js';
import { isServedNowhere, lacksIdentity, retryWaitMs } from './outbound/retry.js';
import { noteAnswer } from './outbound/stream/message-watch.js';
import { limitTo } from './outbound/traffic-shift.js';
import { MessageWatch, NEVER } from './relay/call.js';
import { beginAttempt, beginHedge, settleOn } from './relay/call-attempts.js';
import { resumeAt } from './relay/call-timer.js';
import type { LocalReply } from './relay/local-reply.js';
import { Next } from './relay/next.js';
import { creditRequest } from './relay/request-buffer.js';
import { finishWith, sendLocalReply } from './relay/response.js';
import { type Match, type Routes, timeAllowedMs } from './relay/route-table.js';
import { isGrpcRequest, RejectedStream } from './transport/not-grpc.js';
import type { Session } from './transport/session.js';

const LOST_PROCESS = AttemptTrait.modelCrashed | AttemptTrait.modelLost;

/**
 * The way of a call from the local application to an upstream, top-down: accept, fault and split, route, deadline, breaker,
 * pick, attempt; the end of the attempt; then retry, hedge, fallback or the reply. Each step that refuses a call returns
 * the reply, and each that keeps it returns `Next.handled`.
 */
export class Outbound extends CallEvents implements UpstreamHandler {
  // ---- arrival ----

  /** A new stream of the application. */
  accept(session: Session, stream: Stream, block: HeaderBlock, ended: boolean): void {
    const view = headerViewOf(block);
    if (!isGrpcRequest(view)) return void new RejectedStream(session, stream, ended);
    const call = new OutboundCall(this.context, this, session, stream, block, ended);
    const { routes, models } = this.router;
    if (models !== null && this.awaitModel(call, Entry.own)) return;
    this.enter(call, models === null ? routes : this.router.routesOf(call), view.path);
  }

  /** The call begins: it is counted, under its model where that matters, and shifted or taken. */
  private enter(call: OutboundCall, routes: Routes, path: string): void {
    const match = routes.match(path);
    call.stats = match === null ? routes.statsOf('other') : match.stats;
    call.stats.begin();
    if (match === null) return this.refuse(call, this.router.unknownRoute(path));
    if (this.activeShift !== null && this.activeShift.apply(call, match, this) === Next.handled) return;
    this.take(call, match);
  }

  /** Routes of this upstream may be for some models only, whatever the upstream before asked for. */
  takeSplit(call: OutboundCall, match: Match): void {
    if (this.router.models !== null && this.awaitModel(call, Entry.split)) return;
    this.take(call, this.matchFor(call) ?? match);
  }

  /** Where calls differ by the model that they name. True: the call waits until that can be read. */
  private awaitModel(call: OutboundCall, entry: Entry): boolean {
    const match = namesModel(call) ? this.matchOf(headerViewOf(call.block).path) : null;
    if (match === null || awaitModel(call) !== Next.handled) return false;
    call.entry = entry;
    // Until then it has the limits that calls of its method have whatever they name.
    limitTo(call, match);
    return true;
  }

  /** The model that the call names has been read, or cannot be. */
  private goOn(call: OutboundCall): void {
    const { entry } = call;
    if (awaitModel(call) === Next.handled) return;
    call.entry = Entry.done;
    call.isWaiting = false;
    const { path } = headerViewOf(call.block);
    const match = this.matchFor(call);
    if (entry === Entry.own) return this.enter(call, this.router.routesOf(call), path);
    if (match === null) return this.refuse(call, this.router.unknownRoute(path));
    this.take(call, match);
  }

  /** The route of a call, by the model it names where that is known. */
  private matchFor(call: OutboundCall): Match | null {
    if (this.router.models !== null && namesModel(call)) readModel(call);
    return this.router.routesOf(call).match(headerViewOf(call.original).path);
  }

  take(call: OutboundCall, match: Match): void {
    const { hedge, fallback } = match.plan.config;
    if (hedge !== undefined || fallback !== undefined) call.methodState = this.methodStates.of(match);
    const refusal = this.router.route(call, match);
    if (refusal !== null) return this.refuse(call, refusal);
    const allowedMs = timeAllowedMs(call.match.plan.config, call.block);
    call.deadlineMs = call.startMs + allowedMs;
    if (allowedMs <= 0) return this.onDeadline(call);

    if (fallback !== undefined && divert(call, this) === Next.handled) return;
    this.begin(call);
  }

  /** Admits the call as one more for the endpoints. */
  private begin(call: OutboundCall): void {
    const refusal =
      this.breaker.admit(call) ?? (call.fallback === null ? null : this.router.leaveRetired(call));
    if (refusal !== null) return this.refuse(call, refusal);
    call.cluster.budget.deposit(call.startMs);
    this.attempt(call);
  }

  // ---- attempts ----

  /** Begins an attempt at the best endpoint there is. Only a first attempt may probe an ejected endpoint. */
  protected attempt(call: OutboundCall): void {
    const now = this.context.nowMs;
    if (call.routeDecision !== null && call.routeDecision.key === KEY_UNREAD && this.awaitKey(call)) return;
    let probed: Endpoint | undefined;
    if (call.attemptsHere === 0 || call.coldUntilMs > 0) {
      if (!this.poison.isIdle) {
        if (this.poison.awaitRequest(call, now) === Next.handled) return;
        const refusal = this.poison.refusal(call, now);
        if (refusal !== null) return this.refuse(call, refusal);
      }
      if (isProbeDue(call.cluster, now)) {
        if (this.probes.awaitRequest(call, now) === Next.handled) return;
        probed = this.probes.take(call, now);
      }
    }
    const endpoint = probed ?? pickEndpoint(call, now);
    if (endpoint === undefined) return this.onNoEndpoint(call);
    if (
      (call.breaker !== null || call.cluster.maxPending > 0) &&
      probed === undefined &&
      !endpoint.pool.hasRoom
    ) {
      const refusal = this.breaker.admitToQueue(call);
      if (refusal !== null) return this.refuse(call, refusal);
    }
    const attempt = this.makeAttempt(call, endpoint, now);
    if (probed !== undefined) attempt.probe = endpoint.ejection.probe;
    const hedgeMs = call.methodState === null ? NEVER : hedging.hedgeDueMs(call, attempt, now);
    beginAttempt(call, attempt, attemptDueMs(call, now), hedgeMs);
  }

  /** The call sticks to an endpoint by something in its request. True: it waits for more of that. */
  private awaitKey(call: OutboundCall): boolean {
    return this.parameterKeys.awaitKey(call, this.upstream.hashOnOf(call.cluster)!) === Next.handled;
  }

  private onNoEndpoint(call: OutboundCall): void {
    if (this.coldStart !== null && call.cluster.isKnown && this.coldStart.hold(call)) return;
    const refusal = call.cluster.isKnown ? this.router.noEndpoint() : this.breaker.waitForDiscovery(call);
    if (refusal !== null) this.refuse(call, refusal);
  }

  // ---- the end of an attempt ----

  onAttemptEnd(call: OutboundCall, attempt: OutboundAttempt): void {
    const now = this.context.nowMs;
    if (attempt.isLimitTold) noteLimit(call, attempt, now);
    const outcome = recordOutcome(call, attempt, this.context);
    if (call.observer !== null) call.observer.onAttemptEnd(call, attempt);
    if (outcome === Outcome.success) {
      if (attempt.isRefutedTrial && this.askAnother(call, attempt) === Next.handled) return;
      return this.succeed(call, attempt);
    }
    if ((attempt.traits & LOST_PROCESS) !== 0) this.poison.onProcessLost(call, attempt, now);
    if (call.hedge !== null) {
      if (hedging.leaveToOtherAttempt(call, attempt, outcome, now) === Next.handled) return;
      settleOn(call, attempt);
    } else {
      if (lacksIdentity(call, attempt) && this.breaker.wait(call)) return;
      if (this.retry(call, attempt) === Next.handled) return;
      if (this.coldStart?.holdFailed(call, attempt)) return;
    }
    this.fail(call, failureOf(call, attempt), outcome);
  }

  /** A trial has brought an invalid answer, which is held: it is dropped where another endpoint may be asked. */
  private askAnother(call: OutboundCall, attempt: OutboundAttempt): Next {
    if (call.hedge !== null || this.retry(call, attempt) !== Next.handled) return Next.continue;
    attempt.takeHeld();
    return Next.handled;
  }

  private succeed(call: OutboundCall, attempt: OutboundAttempt): void {
    const { resumable } = call;
    if (resumable !== null && !resumable.mayEnd(attempt))
      return sendLocalReply(call, notResumedReply(call, `${attempt.endpoint.label} ended it sooner`));
    if (resumable?.isResuming) this.onResumed(call);
    if (!this.poison.isIdle) this.poison.answered(call, attempt);
    if (call.plan.watch >= MessageWatch.counted) noteAnswer(this.kinds, call, attempt);
    const { methodState } = call;
    if (methodState !== null) {
      if (methodState.hedgeSettings !== null && call.plan.holdsResponse)
        hedging.noteSuccess(call, attempt, this.context.nowMs);
      if (methodState.chain.length > 0) recordPrimaryResponse(call, attempt);
    }
    finishWith(call, attempt);
  }

  /** `handled`: another attempt follows, or the call has been refused as its cluster is gone. */
  private retry(call: OutboundCall, attempt: OutboundAttempt): Next {
    if (call.hasCrashed) return Next.continue;
    const now = this.context.nowMs;
    call.tried = [...call.tried, attempt.endpoint];
    if (isServedNowhere(call, attempt, now)) return Next.continue;
    const { resumable } = call;
    const refusal = call.isCommitted && resumable === null ? null : this.router.leaveRetired(call);
    if (refusal !== null) {
      this.refuse(call, refusal);
      return Next.handled;
    }
    // A stream that got on has its attempts anew.
    if (resumable !== null && !resumable.isResuming) call.retry = null;
    const waitMs = retryWaitMs(call, attempt, this.context);
    if (waitMs < 0) return Next.continue;
    resumable?.restart(call.stream.pendingBytes);
    call.takeExtra();
    this.retries++;
    call.stats!.retries++;
    if (waitMs === 0) this.attempt(call);
    else resumeAt(call, now + waitMs);
    return Next.handled;
  }

  /** The first attempt is late: another one goes to another endpoint, if it may. */
  private hedge(call: OutboundCall, first: OutboundAttempt): void {
    const now = this.context.nowMs;
    if (hedging.postponeHedge(call, first, now)) return;
    const endpoint = hedging.takeHedge(call, first, now);
    if (endpoint === undefined) return;
    beginHedge(call, this.makeAttempt(call, endpoint, now), attemptDueMs(call, now));
  }

  // ---- failure ----

  /** The call can go nowhere. */
  protected refuse(call: OutboundCall, reply: LocalReply): void {
    if (call.methodState !== null && call.deadlineMs === NEVER)
      call.deadlineMs = call.startMs + timeAllowedMs(call.match.plan.config, call.block);
    this.fail(call, { reply, attempt: null }, Outcome.fault);
  }

  /** No attempt follows: a fallback step has the call, or the caller gets the failure. */
  private fail(call: OutboundCall, failure: Failure, outcome: Outcome): void {
    if (!call.isCommitted) {
      if (call.fallback?.isAway) {
        // A request that crashed a model goes to no other endpoint, and one that is not held in full can go to none.
        if (call.hasCrashed || !call.isWhole) call.fallback.failure ??= failure;
        if (call.coldUntilMs > 0) this.coldStart?.leave(call);
        return call.fallback.home.nextStep(call);
      }
      if (call.methodState !== null && fallBack(call, failure, outcome, this) === Next.handled) return;
    }
    sendFailure(call, failure, this.failures, this.name);
  }

  nextStep(call: OutboundCall): void {
    if (runFallback(call) === Next.handled) return;
    const { failure } = call.fallback!;
    if (failure === null) this.begin(call);
    else sendFailure(call, failure, this.failures, this.name);
  }

  takeOver(call: OutboundCall): Next {
    const match = this.matchFor(call);
    if (match === null) return Next.continue;
    leaveUpstream(call);
    call.handler = this;
    call.methodState = null;
    const refusal = this.router.route(call, match);
    if (refusal === null) this.begin(call);
    else this.refuse(call, refusal);
    return Next.handled;
  }

  // ---- calls that wait ----

  onRequestReady(call: OutboundCall): void {
    if (call.observer !== null) call.observer.onRequest(call);
    if (call.fallback !== null) onFallbackRequest(call, call.fallback);
    if (call.requestEnded && call.plan.attemptTimeoutMs > 0) retimeHeaders(call, this.context.nowMs);
    if (!call.isWaiting) return;
    if (call.requestEnded || !call.isReplayable || this.parameterKeys.isReadable(call)) this.resume(call);
    else creditRequest(call, call.requestBytes); // There is room to buffer the rest.
  }

  onResume(call: OutboundCall): void {
    const attempt = call.attempt as OutboundAttempt | null;
    if (attempt !== null && !attempt.isOver) this.hedge(call, attempt);
    else this.resume(call);
  }

  /** What the call waited for is here, or its wait is over. */
  private resume(call: OutboundCall): void {
    if (call.entry !== Entry.done) return this.goOn(call);
    this.breaker.leave(call);
    call.isWaiting = false;
    const refusal = this.router.leaveRetired(call);
    if (refusal !== null) return this.refuse(call, refusal);
    if (call.coldUntilMs > 0 && this.coldStart !== null && this.coldStart.holdOn(call)) return;
    this.attempt(call);
  }
}
