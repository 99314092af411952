import { HEALTH_CHECK, HEALTH_WATCH } from './codec/health.js';
import { LIST_METHODS } from './codec/method-list.js';
import { STREAM_CORE_METRICS } from './codec/orca.js';
import type { InboundConfig } from './config/model.js';
import { QueueState } from './core/admission/queue.js';
import { LocalReplyReasons, ModelReplyReasons } from './core/outcome/local-reply-reason.js';
import { AttemptEnd, isDeadlineReset, isNeverProcessed } from './core/outcome/outcome.js';
import { Status } from './core/outcome/status.js';
import { findFault } from './core/routing/fault-rule.js';
import { messageResponse } from './health/model/responder.js';
import { headerViewOf } from './http2/header-view.js';
import type { HeaderField } from './http2/hpack/field.js';
import type { HeaderBlock, StableList } from './http2/hpack/header-list.js';
import { NO_FIELDS, type Stream } from './http2/stream.js';
import { saysFirstMessage } from './inbound/admission.js';
import { InboundCall, isAboutServer, Purpose } from './inbound/call.js';
import type { Caller } from './inbound/caller.js';
import { CountedCall } from './inbound/counted-call.js';
import { failedUpstreamFields } from './inbound/failed-upstream.js';
import { type FrontMethods, MAX_FRONT_REQUEST_BYTES, messageOf } from './inbound/front-methods.js';
import { type InboundDeps, InboundState } from './inbound/inbound-state.js';
import { targetOf } from './inbound/model-methods.js';
import { ModelRoutedCall, type ModelRoutedHandler, type NamedModel } from './inbound/model-routed-call.js';
import { queueTimeHeader, queueTimeTrailer } from './inbound/queue-time.js';
import type { Attempt } from './relay/attempt.js';
import { type Call, NEVER } from './relay/call.js';
import { setDeadline } from './relay/call-timer.js';
import { type ActiveFaults, injectFault } from './relay/fault-injection.js';
import { forwardExtras, forwardRequest } from './relay/header-rewrite.js';
import {
  deadlineReply,
  idleReply,
  type LocalReply,
  localReplyFor,
  makeLocalReply,
} from './relay/local-reply.js';
import { Next } from './relay/next.js';
import { creditRequest } from './relay/request-buffer.js';
import {
  expireCall,
  finishWith,
  refuseCall,
  refuseIf,
  sendLocalReply,
  sendStored,
} from './relay/response.js';
import { timeAllowedMs } from './relay/route-table.js';
import { isModelAsked } from './relay/stream/engine-model.js';
import { MessageCounter } from './relay/stream/message-counter.js';
import { isGrpcRequest, RejectedStream } from './transport/not-grpc.js';
import type { Session } from './transport/session.js';

/**
 * The calls of peers to the local models, from arrival to answer: measured, identified, authorized, matched with a route,
 * given a deadline, brought to their model, limited, queued, forwarded and answered. Details are in `inbound/`.
 */
export class Inbound implements ModelRoutedHandler {
  /** What the calls share, and how it changes. */
  readonly state: InboundState;

  constructor(config: InboundConfig, deps: InboundDeps) {
    this.state = new InboundState(config, deps);
  }

  // ---- arrival ----

  accept(session: Session, stream: Stream, block: HeaderBlock, ended: boolean): void {
    const view = headerViewOf(block);
    if (!isGrpcRequest(view)) return void new RejectedStream(session, stream, ended);
    if (view.path === STREAM_CORE_METRICS && this.state.config.loadReport.outOfBand)
      return this.state.loadStreams.accept(session, stream, block, ended);
    if (view.path === LIST_METHODS) return this.state.methodLists.accept(session, stream, block, ended);
    const call = this.makeCall(session, stream, block, ended);

    const match = this.state.routes.match(view.path);
    call.stats = match === null ? this.state.routes.statsOf('other') : match.stats;
    call.stats.begin();

    const caller = session.identity as Caller | null;
    call.caller = caller;
    const refusal = this.state.refusalOf(caller, block);
    if (refusal !== null) return sendLocalReply(call, refusal);

    if (match === null)
      return sendLocalReply(call, makeLocalReply(LocalReplyReasons.unknownRoute, { path: view.path }));
    call.match = match;
    call.plan = match.plan;

    const allowedMs = timeAllowedMs(match.plan.config, block);
    if (allowedMs <= 0) return this.onDeadline(call);
    if (allowedMs !== NEVER) setDeadline(call, call.startMs + allowedMs);

    if (this.state.faults !== null && this.injectFault(this.state.faults, call) === Next.handled) return;
    this.answerOrForward(call);
  }

  /** Where the model makes a difference, the messages of a method that names one are read. */
  private makeCall(session: Session, stream: Stream, block: HeaderBlock, ended: boolean): InboundCall {
    const { context, router, counting } = this.state;
    if (counting !== null && headerViewOf(block).path === counting.codec.generate)
      return new CountedCall(context, this, session, stream, block, ended, counting);
    const method = this.state.readsNames ? targetOf(headerViewOf(block).path) : null;
    // The only server there is answers for its health itself.
    if (method?.kind !== 'named' || (method.isHealth && router === null))
      return new InboundCall(context, this, session, stream, block, ended);
    const grant = this.state.authorization.grantOf(session.identity as Caller | null);
    const scope = grant !== null && this.state.rateScope === 'beginning' ? 'whole' : this.state.rateScope;
    const options = { method, isBound: router !== null || grant !== null, grant, scope } as const;
    return new ModelRoutedCall(context, this, session, stream, block, ended, options);
  }

  /** A call that is authorized, and whose route and deadline are known. */
  private answerOrForward(call: InboundCall): void {
    if (this.state.front?.has(headerViewOf(call.block).path) === true) {
      if (this.state.authorization.grantOf(call.caller) !== null)
        return sendLocalReply(
          call,
          this.state.authorization.modelNotAllowed(call.caller, 'this is for all of them'),
        );
      call.purpose = Purpose.front;
      return this.answerByFront(this.state.front, call);
    }
    const { path } = headerViewOf(call.block);
    const isAboutHealth = path === HEALTH_CHECK || path === HEALTH_WATCH;
    if (this.state.health === null || !isAboutHealth) return this.chooseModel(call);
    call.purpose = Purpose.health;
    if (call.requestEnded) this.answerHealth(call);
  }

  /** Answers for all models, as soon as the request is complete. */
  private answerByFront(front: FrontMethods, call: InboundCall): void {
    if (call.requestBytes > MAX_FRONT_REQUEST_BYTES) {
      const detail = `the request has more than ${MAX_FRONT_REQUEST_BYTES} bytes; files of a model are not accepted here`;
      return sendLocalReply(call, makeLocalReply(ModelReplyReasons.requestTooLarge, { detail }));
    }
    if (!call.requestEnded) return;
    call.purpose = Purpose.asked;
    const message = messageOf(call);
    if (!Buffer.isBuffer(message)) return sendLocalReply(call, message as LocalReply);
    const { context } = this.state;
    front
      .answer(headerViewOf(call.block).path, message)
      .then((answer) => {
        context.nowMs = context.clock.now();
        if (answer.kind === 'message') sendStored(call, messageResponse(answer.message));
        else sendLocalReply(call, makeLocalReply(answer.reason, { detail: answer.detail }));
      })
      .catch((error: unknown) => context.containment.contain(call, error));
  }

  /**
   * Answers a health check, or begins a watch, from what is known of the model. Where nothing is known, or the request is longer than that
   * of a check, the call goes to the model.
   */
  private answerHealth(call: InboundCall): void {
    const { health } = this.state;
    if (health !== null && call.requestEnded) {
      if (headerViewOf(call.block).path === HEALTH_WATCH) {
        const watched = health.watched(call.buffered);
        if (watched !== undefined) return refuseIf(call, this.state.watches.begin(call, watched, health));
      } else {
        const known = health.answer(call.buffered);
        if (known !== undefined) return sendStored(call, known);
      }
    }
    call.purpose = Purpose.model;
    this.chooseModel(call);
  }

  private chooseModel(call: InboundCall): void {
    // `onModelRead` is next.
    if (call instanceof ModelRoutedCall) return call.awaitModel();
    const known = this.state.router?.serverResponse(headerViewOf(call.block).path) ?? null;
    if (known === null) this.onModelRead(call);
    else sendStored(call, known);
  }

  /** The call has been read as far as its model is concerned: its limits and its queue are next. */
  onModelRead(call: InboundCall): void {
    let refusal = call instanceof ModelRoutedCall ? this.state.authorization.checkModel(call) : null;
    if (refusal !== null) return sendLocalReply(call, refusal);
    if (this.state.router === null) call.backend = this.state.backends[0]!;
    else refusal = this.state.router.route(call);
    refuseIf(call, refusal ?? call.backend!.admit(call));
  }

  /** The call is not for the one model that it began with, and what began it must not go on. */
  onModelUnclear(call: ModelRoutedCall): void {
    const { problem: detail } = call;
    const refusal = this.state.authorization.checkModel(call);
    sendLocalReply(call, refusal ?? makeLocalReply(ModelReplyReasons.noMessage, { detail }));
  }

  onModelMoved(call: ModelRoutedCall, to: NamedModel): LocalReply | null {
    return this.state.backends[0]!.limits.checkMoved(call, to);
  }

  /** More of the request has come, or all of it. */
  onRequestReady(call: InboundCall): void {
    if (call.match === null || call.isUnderWay) return;
    if (call.purpose === Purpose.front) return this.answerByFront(this.state.front!, call);
    if (call.purpose === Purpose.health) return this.answerHealth(call);
    if (call.backend === null && !(call as ModelRoutedCall).readModel())
      return creditRequest(call, call.requestBytes);
    if (call.isUnderWay) return;
    // The rest is waited for outside the queue, as far as there is memory for it.
    if (call.requestEnded || !call.isReplayable) this.enqueue(call);
    else if (this.state.buffers.admits(call)) creditRequest(call, call.requestBytes);
  }

  /** The model may have retired since the call arrived: another version takes it then. */
  private enqueue(call: InboundCall): void {
    const refusal = call.backend!.isRetired ? (this.state.router?.route(call) ?? null) : null;
    refuseIf(call, refusal ?? call.backend!.enqueue(call));
  }

  onAttemptEnd(call: InboundCall, attempt: Attempt): void {
    const backend = call.backend!;
    const { activity, lostCalls, refusing, endingServer } = call.instance!;
    const { nowMs } = this.state.context;
    if (call.ticket !== null && call.failure?.isAnswerKept !== true) activity.onResponse(call, nowMs);
    // Trailers without a grpc-status are no answer: it is the model that broke the protocol, and not this sidecar.
    if (attempt.trailers !== null && attempt.ended !== AttemptEnd.missingTrailers) {
      if (attempt.status === Status.NOT_FOUND && endingServer.holds(call, attempt, nowMs)) return;
      refusing.onAnswer();
      if (attempt.trailers.extras.length > 0) this.state.load.takeTrailers(attempt.trailers.extras, nowMs);
      const load = this.reportFields(call, attempt.status);
      const failed = failedUpstreamFields(call, attempt, this.state.upstreamFailures);
      finishWith(call, attempt, failed.length === 0 ? load : [...failed, ...load]);
    } else if (isNeverProcessed(attempt.ended as AttemptEnd) && !call.isCommitted) {
      if (backend.repeat(call)) return;
      // The request is not kept here: the caller's sidecar has it, and sends it again.
      if (call.instance!.isReady && refusing.isPassing(attempt.ended as AttemptEnd, attempt.session))
        return refuseCall(call, localReplyFor(attempt, this.state.service, 0));
      const why = attempt.reason === '' ? 'it refused the call' : attempt.reason;
      sendLocalReply(call, backend.unavailable(why));
    } else if (attempt.ended === AttemptEnd.connectionLost) lostCalls.onLost(call, nowMs);
    else if (isDeadlineReset(attempt.ended as AttemptEnd, attempt.status, call.deadlineMs - nowMs))
      this.onDeadline(call);
    else sendLocalReply(call, localReplyFor(attempt, this.state.service, 0));
  }

  onFinish(call: InboundCall, status: number): void {
    call.stats?.finish(status, this.state.context.nowMs - call.startMs);
    this.state.buffers.release(call);
    call.tokens?.settle(call);
    if (call.purpose === Purpose.health) this.state.watches.leave(call);
    else if (isAboutServer(call.purpose)) call.backend!.onServerCallFinish(call);
    if (call.ticket === null) return;
    this.state.load.onEnd(status, call.ticket, this.state.context.nowMs);
    call.backend!.onFinish(call, call.ticket, status);
  }

  /** What the trailers of a call say of our load, and of its time here. */
  private reportFields(call: InboundCall, status: number): readonly HeaderField[] {
    const load = this.loadFields(call);
    const queued = status === Status.OK ? queueTimeTrailer(call) : NO_FIELDS;
    return load.length === 0 ? queued : queued.length === 0 ? load : [...load, ...queued];
  }

  /** The load report in the trailers of a call, where its caller is told; one that watches is told each report once. */
  private loadFields(call: InboundCall): readonly HeaderField[] {
    const { session } = call;
    const isForAll = this.state.config.loadReport.trailers;
    if (!isForAll && !session.isToldLoad) return NO_FIELDS;
    const fields = this.state.load.trailer(call, this.state.context.nowMs);
    if (!isForAll && session.toldLoad === fields) return NO_FIELDS;
    session.toldLoad = fields;
    return fields;
  }

  // ---- other events of a call ----

  /** The response of a stream begins: where its caller says how long it waits for the first message, the time to that is noted. */
  onStreaming(call: InboundCall, attempt: Attempt): void {
    const queued = queueTimeHeader(call);
    const { engineFields } = this.state;
    const isTold = engineFields.length > 0 && call.tokens !== null && isModelAsked(call.block);
    const own = isTold ? engineFields : NO_FIELDS;
    call.responseFields = queued.length === 0 ? own : own.length === 0 ? queued : [...own, ...queued];
    extendDeadline(call);
    // What is held is a first message of a method that was said to be unary.
    if (call.ticket !== null && attempt.heldResponse === null && saysFirstMessage(call))
      attempt.counter = new MessageCounter();
  }

  onLongResponse(call: InboundCall): void {
    extendDeadline(call);
  }

  onFirstMessage(call: InboundCall): void {
    call.ticket?.limits.recordFirstMessage(call);
  }

  /** The service says that the method is unary, and it is not. */
  onNotUnary(call: InboundCall): void {
    const { path } = headerViewOf(call.block);
    this.state.kinds.recordStream(path);
    call.plan = this.state.routes.match(path)?.plan ?? call.plan;
  }

  requestHeaders(call: Call): StableList {
    return forwardRequest(call.block, this.state.profile);
  }

  /** The model is told the time for the whole answer: the limit of an attempt is for its beginning, and this sidecar keeps it. */
  requestExtras(call: InboundCall, attempt: Attempt): readonly HeaderField[] {
    const { tracer, nowMs } = this.state.context;
    const leftMs = call.answerDeadlineMs - nowMs;
    const extras = forwardExtras(call.block, this.state.profile, leftMs, call.caller?.field ?? null, 0);
    return tracer === null ? extras : tracer.onward(call, attempt, extras);
  }

  onResume(call: InboundCall): void {
    const { ticket } = call;
    if (ticket?.queueState !== QueueState.waiting) return this.onWaitOver(call);
    refuseIf(call, ticket.limits.waitOn(call, ticket));
  }

  /** What became of the process is not known in time. */
  private onWaitOver(call: InboundCall): void {
    const { lostCalls, endingServer } = call.instance!;
    lostCalls.onTimeout(call);
    endingServer.onTimeout(call);
  }

  onDeadline(call: InboundCall): void {
    const { ticket } = call;
    if (call.instance?.endingServer.onTimeout(call) === true) return;
    const isWaiting = ticket?.queueState === QueueState.waiting;
    expireCall(call, isWaiting ? ticket.limits.expire(ticket) : deadlineReply(call));
  }

  onIdle(call: InboundCall): void {
    expireCall(call, idleReply(call));
  }

  onInactive(call: InboundCall): void {
    if (call.ticket !== null) call.backend!.onInactive(call, call.ticket);
  }

  onActive(call: InboundCall): void {
    if (call.ticket !== null) call.backend!.onActive(call, call.ticket);
  }

  /** A fault of a drill delays or aborts the call. */
  private injectFault(faults: ActiveFaults, call: InboundCall): Next {
    const { nowMs, random } = this.state.context;
    const source = call.caller?.service ?? '';
    const fault = findFault(faults.inbound, source, headerViewOf(call.block).path, nowMs, random);
    if (fault === undefined) return Next.continue;
    injectFault(call, fault, faults, () => {
      this.answerOrForward(call);
      // What came of the request during the delay has not been reported.
      if (!call.requestEnded) this.onRequestReady(call);
    });
    return Next.handled;
  }
}

/** The answer has begun to be passed on. Its caller may read slowly, so the deadline of the call replaces the limit of the attempt. */
function extendDeadline(call: InboundCall): void {
  const { answerDeadlineMs } = call;
  if (answerDeadlineMs > call.deadlineMs) setDeadline(call, answerDeadlineMs);
}
