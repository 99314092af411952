import type { Cluster } from './cluster/cluster.js';
import type { Endpoint } from './cluster/endpoint.js';
import { type MakeCluster, Upstream } from './cluster/upstream.js';
import type { UpstreamConfig } from './config/model.js';
import { isAttemptTimeoutFirst } from './core/deadline/deadline.js';
import { AttemptTrait } from './core/outcome/classify-attempt.js';
import {
  type LocalReplyReason,
  LocalReplyReasons,
  reasonMessage,
} from './core/outcome/local-reply-reason.js';
import { AttemptEnd, Outcome } from './core/outcome/outcome.js';
import { NO_PROBE } from './core/outlier/ejection.js';
import { decideRetry } from './core/retry/decide-retry.js';
import { DEADLY, PoisonTable, REMEMBERED_MS } from './core/retry/poison-requests.js';
import { RetryState } from './core/retry/retry.js';
import type { UpstreamSnapshot } from './discovery/snapshot.js';
import { headerViewOf } from './http2/header-view.js';
import type { HeaderField } from './http2/hpack/field.js';
import type { HeaderBlock, StableList } from './http2/hpack/header-list.js';
import type { Stream } from './http2/stream.js';
import { noteLimit, retimed, timeToldMs, withLimit } from './outbound/attempt-timeout.js';
import type { ShiftTarget } from './outbound/call.js';
import { type Failure, OutboundAttempt, OutboundCall } from './outbound/call.js';
import { CircuitBreaker } from './outbound/circuit-breaker.js';
import { EjectionProbes } from './outbound/ejection-probe.js';
import { FallbackChain, type FallbackTarget, type Primary } from './outbound/fallback.js';
import {
  hedgeDueMs,
  leaveToOtherAttempt,
  noteSuccess,
  postponeHedge,
  recordLoss,
  takeHedge,
} from './outbound/hedging.js';
import { MethodStates } from './outbound/method-state.js';
import { recordOutcome } from './outbound/outcome-recorder.js';
import { PoisonWatch } from './outbound/poison-requests.js';
import { isServedNowhere, retryFacts } from './outbound/retry.js';
import { Router } from './outbound/router.js';
import { TrafficShift } from './outbound/traffic-shift.js';
import { type Call, NEVER } from './relay/call.js';
import { beginAttempt, beginHedge, settleOn, stopAttempts } from './relay/call-attempts.js';
import { resumeAt } from './relay/call-timer.js';
import type { ActiveFaults } from './relay/fault-injection.js';
import {
  forwardExtras,
  forwardRequest,
  type RequestProfile,
  requestProfile,
} from './relay/header-rewrite.js';
import { localReplyFor, makeLocalReply } from './relay/local-reply.js';
import { isGrpcRequest, RejectedStream } from './relay/rejected-stream.js';
import { creditRequest } from './relay/request-buffer.js';
import { finishWith, sendLocalReply } from './relay/response.js';
import { type Match, timeAllowedMs } from './relay/route-table.js';
import type { DataPlaneContext } from './transport/context.js';
import type { Session } from './transport/session.js';

export class Outbound implements Primary, FallbackTarget, ShiftTarget {
  private readonly probes = new EjectionProbes();
  private profile: RequestProfile;
  readonly target: Upstream;
  private readonly router: Router;
  readonly breaker: CircuitBreaker;
  /** What is remembered for routes that hedge or fall back. */
  readonly methodStates: MethodStates;
  private readonly fallbacks: FallbackChain;
  readonly trafficShift: TrafficShift;
  readonly poison: PoisonWatch;
  /** The same while a route or a drill needs it. */
  private activeShift: TrafficShift | null = null;
  readonly name: string;
  /** Counts for `/metrics`. */
  retries = 0;
  attempts = 0;

  constructor(
    private config: UpstreamConfig,
    makeUpstream: MakeCluster,
    private readonly context: DataPlaneContext,
    replayBytes: number,
    /** Another upstream of this sidecar, by its name. */
    find: (name: string) => Outbound | undefined = () => undefined,
    /** Of all upstreams of this sidecar. */
    poison = new PoisonTable(),
  ) {
    this.name = config.name;
    this.poison = new PoisonWatch(config.name, poison);
    this.profile = profileOf(config);
    this.target = new Upstream(config, makeUpstream);
    const refuse = (call: OutboundCall, reason: LocalReplyReason, message: string): void =>
      this.refuse(call, reason, message);
    this.router = new Router(config, this.target, context, replayBytes, refuse);
    this.breaker = new CircuitBreaker(config.name, this.target, context, refuse);
    this.methodStates = new MethodStates(context.random, config.routes);
    this.fallbacks = new FallbackChain(this, find, () => context.nowMs);
    this.trafficShift = new TrafficShift(this, find, context);
    this.breaker.configure(config);
    this.shape(config);
    this.settle();
  }

  /** Takes over a changed file. */
  update(config: UpstreamConfig): void {
    if (config.tls !== this.config.tls) this.profile = profileOf(config);
    this.config = config;
    this.router.update(config);
    this.target.update(config);
    this.methodStates.update(config.routes);
    this.breaker.configure(config);
    this.shape(config);
    this.settle();
  }

  private shape({ routes }: UpstreamConfig): void {
    this.trafficShift.update(routes);
    this.activeShift = this.trafficShift.isNeeded ? this.trafficShift : null;
  }

  /** Calls are struck by these; null: by none. */
  setFaults(faults: ActiveFaults | null): void {
    this.trafficShift.setFaults(faults);
    this.activeShift = this.trafficShift.isNeeded ? this.trafficShift : null;
  }

  /** Takes over what discovery found out, whole; calls that waited for it go on. */
  apply(knowledge: UpstreamSnapshot): void {
    // A reload may have ended discovery while an answer was on its way.
    if (this.config.consul === undefined) return;
    this.router.routes.forgetRules();
    this.target.apply(knowledge);
    this.settle();
  }

  private settle(): void {
    this.probes.configure(this.config.routes, this.target.hasRetries);
    this.resumeWaiting();
  }

  private resumeWaiting(): void {
    if (this.breaker.waitingCalls === 0) return;
    this.context.nowMs = this.context.clock.now();
    for (const call of this.breaker.takeWaiting()) if (this.router.reroute(call)) this.next(call);
  }

  /** Every cluster of endpoints, the one of most calls first. */
  get clusters(): readonly Cluster[] {
    return this.target.all;
  }

  /** The only cluster of an upstream without traffic rules, else the first. */
  get cluster(): Cluster {
    return this.target.all[0]!;
  }

  /** There is a new identity, or the first: calls that waited for it go on. */
  refreshConnections(): void {
    for (const upstream of this.target.all) upstream.refreshConnections();
    this.resumeWaiting();
  }

  expireConnections(): void {
    for (const upstream of this.target.all) upstream.expireConnections();
  }

  /** No new calls; those under way end in peace. */
  retire(): void {
    for (const call of this.breaker.takeWaiting()) this.router.answerNoEndpoint(call);
    for (const upstream of this.target.all) upstream.retire();
  }

  stop(): void {
    this.trafficShift.stop();
    for (const upstream of this.target.all) upstream.stop();
  }

  // ---- the story ----

  accept(link: Session, stream: Stream, block: HeaderBlock, ended: boolean): void {
    const facts = headerViewOf(block);
    if (!isGrpcRequest(facts)) return void new RejectedStream(link, stream, ended);
    const call = new OutboundCall(this.context, this, link, stream, block, ended);
    const { routes } = this.router;
    const match = routes.match(facts.path);
    call.stats = match === null ? routes.statsOf('other') : match.stats;
    call.stats.begin();
    if (match === null) return void this.router.answerUnknownRoute(call, facts.path);
    if (this.activeShift?.takes(call, match, facts.path)) return;
    this.take(call, match, facts.path);
  }

  matchOf(path: string): Match | null {
    return this.router.routes.match(path);
  }

  /** A call is run here, as our route says, whichever upstream it was made to. */
  take(call: OutboundCall, match: Match, path: string): void {
    const { hedge, fallback } = match.plan.config;
    if (hedge !== undefined || fallback !== undefined) call.methodState = this.methodStates.of(match);
    if (!this.router.route(call, match, path)) return;

    const allowed = timeAllowedMs(call.match.plan.config, call.block);
    call.deadlineMs = call.startMs + allowed;
    if (allowed <= 0) return this.onDeadline(call);

    if (fallback !== undefined && this.fallbacks.divert(call)) return;
    this.begin(call);
  }

  /** It is one more call for the endpoints. */
  begin(call: OutboundCall): void {
    if (!this.breaker.admits(call)) return;
    if (call.fallback !== null && call.cluster.isRetired && !this.router.reroute(call)) return;
    call.cluster.budget.deposit(call.startMs);
    this.next(call);
  }

  adopt(call: OutboundCall): boolean {
    const { path } = headerViewOf(call.original);
    const match = this.router.routes.match(path);
    if (match === null) return false;
    call.leaveBreaker();
    call.handler = this;
    call.block = call.original;
    call.routeDecision = null;
    call.methodState = null;
    call.retry = null;
    call.tried = [];
    if (!this.router.route(call, match, path)) return true;
    this.begin(call);
    return true;
  }

  /** Starts an attempt at the best endpoint there is. */
  private next(call: OutboundCall): void {
    const now = this.context.nowMs;
    const { cluster } = call;
    let probed: Endpoint | undefined;
    let endpoint: Endpoint | undefined;
    if (call.attemptsHere === 0) {
      if (!this.poison.isIdle && this.isStopped(call, now)) return;
      // Only a first attempt may be an ejected endpoint's trial: a retry is somebody's last chance.
      if (cluster.isProbeDue(now)) {
        if (this.probes.waits(call, now)) return;
        probed = this.probes.take(call, now);
      }
      endpoint = probed ?? cluster.pick(call.tried as Endpoint[], now, call.routeDecision?.key);
    } else {
      endpoint = cluster.pickAgain(call.tried as Endpoint[], now, call.routeDecision?.key);
    }
    if (endpoint === undefined) return this.withoutEndpoint(call);
    if (
      call.breaker !== null &&
      probed === undefined &&
      !endpoint.pool.hasRoom &&
      !this.breaker.mayQueue(call)
    )
      return;
    const attempt = this.makeAttempt(call, endpoint, now);
    if (probed !== undefined) attempt.probe = endpoint.ejection.probe;
    const copyMs = call.methodState === null ? NEVER : hedgeDueMs(call, attempt, now);
    beginAttempt(call, attempt, this.attemptDueMs(call, now), copyMs);
  }

  /** What has crashed models is not begun: it waits for the rest of its request, or is refused. */
  private isStopped(call: OutboundCall, nowMs: number): boolean {
    if (this.poison.waits(call, nowMs)) return true;
    if (!this.poison.refuses(call, nowMs)) return false;
    call.hasCrashed = true;
    const values = { crashes: DEADLY, upstream: this.name, minutes: REMEMBERED_MS / 60_000 };
    this.refuse(call, LocalReplyReasons.poison, reasonMessage(LocalReplyReasons.poison, values));
    return true;
  }

  private makeAttempt(call: OutboundCall, endpoint: Endpoint, nowMs: number): OutboundAttempt {
    const attempt = new OutboundAttempt(call, endpoint, nowMs);
    endpoint.inFlight++;
    endpoint.attempts++;
    this.attempts++;
    return attempt;
  }

  private attemptDueMs(call: OutboundCall, nowMs: number): number {
    const limitMs = call.match.plan.config.attemptTimeoutMs;
    const left = call.deadlineMs - nowMs;
    return isAttemptTimeoutFirst(limitMs, left) ? nowMs + limitMs : NEVER;
  }

  /** The first copy is late: another one goes to another endpoint, if it may. */
  private sendCopy(call: OutboundCall, first: OutboundAttempt): void {
    const now = this.context.nowMs;
    if (postponeHedge(call, first, now)) return;
    const endpoint = takeHedge(call, first, now);
    if (endpoint === undefined) return;
    beginHedge(call, this.makeAttempt(call, endpoint, now), this.attemptDueMs(call, now));
  }

  onAttemptEnd(call: OutboundCall, attempt: OutboundAttempt): void {
    if (attempt.isLimitTold) noteLimit(call, attempt, this.context.nowMs);
    const outcome = recordOutcome(call, attempt, this.context);
    if (call.observer !== null) call.observer.onAttemptEnd(call, attempt);
    if (outcome === Outcome.success) {
      if (!this.poison.isIdle) this.poison.answered(call, attempt);
      if (call.methodState !== null) this.remember(call, attempt);
      return finishWith(call, attempt);
    }
    if ((attempt.traits & AttemptTrait.modelCrashed) !== 0)
      this.poison.crashed(call, attempt, this.context.nowMs);
    if (call.hedge !== null) {
      if (leaveToOtherAttempt(call, attempt, outcome, this.context.nowMs)) return;
      settleOn(call, attempt);
      return this.fail(call, this.failureOf(call, attempt), outcome);
    }
    const isUnarmed = attempt.ended === AttemptEnd.unconnected && !call.cluster.hasIdentity;
    if (isUnarmed && this.breaker.wait(call)) return;
    if (this.tryAgain(call, attempt)) return;
    this.fail(call, this.failureOf(call, attempt), outcome);
  }

  private failureOf(call: OutboundCall, attempt: OutboundAttempt): Failure {
    if (attempt.ended === AttemptEnd.trailers && attempt.trailers !== null)
      return { reason: null, message: '', attempt };
    const limitMs = call.match.plan.config.attemptTimeoutMs;
    const { reason, message } = localReplyFor(attempt, attempt.endpoint.label, limitMs);
    return { reason, message, attempt };
  }

  /** It can go nowhere. */
  private refuse(call: OutboundCall, reason: LocalReplyReason, message: string): void {
    if (call.methodState !== null && call.deadlineMs === NEVER)
      call.deadlineMs = call.startMs + timeAllowedMs(call.match.plan.config, call.block);
    this.fail(call, { reason, message, attempt: null }, Outcome.fault);
  }

  /** What it falls back to comes next, or the answer. */
  private fail(call: OutboundCall, failure: Failure, outcome: Outcome): void {
    if (!call.isCommitted) {
      if (call.fallback?.isAway) {
        // No other endpoint is asked, so that this is what there is to say.
        if (call.hasCrashed) call.fallback.failure ??= failure;
        return call.fallback.home.nextStep(call);
      }
      if (call.methodState !== null && this.fallbacks.takes(call, failure, outcome)) return;
    }
    this.giveUp(call, failure);
  }

  giveUp(call: OutboundCall, { reason, message, attempt }: Failure): void {
    if (reason === null) finishWith(call, attempt!);
    else sendLocalReply(call, { reason, message, metadata: null });
  }

  /** The primary answered well: what is remembered of that. */
  private remember(call: OutboundCall, attempt: OutboundAttempt): void {
    const care = call.methodState!;
    if (care.hedging !== null) noteSuccess(call, attempt, this.context.nowMs);
    if (care.chain.length > 0) this.fallbacks.answered(call, attempt);
  }

  onStopped(call: OutboundCall, attempt: OutboundAttempt): void {
    recordOutcome(call, attempt, this.context);
    if (attempt.ended === AttemptEnd.superseded) recordLoss(call, attempt, this.context.nowMs);
  }

  /** There is none, or nobody has said yet which there are. */
  private withoutEndpoint(call: OutboundCall): void {
    if (call.cluster.isKnown) this.router.answerNoEndpoint(call);
    else this.breaker.waitForDiscovery(call);
  }

  // ---- in detail ----

  private tryAgain(call: OutboundCall, attempt: OutboundAttempt): boolean {
    if (call.hasCrashed) return false;
    const now = this.context.nowMs;
    call.tried = [...call.tried, attempt.endpoint];
    if ((attempt.traits & AttemptTrait.modelNotServed) !== 0 && isServedNowhere(call, attempt, now))
      return false;
    // Rules changed meanwhile, and its cluster is gone.
    if (call.cluster.isRetired && !call.isCommitted && !this.router.reroute(call)) return true;
    call.retry ??= new RetryState();
    const { retry } = call;
    retry.attempts = call.attemptsHere;
    const wait = decideRetry({
      state: retry,
      facts: retryFacts(call, attempt, now),
      route: call.match.plan.config,
      budget: call.cluster.budget,
      random: this.context.random,
      nowMs: now,
    });
    if (wait < 0) return false;
    call.takeExtra();
    this.retries++;
    call.stats!.retries++;
    if (wait === 0) this.next(call);
    else resumeAt(call, now + wait);
    return true;
  }

  requestHeaders(call: Call): StableList {
    return forwardRequest(call.block, this.profile);
  }

  requestExtras(call: OutboundCall, attempt: OutboundAttempt): readonly HeaderField[] {
    const leftMs = timeToldMs(call, attempt, this.context.nowMs);
    const extras = forwardExtras(call.block, this.profile, leftMs, call.marker, attempt.number);
    return this.config.tls === 'mesh' ? withLimit(extras, call, attempt) : extras;
  }

  onRequestReady(call: OutboundCall): void {
    if (call.observer !== null) call.observer.onRequest(call);
    if (call.fallback !== null) call.fallback.home.onRequestReady(call);
    if (call.requestEnded && call.plan.attemptTimeoutMs > 0) this.tellLimit(call);
    if (!call.isWaiting) return;
    // As long as there is room to keep it, the rest is waited for.
    if (call.requestEnded || !call.isReplayable) this.goOn(call);
    else creditRequest(call, call.requestBytes);
  }

  /** Headers and the end of a small request arrive at once, so that its headers wait to be written. */
  private tellLimit(call: OutboundCall): void {
    const attempt = call.attempt as OutboundAttempt | null;
    if (attempt === null || attempt.isOver || attempt.stream === null) return;
    if (attempt.stream.headers === null || !call.plan.holdsResponse) return;
    const extras = retimed(attempt.stream.headerExtras, call, attempt, this.context.nowMs);
    attempt.session!.connection.replaceExtras(attempt.stream, extras);
  }

  onBufferReleased(call: OutboundCall): void {
    if (call.plan.holdsResponse) call.cluster.sweep?.noteModel(call);
    if (!this.poison.isIdle) this.poison.note(call);
  }

  onResume(call: OutboundCall): void {
    const attempt = call.attempt as OutboundAttempt | null;
    if (attempt !== null && !attempt.isOver) this.sendCopy(call, attempt);
    else this.goOn(call);
  }

  /** It need not wait any longer. */
  private goOn(call: OutboundCall): void {
    this.breaker.leave(call);
    call.isWaiting = false;
    if (call.cluster.isRetired && !this.router.reroute(call)) return;
    this.next(call);
  }

  onStreaming(call: OutboundCall, attempt: OutboundAttempt): void {
    if (attempt.probe !== NO_PROBE) this.probes.answered(call, attempt, this.context.nowMs);
    if (call.fallback !== null && !call.fallback.isAway) this.fallbacks.began(call);
  }

  onAttemptTimeout(call: OutboundCall, attempt: OutboundAttempt): void {
    this.onAttemptEnd(call, attempt);
  }

  onDeadline(call: OutboundCall): void {
    const attempt = call.attempt as OutboundAttempt | null;
    const isFault = attempt?.ended === AttemptEnd.deadline && attempt.outcome === Outcome.fault;
    if (isFault && call.methodState !== null && call.methodState.chain.length > 0)
      this.fallbacks.failed(call);
    call.degraded = '';
    const limitMs = Math.round(call.deadlineMs - call.startMs);
    const reply = makeLocalReply(LocalReplyReasons.deadlineExceeded, { limitMs });
    const waited = this.breaker.leave(call) ? ` while waiting for ${this.missing(call)}` : '';
    sendLocalReply(call, { ...reply, message: reply.message + waited });
  }

  private missing({ cluster }: OutboundCall): string {
    return cluster.isKnown ? 'an identity to connect with' : `the endpoints of ${this.name}, not known yet`;
  }

  onIdle(call: OutboundCall): void {
    stopAttempts(call, AttemptEnd.deadline);
    this.breaker.leave(call);
    call.degraded = '';
    sendLocalReply(call, makeLocalReply(LocalReplyReasons.idleTimeout, { limitMs: call.plan.idleTimeoutMs }));
  }

  onCancelled(call: OutboundCall): void {
    this.breaker.leave(call);
  }

  onFinish(call: OutboundCall, status: number): void {
    call.stats?.finish(status, this.context.nowMs - call.startMs);
    if (call.breaker !== null) call.leaveBreaker();
    if (call.fallback !== null) call.fallback.home.onFinish(call, status);
    if (call.observer !== null) call.observer.onFinish(call, status);
  }
}

function profileOf({ name, tls }: UpstreamConfig): RequestProfile {
  return requestProfile(tls === 'mesh' ? 'https' : 'http', name);
}
