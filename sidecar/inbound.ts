import { HEALTH_CHECK } from './codec/health.js';
import type { InboundConfig } from './config/model.js';
import type { MemoryReading } from './core/admission/memory-pressure.js';
import { Admission, type InboundQueue, QueueState } from './core/admission/queue.js';
import type { IntentionTable } from './core/authorization/intentions.js';
import type { ProcessEnd } from './core/health/process-end.js';
import { Reasons } from './core/outcome/local-reply-reason.js';
import { AttemptEnd, isNeverProcessed } from './core/outcome/outcome.js';
import { findFault } from './core/routing/fault-rule.js';
import type { HealthResponder } from './health/model/responder.js';
import { headerViewOf } from './http2/header-view.js';
import type { HeaderField } from './http2/hpack/field.js';
import type { HeaderBlock, StableList } from './http2/hpack/header-list.js';
import type { Stream } from './http2/stream.js';
import { type InboundAdmission, SharedLimits } from './inbound/admission.js';
import { type Caller, InboundAuthorization } from './inbound/authorization.js';
import { InboundCall, type Ticket } from './inbound/call.js';
import type { ActivityReport } from './inbound/model-activity.js';
import { ModelBackend, type ModelState, type ServedModel } from './inbound/model-backend.js';
import type { ModelRoutedCall, ModelRoutedHandler } from './inbound/model-routed-call.js';
import { type Enter, ModelRouter } from './inbound/model-router.js';
import { answerFailed } from './inbound/process-end-wait.js';
import { Attempt } from './relay/attempt.js';
import { attemptTimeoutIn } from './relay/attempt-timeout-header.js';
import { BufferAdmission } from './relay/buffer-admission.js';
import { type Call, NEVER } from './relay/call.js';
import { beginAttempt } from './relay/call-attempts.js';
import { setDeadline } from './relay/call-timer.js';
import type { ActiveFaults } from './relay/fault-injection.js';
import { injectFault } from './relay/fault-injection.js';
import { forwardExtras, forwardRequest, inboundProfile } from './relay/header-rewrite.js';
import { makeLocalReply } from './relay/local-reply.js';
import { isGrpcRequest, RejectedStream } from './relay/rejected-stream.js';
import { creditRequest, disableReplay, holdRequest, resumeRequest } from './relay/request-buffer.js';
import { failCall, finishWith, sendLocalReply, sendStored } from './relay/response.js';
import { Routes, timeAllowedMs } from './relay/route-table.js';
import type { DataPlaneContext } from './transport/context.js';
import type { Session } from './transport/session.js';

/** Services about the server rather than the model: they hold no place in the model's line, and pass whatever its limits. */
const BYPASS_SERVICES = [
  '/grpc.health.v1.Health/',
  '/grpc.reflection.v1.ServerReflection/',
  '/grpc.reflection.v1alpha.ServerReflection/',
];

/** A stream on which nothing moves for this long gives its place at the model to others. */
const QUIET_AFTER_MS = 1_000;

export class Inbound implements ModelRoutedHandler {
  /** The models, at least one. */
  readonly backends: readonly ModelBackend[];
  /** Null: there is one model, and calls are not asked for a name. */
  private readonly router: ModelRouter | null;
  private readonly shared: SharedLimits;
  private readonly authorization: InboundAuthorization;
  private routes: Routes;
  private readonly profile = inboundProfile();
  /** Requests that are collected before they join the line. */
  private readonly buffers: BufferAdmission;
  /** Null: questions about health go to the model. */
  health: HealthResponder | null = null;
  private faults: ActiveFaults | null = null;

  constructor(
    private config: InboundConfig,
    private readonly service: string,
    models: readonly ServedModel[],
    intentions: IntentionTable,
    private readonly context: DataPlaneContext,
    private readonly replayBytes: number,
    /** Absent: memory is not looked after. */
    readMemory?: () => MemoryReading,
  ) {
    this.shared = new SharedLimits(config, readMemory);
    this.buffers = new BufferAdmission(context, replayBytes);
    const isMany = models.length > 1;
    this.backends = models.map(
      (model) => new ModelBackend(model, config, service, context, this.shared, isMany),
    );
    for (const slot of this.backends) {
      slot.silentStreams = this.backends.find(({ pool }) => pool === slot.pool)!.silentStreams;
      slot.pool.onExhausted = () => this.makeWay(slot);
    }
    const enter: Enter = (call, at, path) => this.enterAt(call, at, path);
    this.router = isMany ? new ModelRouter(this.backends, service, enter) : null;
    this.authorization = new InboundAuthorization(intentions, service);
    this.routes = this.makeRoutes(config);
  }

  /** As `setIntentions`, with a changed configuration. */
  update(config: InboundConfig, intentions: IntentionTable, sessions: Iterable<Session>): void {
    this.config = config;
    this.routes = this.makeRoutes(config, this.routes);
    this.shared.update(config);
    for (const slot of this.backends) slot.limits.update(config);
    this.setIntentions(intentions, sessions);
    for (const slot of this.backends) this.pump(slot);
  }

  /** `sessions`: the open connections of peers; calls on them that are no longer allowed are ended. */
  setIntentions(intentions: IntentionTable, sessions: Iterable<Session>): void {
    this.context.nowMs = this.context.clock.now();
    this.authorization.intentions = intentions;
    for (const session of sessions) {
      const caller = session.identity as Caller | null;
      if (this.authorization.isAllowed(caller)) continue;
      for (const { owner } of session.connection.state.table.all()) {
        if (owner instanceof InboundCall && !this.authorization.permits(caller, owner.block))
          this.refuse(owner);
      }
    }
  }

  // ---- the story ----

  accept(session: Session, stream: Stream, block: HeaderBlock, ended: boolean): void {
    const facts = headerViewOf(block);
    if (!isGrpcRequest(facts)) return void new RejectedStream(session, stream, ended);
    const call =
      this.router === null
        ? new InboundCall(this.context, this, session, stream, block, ended)
        : this.router.makeCall(this.context, this, session, stream, block, ended);
    const match = this.routes.match(facts.path);
    call.stats = match === null ? this.routes.statsOf('other') : match.stats;
    call.stats.started++;
    call.stats.inFlight++;

    const caller = session.identity as Caller | null;
    call.caller = caller;
    if (caller === null && this.config.mtls === 'strict') {
      return sendLocalReply(call, makeLocalReply(Reasons.noIdentity));
    }
    if (!this.authorization.isAllowed(caller) && !this.authorization.permits(caller, block))
      return this.refuse(call);
    if (match === null)
      return sendLocalReply(call, makeLocalReply(Reasons.unknownRoute, { path: facts.path }));
    call.match = match;
    call.plan = match.plan;

    const allowed = timeAllowedMs(match.plan.config, block);
    if (allowed <= 0) return this.onDeadline(call);
    if (allowed !== NEVER) setDeadline(call, call.startMs + allowed);
    if (this.faults !== null && this.isStruck(this.faults, call, facts.path)) return;
    this.enter(call, facts.path);
  }

  /** A call that is allowed, and whose route and deadline are known. */
  private enter(call: InboundCall, path: string): void {
    if (this.health !== null && path === HEALTH_CHECK) {
      call.asksHealth = true;
      return call.requestEnded ? this.answerHealth(call) : undefined;
    }
    if (this.router !== null) return this.router.choose(call, path);
    this.enterAt(call, 0, path);
  }

  onModelRead(call: ModelRoutedCall): void {
    this.router!.onNamed(call);
  }

  onOtherModel(call: ModelRoutedCall, other: string): void {
    this.router!.onOtherModel(call, other);
  }

  /** A call whose model is known. */
  private enterAt(call: InboundCall, at: number, path: string): void {
    call.slot = at;
    const { state, limits } = this.backends[at]!;
    if (state.kind === 'away') return this.turnAway(call, state.why);
    if (isAside(path)) return this.start(call);
    if (limits.rejects(call, path)) return;
    // A unary call joins the line when its request is complete: a slow uploader holds no place. What would be refused
    // is not waited for.
    if (call.requestEnded || !call.plan.holdsResponse) this.admit(call);
    else limits.wouldReject(call);
  }

  /** Whether a fault was put in for a drill; then it is seen to. */
  private isStruck(faults: ActiveFaults, call: InboundCall, path: string): boolean {
    const { nowMs, random } = this.context;
    const fault = findFault(faults.inbound, call.caller?.service ?? '', path, nowMs, random);
    if (fault === undefined) return false;
    injectFault(call, fault, faults, () => {
      this.enter(call, path);
      // Nobody listened meanwhile.
      if (!call.requestEnded) this.onRequestReady(call);
    });
    return true;
  }

  /** Calls are struck by these; null: by none. */
  setFaults(faults: ActiveFaults | null): void {
    this.faults = faults;
  }

  onRequestReady(call: InboundCall): void {
    if (call.match === undefined || call.isOffered || call.attempt !== null || call.isFinished) return;
    if (call.asksHealth) return this.answerHealth(call);
    if (call.slot < 0 && !(call as ModelRoutedCall).readName()) return creditRequest(call, call.requestBytes);
    if (call.isOffered || call.attempt !== null || call.isFinished) return;
    // The rest is waited for outside the line, as far as there is memory for it.
    if (call.requestEnded || !call.isReplayable) this.admit(call);
    else if (this.buffers.admits(call)) creditRequest(call, call.requestBytes);
  }

  /** From what is known of the model. What is not known, it is asked itself. */
  private answerHealth(call: InboundCall): void {
    const answer = call.requestEnded ? this.health?.answer(call.buffered) : undefined;
    if (answer !== undefined) return sendStored(call, answer);
    call.asksHealth = false;
    if (this.router !== null) this.router.choose(call, HEALTH_CHECK);
    else this.enterAt(call, 0, HEALTH_CHECK);
  }

  private admit(call: InboundCall): void {
    call.isOffered = true;
    if (call.requestEnded && call.plan.holdsResponse) this.limit(call);
    if (this.backends[call.slot]!.limits.admits(call)) this.start(call);
  }

  /** Its caller waits no longer than this from the end of the request. */
  private limit(call: InboundCall): void {
    const untilMs = this.context.nowMs + attemptTimeoutIn(call.block);
    if (untilMs < call.deadlineMs) setDeadline(call, untilMs);
  }

  private start(call: InboundCall): void {
    const slot = this.backends[call.slot]!;
    if (call.ticket !== null) slot.activity.begin(call.ticket);
    beginAttempt(call, new Attempt(call, slot, this.context.nowMs), NEVER);
    // There is one model: nothing is kept for another attempt.
    disableReplay(call);
    this.buffers.release(call);
  }

  onAttemptEnd(call: InboundCall, attempt: Attempt): void {
    if (call.ticket !== null) this.backends[call.slot]!.activity.onResponse(call, this.context.nowMs);
    if (attempt.trailers !== null) finishWith(call, attempt);
    else if (isNeverProcessed(attempt.ended as AttemptEnd) && !call.isCommitted) {
      this.turnAway(call, attempt.reason === '' ? 'it refused the call' : attempt.reason);
    } else if (attempt.ended === AttemptEnd.connectionLost) {
      this.backends[call.slot]!.lostCalls.onLost(call, this.context.nowMs);
    } else answerFailed(call, this.service, null);
  }

  // ---- in detail ----

  private refuse(call: InboundCall): void {
    if (!this.authorization.intentions.isLoaded && call.attempt === null) {
      return sendLocalReply(call, makeLocalReply(Reasons.notLoaded, { service: this.service }));
    }
    const names = { source: call.caller?.service ?? 'a caller without identity', destination: this.service };
    sendLocalReply(call, makeLocalReply(Reasons.notAllowed, names));
  }

  /** Where other models of this service are or will be served, it says so, so that their calls still come here. */
  private turnAway(call: InboundCall, detail: string): void {
    const isAll = this.router === null || this.backends.every(({ state }) => state.kind === 'away');
    const reason = isAll ? Reasons.modelUnavailable : Reasons.modelNotReady;
    const { name: model, modelField } = this.backends[call.slot]!;
    sendLocalReply(
      call,
      makeLocalReply(reason, { service: this.service, model, detail }, isAll ? null : modelField),
    );
  }

  /** The model came, went, or is expected. */
  setModel(state: ModelState, slot = this.backends[0]!): void {
    this.context.nowMs = this.context.clock.now();
    slot.state = state;
    slot.limits.open(state.kind === 'ready');
    if (state.kind === 'ready') return this.pump(slot);
    if (state.kind === 'starting') return;
    const { queue } = slot;
    for (let ticket = queue.takeWaiting(); ticket !== null; ticket = queue.takeWaiting()) {
      this.turnAway(ticket.call, state.why);
    }
  }

  /** The process of the model has ended. */
  onProcessEnd(end: ProcessEnd, slot = this.backends[0]!): void {
    this.context.nowMs = this.context.clock.now();
    slot.lostCalls.onProcessEnd(end, this.context.nowMs);
  }

  // Of the only model, or of the first of several.

  get limits(): InboundAdmission {
    return this.backends[0]!.limits;
  }

  get queue(): InboundQueue<Ticket> {
    return this.backends[0]!.queue;
  }

  activity(): ActivityReport {
    return this.backends[0]!.activity.report();
  }

  /** Lets the next ones in line through. */
  private pump({ queue, limits, activity }: ModelBackend): void {
    const now = this.context.nowMs;
    for (;;) {
      const woken = queue.nextWaking(now);
      if (woken !== null) {
        activity.begin(woken);
        resumeRequest(woken.call);
      }
      const ticket = queue.next(now);
      if (ticket === null) {
        if (woken === null) return;
        continue;
      }
      const { call } = ticket;
      if (ticket.queueState === QueueState.expired) this.expire(call);
      else if (ticket.queueState === QueueState.late) limits.refuseAs(Admission.tooLate, ticket);
      else this.start(call);
    }
  }

  private expire(call: InboundCall): void {
    sendLocalReply(call, makeLocalReply(Reasons.queueExpired, { service: this.service }));
  }

  requestHeaders(call: Call): StableList {
    return forwardRequest(call.block, this.profile);
  }

  requestExtras(call: InboundCall): readonly HeaderField[] {
    const leftMs = call.deadlineMs - this.context.nowMs;
    return forwardExtras(call.block, this.profile, leftMs, call.caller?.field ?? null, 0);
  }

  onResume(call: InboundCall): void {
    this.backends[call.slot]!.lostCalls.onTimeout(call);
  }

  onAttemptTimeout(): void {}

  onDeadline(call: InboundCall): void {
    if (call.ticket?.queueState === QueueState.waiting) return this.expire(call);
    const limitMs = Math.round(call.deadlineMs - call.startMs);
    sendLocalReply(
      call,
      makeLocalReply(Reasons.deadlineExceeded, { limitMs: Number.isFinite(limitMs) ? limitMs : 0 }),
    );
  }

  onIdle(call: InboundCall): void {
    sendLocalReply(call, makeLocalReply(Reasons.idleTimeout, { limitMs: call.plan.idleTimeoutMs }));
  }

  /**
   * A call that is silent holds no place: the model waits for its caller, or is done with all it had. Where it owes the
   * first of the answer to a whole request, it is at work.
   */
  onInactive(call: InboundCall): void {
    const { ticket } = call;
    const isAtWork = call.requestEnded && !call.isCommitted;
    if (ticket === null || isAtWork) return;
    const slot = this.backends[call.slot]!;
    if (!slot.activity.suspend(ticket)) return;
    slot.queue.suspend(ticket, this.context.nowMs);
    slot.silentStreams.add(ticket);
    this.makeWay(slot);
    this.pump(slot);
  }

  /** Calls wait for a stream to the model, and there are no more to be had: silent ones of callers with too many end. */
  private makeWay({ pool, silentStreams }: ModelBackend): void {
    while (pool.isExhausted) {
      const ticket = silentStreams.excess(pool.inFlight);
      if (ticket === null || !pool.hasWaitersBesides(ticket.holder)) return;
      silentStreams.delete(ticket);
      const { silentStream } = Reasons;
      failCall(ticket.call, makeLocalReply(silentStream, { service: this.service }));
    }
  }

  /** Its place has been given away: what its caller sends waits for another one, what the model sends is passed on. */
  onActive(call: InboundCall): void {
    const { ticket } = call;
    if (ticket?.queueState !== QueueState.suspended) return;
    const slot = this.backends[call.slot]!;
    slot.silentStreams.delete(ticket);
    if (slot.queue.resume(ticket, this.context.nowMs)) slot.activity.begin(ticket);
    else holdRequest(call);
  }

  onCancelled(): void {}

  /** However the call ended, its place is free. */
  onFinish(call: InboundCall, status: number): void {
    const now = this.context.nowMs;
    call.stats?.finished(status, now - call.startMs);
    this.buffers.release(call);
    const { ticket } = call;
    if (ticket === null) return;
    const slot = this.backends[call.slot]!;
    slot.lostCalls.forget(call);
    slot.silentStreams.delete(ticket);
    if (slot.activity.end(ticket)) {
      slot.limits.release(call, ticket, now);
      this.pump(slot);
    } else {
      slot.queue.remove(ticket);
    }
  }

  private makeRoutes(config: InboundConfig, before?: Routes): Routes {
    return new Routes(
      config.routes,
      {
        direction: 'inbound',
        service: this.service,
        replayBytes: this.replayBytes,
        stripsResponse: true,
        quietAfterMs: QUIET_AFTER_MS,
      },
      this.context.stats,
      before,
    );
  }
}

function isAside(path: string): boolean {
  for (const prefix of BYPASS_SERVICES) if (path.startsWith(prefix)) return true;
  return false;
}
