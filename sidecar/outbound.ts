import type { Upstream } from './cluster/cluster.js';
import type { Endpoint } from './cluster/endpoint.js';
import { Clusters, type MakeUpstream } from './cluster/upstream.js';
import type { UpstreamConfig } from './config/model.js';
import { isAttemptTimeoutFirst } from './core/deadline/deadline.js';
import { type Reason, Reasons, reasonMessage } from './core/outcome/local-reply-reason.js';
import { Ended, Outcome } from './core/outcome/outcome.js';
import { NO_PROBE } from './core/outlier/ejection.js';
import { DEADLY, PoisonTable, REMEMBERED_MS } from './core/retry/poison-requests.js';
import { decideRetry, RetryState } from './core/retry/retry.js';
import type { UpstreamKnowledge } from './discovery/snapshot.js';
import { factsOf } from './http2/header-view.js';
import type { Field } from './http2/hpack/field.js';
import type { HeaderBlock, StableList } from './http2/hpack/header-list.js';
import type { Stream } from './http2/stream.js';
import { noteLimit, retimed, timeToldMs, withLimit } from './outbound/attempt-timeout.js';
import type { Shaped } from './outbound/call.js';
import { type Failure, OutboundAttempt, OutboundCall } from './outbound/call.js';
import { Bounds } from './outbound/circuit-breaker.js';
import { Trials } from './outbound/ejection-probe.js';
import { Detours, type Primary, type Refuge } from './outbound/fallback.js';
import { copyDueMs, isPutOff, leaveToOther, noteLoss, noteSuccess, takeCopy } from './outbound/hedging.js';
import { RouteCares } from './outbound/method-state.js';
import { modelOut, observe, saysCrashed } from './outbound/outcome-recorder.js';
import { PoisonWatch } from './outbound/poison-requests.js';
import { retryFacts } from './outbound/retry.js';
import { Direction } from './outbound/router.js';
import { Shaping } from './outbound/traffic-shift.js';
import { type Call, NEVER } from './relay/call.js';
import type { InjectedFaults } from './relay/fault-injection.js';
import {
  forwardExtras,
  forwardRequest,
  type RequestProfile,
  requestProfile,
} from './relay/header-rewrite.js';
import { failureAnswer } from './relay/local-reply.js';
import { isGrpcRequest, NotGrpc } from './relay/rejected-stream.js';
import { type Match, timeAllowedMs } from './relay/route-table.js';
import type { Relay } from './transport/context.js';
import type { Link } from './transport/session.js';

export class Outbound implements Primary, Refuge, Shaped {
  private readonly trials = new Trials();
  private profile: RequestProfile;
  readonly clusters: Clusters;
  private readonly direction: Direction;
  readonly bounds: Bounds;
  /** What is remembered for routes that hedge or fall back. */
  readonly cares: RouteCares;
  private readonly detours: Detours;
  readonly shapes: Shaping;
  readonly poison: PoisonWatch;
  /** The same while a route or a drill needs it. */
  private shaping: Shaping | null = null;
  readonly name: string;
  /** Counts for `/metrics`. */
  retries = 0;
  attempts = 0;

  constructor(
    private config: UpstreamConfig,
    makeUpstream: MakeUpstream,
    private readonly relay: Relay,
    replayBytes: number,
    /** Another upstream of this sidecar, by its name. */
    find: (name: string) => Outbound | undefined = () => undefined,
    /** Of all upstreams of this sidecar. */
    poison = new PoisonTable(),
  ) {
    this.name = config.name;
    this.poison = new PoisonWatch(config.name, poison);
    this.profile = profileOf(config);
    this.clusters = new Clusters(config, makeUpstream);
    const refuse = (call: OutboundCall, reason: Reason, message: string): void =>
      this.refuse(call, reason, message);
    this.direction = new Direction(config, this.clusters, relay, replayBytes, refuse);
    this.bounds = new Bounds(config.name, this.clusters, relay, refuse);
    this.cares = new RouteCares(relay.random, config.routes);
    this.detours = new Detours(this, find, () => relay.nowMs);
    this.shapes = new Shaping(this, find, relay);
    this.bounds.configure(config);
    this.shape(config);
    this.settle();
  }

  /** Takes over a changed file. */
  update(config: UpstreamConfig): void {
    if (config.tls !== this.config.tls) this.profile = profileOf(config);
    this.config = config;
    this.direction.update(config);
    this.clusters.update(config);
    this.cares.update(config.routes);
    this.bounds.configure(config);
    this.shape(config);
    this.settle();
  }

  private shape({ routes }: UpstreamConfig): void {
    this.shapes.update(routes);
    this.shaping = this.shapes.isNeeded ? this.shapes : null;
  }

  /** Calls are struck by these; null: by none. */
  setFaults(faults: InjectedFaults | null): void {
    this.shapes.setFaults(faults);
    this.shaping = this.shapes.isNeeded ? this.shapes : null;
  }

  /** Takes over what discovery found out, whole; calls that waited for it go on. */
  learn(knowledge: UpstreamKnowledge): void {
    // A reload may have ended discovery while an answer was on its way.
    if (this.config.discovery === undefined) return;
    this.direction.routes.forgetRules();
    this.clusters.learn(knowledge);
    this.settle();
  }

  private settle(): void {
    this.trials.configure(this.config.routes, this.clusters.hasRetries);
    this.resumeWaiting();
  }

  private resumeWaiting(): void {
    if (this.bounds.waitingCalls === 0) return;
    this.relay.nowMs = this.relay.clock.now();
    for (const call of this.bounds.takeWaiting()) if (this.direction.redirect(call)) this.next(call);
  }

  /** Every cluster of endpoints, the one of most calls first. */
  get upstreams(): readonly Upstream[] {
    return this.clusters.all;
  }

  /** The only cluster of an upstream without traffic rules, else the first. */
  get upstream(): Upstream {
    return this.clusters.all[0]!;
  }

  /** There is a new identity, or the first: calls that waited for it go on. */
  refreshConnections(): void {
    for (const upstream of this.clusters.all) upstream.refreshConnections();
    this.resumeWaiting();
  }

  expireConnections(): void {
    for (const upstream of this.clusters.all) upstream.expireConnections();
  }

  /** No new calls; those under way end in peace. */
  retire(): void {
    for (const call of this.bounds.takeWaiting()) this.direction.answerNoEndpoint(call);
    for (const upstream of this.clusters.all) upstream.retire();
  }

  stop(): void {
    this.shapes.stop();
    for (const upstream of this.clusters.all) upstream.stop();
  }

  // ---- the story ----

  accept(link: Link, stream: Stream, block: HeaderBlock, ended: boolean): void {
    const facts = factsOf(block);
    if (!isGrpcRequest(facts)) return void new NotGrpc(link, stream, ended);
    const call = new OutboundCall(this.relay, this, link, stream, block, ended);
    const { routes } = this.direction;
    const match = routes.match(facts.path);
    call.tally = match === null ? routes.tallyOf('other') : match.tally;
    call.tally.started++;
    call.tally.inFlight++;
    if (match === null) return void this.direction.answerUnknownRoute(call, facts.path);
    if (this.shaping?.takes(call, match, facts.path)) return;
    this.take(call, match, facts.path);
  }

  matchOf(path: string): Match | null {
    return this.direction.routes.match(path);
  }

  /** A call is run here, as our route says, whichever upstream it was made to. */
  take(call: OutboundCall, match: Match, path: string): void {
    const { hedge, fallback } = match.plan.config;
    if (hedge !== undefined || fallback !== undefined) call.care = this.cares.of(match);
    if (!this.direction.direct(call, match, path)) return;

    const allowed = timeAllowedMs(call.match.plan.config, call.block);
    call.deadlineMs = call.startMs + allowed;
    if (allowed <= 0) return this.onDeadline(call);

    if (fallback !== undefined && this.detours.leads(call)) return;
    this.begin(call);
  }

  /** It is one more call for the endpoints. */
  begin(call: OutboundCall): void {
    if (!this.bounds.admits(call)) return;
    if (call.detour !== null && call.upstream.isRetired && !this.direction.redirect(call)) return;
    call.upstream.budget.deposit(call.startMs);
    this.next(call);
  }

  adopt(call: OutboundCall): boolean {
    const { path } = factsOf(call.original);
    const match = this.direction.routes.match(path);
    if (match === null) return false;
    call.leaveBreaker();
    call.story = this;
    call.block = call.original;
    call.directed = null;
    call.care = null;
    call.retry = null;
    call.tried = [];
    if (!this.direction.direct(call, match, path)) return true;
    this.begin(call);
    return true;
  }

  /** Starts an attempt at the best endpoint there is. */
  private next(call: OutboundCall): void {
    const now = this.relay.nowMs;
    const { upstream } = call;
    let probed: Endpoint | undefined;
    let endpoint: Endpoint | undefined;
    if (call.attemptsHere === 0) {
      if (!this.poison.isIdle && this.isStopped(call, now)) return;
      // Only a first attempt may be an ejected endpoint's trial: a retry is somebody's last chance.
      if (upstream.isProbeDue(now)) {
        if (this.trials.waits(call, now)) return;
        probed = this.trials.take(call, now);
      }
      endpoint = probed ?? upstream.pick(call.tried as Endpoint[], now, call.directed?.key);
    } else {
      endpoint = upstream.pickAgain(call.tried as Endpoint[], now, call.directed?.key);
    }
    if (endpoint === undefined) return this.withoutEndpoint(call);
    if (call.breaker !== null && probed === undefined && !endpoint.pool.hasRoom && !this.bounds.mayWait(call))
      return;
    const attempt = this.makeAttempt(call, endpoint, now);
    if (probed !== undefined) attempt.probe = endpoint.ejection.probe;
    const copyMs = call.care === null ? NEVER : copyDueMs(call, attempt, now);
    call.begin(attempt, this.attemptDueMs(call, now), copyMs);
  }

  /** What has crashed models is not begun: it waits for the rest of its request, or is refused. */
  private isStopped(call: OutboundCall, nowMs: number): boolean {
    if (this.poison.waits(call, nowMs)) return true;
    if (!this.poison.refuses(call, nowMs)) return false;
    call.hasCrashed = true;
    const values = { crashes: DEADLY, upstream: this.name, minutes: REMEMBERED_MS / 60_000 };
    this.refuse(call, Reasons.poison, reasonMessage(Reasons.poison, values));
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
    const now = this.relay.nowMs;
    if (isPutOff(call, first, now)) return;
    const endpoint = takeCopy(call, first, now);
    if (endpoint === undefined) return;
    call.race(this.makeAttempt(call, endpoint, now), this.attemptDueMs(call, now));
  }

  onAttemptEnd(call: OutboundCall, attempt: OutboundAttempt): void {
    if (attempt.isLimitTold) noteLimit(call, attempt, this.relay.nowMs);
    const outcome = observe(call, attempt, this.relay);
    if (call.witness !== null) call.witness.onAttemptEnd(call, attempt);
    if (outcome === Outcome.success) {
      if (!this.poison.isIdle) this.poison.answered(call, attempt);
      if (call.care !== null) this.remember(call, attempt);
      return call.finishWith(attempt);
    }
    if (saysCrashed(call, attempt)) this.poison.crashed(call, attempt, this.relay.nowMs);
    if (call.rival !== null) {
      if (leaveToOther(call, attempt, outcome, this.relay.nowMs)) return;
      call.prevail(attempt);
      return this.fail(call, this.failureOf(call, attempt), outcome);
    }
    const isUnarmed = attempt.ended === Ended.unconnected && !call.upstream.isArmed;
    if (isUnarmed && this.bounds.wait(call)) return;
    if (this.tryAgain(call, attempt)) return;
    this.fail(call, this.failureOf(call, attempt), outcome);
  }

  private failureOf(call: OutboundCall, attempt: OutboundAttempt): Failure {
    if (attempt.ended === Ended.trailers && attempt.trailers !== null)
      return { reason: null, message: '', attempt };
    const limitMs = call.match.plan.config.attemptTimeoutMs;
    const { reason, message } = failureAnswer(attempt, attempt.endpoint.label, limitMs);
    return { reason, message, attempt };
  }

  /** It can go nowhere. */
  private refuse(call: OutboundCall, reason: Reason, message: string): void {
    if (call.care !== null && call.deadlineMs === NEVER)
      call.deadlineMs = call.startMs + timeAllowedMs(call.match.plan.config, call.block);
    this.fail(call, { reason, message, attempt: null }, Outcome.fault);
  }

  /** What it falls back to comes next, or the answer. */
  private fail(call: OutboundCall, failure: Failure, outcome: Outcome): void {
    if (!call.isCommitted) {
      if (call.detour?.isAway) {
        // No other endpoint is asked, so that this is what there is to say.
        if (call.hasCrashed) call.detour.failure ??= failure;
        return call.detour.home.goOn(call);
      }
      if (call.care !== null && this.detours.takes(call, failure, outcome)) return;
    }
    this.giveUp(call, failure);
  }

  giveUp(call: OutboundCall, { reason, message, attempt }: Failure): void {
    if (reason === null) call.finishWith(attempt!);
    else call.answer(reason, message);
  }

  /** The primary answered well: what is remembered of that. */
  private remember(call: OutboundCall, attempt: OutboundAttempt): void {
    const care = call.care!;
    if (care.hedging !== null) noteSuccess(call, attempt, this.relay.nowMs);
    if (care.chain.length > 0) this.detours.answered(call, attempt);
  }

  onStopped(call: OutboundCall, attempt: OutboundAttempt): void {
    observe(call, attempt, this.relay);
    if (attempt.ended === Ended.superseded) noteLoss(call, attempt, this.relay.nowMs);
  }

  /** There is none, or nobody has said yet which there are. */
  private withoutEndpoint(call: OutboundCall): void {
    if (call.upstream.isKnown) this.direction.answerNoEndpoint(call);
    else this.bounds.waitForDiscovery(call);
  }

  // ---- in detail ----

  private tryAgain(call: OutboundCall, attempt: OutboundAttempt): boolean {
    if (call.hasCrashed) return false;
    const now = this.relay.nowMs;
    call.tried = [...call.tried, attempt.endpoint];
    const model = modelOut(call, attempt);
    const { modelsOut, endpoints } = call.upstream;
    if (model !== undefined && modelsOut.areAllOut(model, attempt.endpoint, endpoints, now)) return false;
    // Rules changed meanwhile, and its cluster is gone.
    if (call.upstream.isRetired && !call.isCommitted && !this.direction.redirect(call)) return true;
    call.retry ??= new RetryState();
    const { retry } = call;
    retry.attempts = call.attemptsHere;
    const wait = decideRetry(
      retry,
      retryFacts(call, attempt, now),
      call.match.plan.config,
      call.upstream.budget,
      this.relay.random,
      now,
    );
    if (wait < 0) return false;
    call.takeExtra();
    this.retries++;
    call.tally!.retries++;
    if (wait === 0) this.next(call);
    else call.resumeAt(now + wait);
    return true;
  }

  requestHeaders(call: Call): StableList {
    return forwardRequest(call.block, this.profile);
  }

  requestExtras(call: OutboundCall, attempt: OutboundAttempt): readonly Field[] {
    const leftMs = timeToldMs(call, attempt, this.relay.nowMs);
    const extras = forwardExtras(call.block, this.profile, leftMs, call.mark, attempt.number);
    return this.config.tls === 'mesh' ? withLimit(extras, call, attempt) : extras;
  }

  onRequestReady(call: OutboundCall): void {
    if (call.witness !== null) call.witness.onRequest(call);
    if (call.detour !== null) call.detour.home.onRequestReady(call);
    if (call.requestEnded && call.plan.attemptTimeoutMs > 0) this.tellLimit(call);
    if (!call.isAwaiting) return;
    // As long as there is room to keep it, the rest is waited for.
    if (call.requestEnded || !call.isReplayable) this.goOn(call);
    else call.onSentUp(call.requestBytes);
  }

  /** Headers and the end of a small request arrive at once, so that its headers wait to be written. */
  private tellLimit(call: OutboundCall): void {
    const attempt = call.attempt as OutboundAttempt | null;
    if (attempt === null || attempt.isOver || attempt.stream === null) return;
    if (attempt.stream.headers === null || !call.plan.holdsResponse) return;
    const extras = retimed(attempt.stream.headerExtras, call, attempt, this.relay.nowMs);
    attempt.link!.connection.replaceExtras(attempt.stream, extras);
  }

  onForget(call: OutboundCall): void {
    if (call.plan.holdsResponse) call.upstream.scrutiny?.noteModel(call);
    if (!this.poison.isIdle) this.poison.note(call);
  }

  onResume(call: OutboundCall): void {
    const attempt = call.attempt as OutboundAttempt | null;
    if (attempt !== null && !attempt.isOver) this.sendCopy(call, attempt);
    else this.goOn(call);
  }

  /** It need not wait any longer. */
  private goOn(call: OutboundCall): void {
    this.bounds.leave(call);
    call.isAwaiting = false;
    if (call.upstream.isRetired && !this.direction.redirect(call)) return;
    this.next(call);
  }

  onStreaming(call: OutboundCall, attempt: OutboundAttempt): void {
    if (attempt.probe !== NO_PROBE) this.trials.answered(call, attempt, this.relay.nowMs);
    if (call.detour !== null && !call.detour.isAway) this.detours.began(call);
  }

  onAttemptTimeout(call: OutboundCall, attempt: OutboundAttempt): void {
    this.onAttemptEnd(call, attempt);
  }

  onDeadline(call: OutboundCall): void {
    const attempt = call.attempt as OutboundAttempt | null;
    const isFault = attempt?.ended === Ended.deadline && attempt.outcome === Outcome.fault;
    if (isFault && call.care !== null && call.care.chain.length > 0) this.detours.failed(call);
    call.degraded = '';
    const limitMs = Math.round(call.deadlineMs - call.startMs);
    const message = reasonMessage(Reasons.deadlineExceeded, { limitMs });
    const waited = this.bounds.leave(call) ? ` while waiting for ${this.missing(call)}` : '';
    call.answer(Reasons.deadlineExceeded, message + waited);
  }

  private missing({ upstream }: OutboundCall): string {
    return upstream.isKnown ? 'an identity to connect with' : `the endpoints of ${this.name}, not known yet`;
  }

  onIdle(call: OutboundCall): void {
    call.stop(Ended.deadline);
    this.bounds.leave(call);
    call.degraded = '';
    call.answer(
      Reasons.idleTimeout,
      reasonMessage(Reasons.idleTimeout, { limitMs: call.plan.idleTimeoutMs }),
    );
  }

  onCancelled(call: OutboundCall): void {
    this.bounds.leave(call);
  }

  onFinish(call: OutboundCall, status: number): void {
    call.tally?.finished(status, this.relay.nowMs - call.startMs);
    if (call.breaker !== null) call.leaveBreaker();
    if (call.detour !== null) call.detour.home.onFinish(call, status);
    if (call.witness !== null) call.witness.onFinish(call, status);
  }
}

function profileOf({ name, tls }: UpstreamConfig): RequestProfile {
  return requestProfile(tls === 'mesh' ? 'https' : 'http', name);
}
