import type { Endpoint } from './cluster/endpoint.js';
import { isProbeDue } from './cluster/picking.js';
import type { UpstreamConfig } from './config/model.js';
import { headerViewOf } from './http2/header-view.js';
import type { HeaderField } from './http2/hpack/field.js';
import type { HeaderBlock, StableList } from './http2/hpack/header-list.js';
import type { Stream } from './http2/stream.js';
import { attemptDueMs, retimeHeaders } from './outbound/attempt-timeout.js';
import { Entry, type OutboundAttempt, OutboundCall, type UpstreamHandler } from './outbound/call.js';
import {
  breakOff,
  type CallWay,
  endAttempt,
  expire,
  expireIdle,
  finish,
  judgeEnd,
  nextStep,
  refuse,
} from './outbound/call-end.js';
import * as events from './outbound/call-events.js';
import { awaitModel, namesModel, readModel } from './outbound/called-model/called-model.js';
import type { EngineRequests } from './outbound/engine-requests.js';
import { leaveUpstream, onFallbackRequest } from './outbound/fallback/chain.js';
import { divert } from './outbound/fallback/primary.js';
import * as hedging from './outbound/hedging.js';
import { KEY_UNREAD } from './outbound/parameter-key.js';
import { pickEndpoint } from './outbound/pick.js';
import { limitTo } from './outbound/traffic-shift.js';
import { type OutboundDeps, UpstreamState, type WaitingCallHandler } from './outbound/upstream-state.js';
import { NEVER } from './relay/call.js';
import { beginAttempt, beginHedge } from './relay/call-attempts.js';
import { Next } from './relay/next.js';
import { creditRequest } from './relay/request-buffer.js';
import { type Match, type Routes, timeAllowedMs } from './relay/route-table.js';
import type { SizeReason } from './telemetry/size-counts.js';
import { isGrpcRequest, RejectedStream } from './transport/not-grpc.js';
import type { Session } from './transport/session.js';

/**
 * The way of a call from the local application to an upstream, top-down: accept, fault and split, route, deadline, breaker,
 * pick, attempt. outbound/call-end.ts goes on at the end of the attempt: retry, fallback or the reply. Each step that refuses a
 * call returns the reply, and each that keeps it returns `Next.handled`.
 */
export class Outbound implements CallWay, WaitingCallHandler {
  readonly name: string;
  /** What the calls share, and how it changes. */
  readonly state: UpstreamState;

  constructor(config: UpstreamConfig, deps: OutboundDeps) {
    this.name = config.name;
    this.state = new UpstreamState(config, deps, this);
  }

  // ---- arrival ----

  /** A new stream of the application. */
  accept(session: Session, stream: Stream, block: HeaderBlock, ended: boolean): void {
    const { state } = this;
    const view = headerViewOf(block);
    if (!isGrpcRequest(view)) return void new RejectedStream(session, stream, ended);
    const call = new OutboundCall(state.context, this, session, stream, block, ended);
    const { routes, models } = state.router;
    if (models !== null && this.awaitModel(call, Entry.own)) return;
    this.enter(call, models === null ? routes : state.router.routesOf(call), view.path);
  }

  /** The call begins: it is counted, under its model where that matters, and shifted or taken. */
  private enter(call: OutboundCall, routes: Routes, path: string): void {
    const { state } = this;
    const match = routes.match(path);
    call.stats = match === null ? routes.statsOf('other') : match.stats;
    call.stats.begin();
    if (match === null) return refuse(this, call, state.router.unknownRoute(path));
    if (state.activeShift !== null && state.activeShift.apply(call, match, this) === Next.handled) return;
    this.take(call, match);
  }

  /** Routes of this upstream may be for some models only, whatever the upstream before asked for. */
  takeSplit(call: OutboundCall, match: Match): void {
    if (this.state.router.models !== null && this.awaitModel(call, Entry.split)) return;
    this.take(call, this.matchFor(call) ?? match);
  }

  /** Where calls differ by the model that they name. True: the call waits until that can be read. */
  private awaitModel(call: OutboundCall, entry: Entry): boolean {
    const match = namesModel(call) ? this.matchOf(headerViewOf(call.block).path) : null;
    if (match === null || awaitModel(call) !== Next.handled) return false;
    call.ensureWait().entry = entry;
    // Until then it has the limits that calls of its method have whatever they name.
    limitTo(call, match);
    return true;
  }

  /** The model that the call names has been read, or cannot be. */
  private goOn(call: OutboundCall): void {
    const { state } = this;
    const wait = call.ensureWait();
    const { entry } = wait;
    if (awaitModel(call) === Next.handled) return;
    wait.entry = Entry.done;
    wait.isForRequest = false;
    const { path } = headerViewOf(call.block);
    const match = this.matchFor(call);
    if (entry === Entry.own) return this.enter(call, state.router.routesOf(call), path);
    if (match === null) return refuse(this, call, state.router.unknownRoute(path));
    this.take(call, match);
  }

  /** The route of a call, by the model it names where that is known. */
  private matchFor(call: OutboundCall): Match | null {
    const { state } = this;
    if (state.router.models !== null && namesModel(call)) readModel(call);
    return state.router.routesOf(call).match(headerViewOf(call.original).path);
  }

  take(call: OutboundCall, match: Match): void {
    const { state } = this;
    const { hedge, fallback } = match.plan.config;
    if (hedge !== undefined || fallback !== undefined) call.methodState = state.methodStates.of(match);
    const refusal = state.router.route(call, match);
    if (refusal !== null) return refuse(this, call, refusal);
    const allowedMs = timeAllowedMs(call.match.plan.config, call.block);
    call.deadlineMs = call.startMs + allowedMs;
    if (allowedMs <= 0) return this.onDeadline(call);

    if (fallback !== undefined && divert(call, this) === Next.handled) return;
    this.begin(call);
  }

  /** Admits the call as one more for the endpoints. */
  begin(call: OutboundCall): void {
    const { state } = this;
    const refusal =
      state.breaker.admit(call) ?? (call.fallback === null ? null : state.router.leaveOutdated(call));
    if (refusal !== null) return refuse(this, call, refusal);
    call.cluster.budget.deposit(call.startMs);
    this.attempt(call);
  }

  // ---- attempts ----

  /** Begins an attempt at the best endpoint there is. Only a first attempt may probe an ejected endpoint. */
  attempt(call: OutboundCall): void {
    const { state } = this;
    const now = state.context.nowMs;
    const isOfEngine = call.plan.engine !== null;
    if (isOfEngine && state.engineCalls.awaitRequest(call) === Next.handled) return;
    if (isOfEngine && this.followRequest(call)) return;
    if (call.routeDecision !== null && call.routeDecision.key === KEY_UNREAD && this.awaitKey(call)) return;
    if (isOfEngine) state.parameterKeys.readPrompt(call);
    if (isOfEngine && call.crash !== null) {
      const refusal = state.poison.refusalAgain(call, now);
      if (refusal !== null) return refuse(this, call, refusal);
    }
    const holder = isOfEngine ? state.engineCalls.endpointFor(call) : undefined;
    let probed: Endpoint | undefined;
    if (call.attemptsHere === 0 || call.isCold) {
      if (!state.poison.isIdle) {
        if (state.poison.awaitRequest(call, now) === Next.handled) return;
        const refusal = state.poison.refusal(call, now);
        if (refusal !== null) return refuse(this, call, refusal);
      }
      if (holder === undefined && isProbeDue(call.cluster, now) && !call.isOfFront) {
        if (state.probes.awaitRequest(call, now) === Next.handled) return;
        probed = state.probes.take(call, now);
      }
    }
    const endpoint = holder ?? probed ?? pickEndpoint(call, now);
    if (endpoint === undefined) return this.onNoEndpoint(call);
    if (
      (call.breaker !== null || call.cluster.maxPending > 0) &&
      probed === undefined &&
      !endpoint.pool.hasRoom
    ) {
      const refusal = state.breaker.admitToQueue(call);
      if (refusal !== null) return refuse(this, call, refusal);
    }
    const attempt = events.makeAttempt(state, call, endpoint, now);
    if (probed !== undefined) attempt.probe = endpoint.ejection.probe;
    const hedgeMs = call.methodState === null ? NEVER : hedging.hedgeDueMs(call, attempt, now);
    beginAttempt(call, attempt, attemptDueMs(call, now), hedgeMs);
  }

  /** An Abort goes to the upstream that has its request now. True: it has gone there. */
  private followRequest(call: OutboundCall): boolean {
    const target = this.state.engineCalls.otherUpstreamFor(call);
    if (target === undefined || call.attempts > 0) return false;
    if (target.takeOver(call) === Next.continue) return false;
    if (call.fallback !== null) call.fallback.isAway = true;
    return true;
  }

  /** The call sticks to an endpoint by something in its request. True: it waits for more of that. */
  private awaitKey(call: OutboundCall): boolean {
    const { upstream, router, parameterKeys } = this.state;
    router.renewKey(call);
    if (call.routeDecision!.key !== KEY_UNREAD) return false;
    return parameterKeys.awaitKey(call, upstream.hashOnOf(call.cluster)!) === Next.handled;
  }

  private onNoEndpoint(call: OutboundCall): void {
    const { state } = this;
    if (state.coldStart !== null && call.cluster.isKnown && state.coldStart.hold(call)) return;
    const refusal = call.cluster.isKnown ? state.router.noEndpoint() : state.breaker.waitForDiscovery(call);
    if (refusal !== null) refuse(this, call, refusal);
  }

  /** The first attempt is late: another one goes to another endpoint, if it may. */
  private hedge(call: OutboundCall, first: OutboundAttempt): void {
    const now = this.state.context.nowMs;
    if (hedging.postponeHedge(call, first, now)) return;
    const endpoint = hedging.takeHedge(call, first, now);
    if (endpoint === undefined) return;
    beginHedge(call, events.makeAttempt(this.state, call, endpoint, now), attemptDueMs(call, now));
  }

  takeOver(call: OutboundCall): Next {
    const match = this.matchFor(call);
    if (match === null) return Next.continue;
    leaveUpstream(call);
    call.handler = this;
    call.methodState = null;
    const refusal = this.state.router.route(call, match);
    if (refusal === null) this.begin(call);
    else refuse(this, call, refusal);
    return Next.handled;
  }

  // ---- calls that wait ----

  onRequestReady(call: OutboundCall): void {
    if (call.observer !== null) call.observer.onRequest(call);
    if (call.fallback !== null) onFallbackRequest(call, call.fallback);
    if (call.requestEnded && call.plan.attemptTimeoutMs > 0) retimeHeaders(call, this.state.context.nowMs);
    if (!call.isWaitingForRequest) return;
    if (call.requestEnded || !call.isReplayable || this.state.parameterKeys.isReadable(call))
      this.resume(call);
    else creditRequest(call, call.requestBytes); // There is room to buffer the rest.
  }

  onResume(call: OutboundCall): void {
    const attempt = call.attempt as OutboundAttempt | null;
    if (attempt !== null && !attempt.isOver) this.hedge(call, attempt);
    else if (attempt !== null && call.engineCall?.isHolding) judgeEnd(this, call, attempt);
    else this.resume(call);
  }

  /** What the call waited for is here, or its wait is over. */
  private resume(call: OutboundCall): void {
    const { state } = this;
    if (call.wait !== null && call.wait.entry !== Entry.done) return this.goOn(call);
    state.breaker.leave(call);
    if (call.wait !== null) call.wait.isForRequest = false;
    const refusal = state.router.leaveOutdated(call);
    if (refusal !== null) return refuse(this, call, refusal);
    if (call.isCold && state.coldStart?.holdOn(call)) return;
    this.attempt(call);
  }

  /** What it waited for may be here, after a change of the upstream. */
  resumeAfterChange(call: OutboundCall): void {
    const refusal = this.state.router.reroute(call);
    if (refusal === null) this.attempt(call);
    else refuse(this, call, refusal);
  }

  refuseRetired(call: OutboundCall): void {
    refuse(this, call, this.state.router.noEndpoint());
  }

  // ---- the end of an attempt, and of the call (outbound/call-end.ts) ----

  onAttemptEnd(call: OutboundCall, attempt: OutboundAttempt): void {
    endAttempt(this, call, attempt);
  }

  /** The timeout of an attempt ends it as any other end does. */
  onAttemptTimeout(call: OutboundCall, attempt: OutboundAttempt): void {
    events.requestKeepalive(this.state, attempt);
    endAttempt(this, call, attempt);
  }

  nextStep(call: OutboundCall): void {
    nextStep(this, call);
  }

  onNotResumed(call: OutboundCall, attempt: OutboundAttempt, why: string): void {
    breakOff(this, call, attempt, why);
  }

  onDeadline(call: OutboundCall): void {
    expire(this.state, call);
  }

  onIdle(call: OutboundCall): void {
    expireIdle(call);
  }

  onFinish(call: OutboundCall, status: number): void {
    finish(this.state, call, status);
  }

  // ---- what decides nothing about its way (outbound/call-events.ts) ----

  requestHeaders(call: OutboundCall): StableList {
    return events.requestHeaders(this.state, call);
  }

  requestExtras(call: OutboundCall, attempt: OutboundAttempt): readonly HeaderField[] {
    return events.requestExtras(this.state, call, attempt);
  }

  onStopped(call: OutboundCall, attempt: OutboundAttempt): void {
    events.onStopped(this.state, call, attempt);
  }

  onRequestNotKept(call: OutboundCall, why: SizeReason): void {
    events.onRequestNotKept(this.state, call, why);
  }

  onBufferReleased(call: OutboundCall): void {
    events.onBufferReleased(this.state, call);
  }

  onStreaming(call: OutboundCall, attempt: OutboundAttempt): void {
    events.onStreaming(this.state, call, attempt);
  }

  onFirstMessage(call: OutboundCall, attempt: OutboundAttempt): void {
    events.onFirstMessage(this.state, call, attempt);
  }

  onLongResponse(call: OutboundCall, attempt: OutboundAttempt): void {
    events.onLongResponse(this.state, call, attempt);
  }

  onNotUnary(call: OutboundCall): void {
    events.onNotUnary(this.state, call);
  }

  onCountedMessages(call: OutboundCall, attempt: OutboundAttempt): void {
    events.onCountedMessages(this.state, call, attempt);
  }

  mayLeaveSilent(call: OutboundCall, attempt: OutboundAttempt): boolean {
    return events.mayLeaveSilent(this.state, call, attempt);
  }

  onResumed(call: OutboundCall): void {
    events.onResumed(this.state, call);
  }

  // ---- the upstream, as others ask for it ----

  get engineRequests(): EngineRequests<OutboundCall> {
    return this.state.engineCalls.byId;
  }

  find(name: string): UpstreamHandler | undefined {
    return this.state.find(name);
  }

  matchOf(path: string): Match | null {
    return this.state.router.routes.match(path);
  }
}
