import { HEALTH_CHECK } from './codec/health.js';
import { LIST_METHODS } from './codec/method-list.js';
import { STREAM_CORE_METRICS } from './codec/orca.js';
import type { InboundConfig } from './config/model.js';
import type { MemoryReading } from './core/admission/memory-pressure.js';
import { QueueState } from './core/admission/queue.js';
import type { IntentionTable } from './core/authorization/intentions.js';
import { LocalReplyReasons, ModelReplyReasons } from './core/outcome/local-reply-reason.js';
import { AttemptEnd, isNeverProcessed } from './core/outcome/outcome.js';
import type { UpstreamFailures } from './core/retry/upstream-failures.js';
import { findFault } from './core/routing/fault-rule.js';
import { MethodKinds, type MethodList } from './core/routing/method-kinds.js';
import { type HealthResponder, messageResponse } from './health/model/responder.js';
import { headerViewOf } from './http2/header-view.js';
import type { HeaderField } from './http2/hpack/field.js';
import type { HeaderBlock, StableList } from './http2/hpack/header-list.js';
import { NO_FIELDS, type Stream } from './http2/stream.js';
import { SharedLimits } from './inbound/admission.js';
import { InboundAuthorization } from './inbound/authorization.js';
import { InboundCall } from './inbound/call.js';
import type { Caller } from './inbound/caller.js';
import { EndedQueues } from './inbound/ended-queues.js';
import { failedUpstreamFields } from './inbound/failed-upstream.js';
import { type FrontMethods, MAX_FRONT_REQUEST_BYTES, messageOf } from './inbound/front-methods.js';
import { LoadReporter } from './inbound/load-reporter.js';
import { LoadStreams } from './inbound/load-streams.js';
import { MethodLists } from './inbound/method-lists.js';
import { type BackendDeps, ModelBackend, makeBackends, type ServedModel } from './inbound/model-backend.js';
import { targetOf } from './inbound/model-methods.js';
import { ModelRoutedCall, type ModelRoutedHandler } from './inbound/model-routed-call.js';
import { ModelRouter } from './inbound/model-router.js';
import type { Attempt } from './relay/attempt.js';
import { BufferAdmission } from './relay/buffer-admission.js';
import { type Call, NEVER } from './relay/call.js';
import { setDeadline } from './relay/call-timer.js';
import { type ActiveFaults, injectFault } from './relay/fault-injection.js';
import { forwardExtras, forwardRequest, inboundProfile } from './relay/header-rewrite.js';
import {
  deadlineReply,
  idleReply,
  type LocalReply,
  localReplyFor,
  makeLocalReply,
} from './relay/local-reply.js';
import { Next } from './relay/next.js';
import { creditRequest } from './relay/request-buffer.js';
import { messageBytes } from './relay/request-prefix.js';
import { finishWith, refuseIf, sendLocalReply, sendStored } from './relay/response.js';
import { Routes, timeAllowedMs } from './relay/route-table.js';
import type { DataPlaneContext } from './transport/context.js';
import { isGrpcRequest, RejectedStream } from './transport/not-grpc.js';
import type { Session } from './transport/session.js';

/** A stream on which nothing moves for this long gives its place at the model to others. */
const QUIET_AFTER_MS = 1_000;

/**
 * The calls of peers to the local models, from arrival to answer: measured, identified, authorized, matched with a route,
 * given a deadline, brought to their model, limited, queued, forwarded and answered. Details are in `inbound/`.
 */
export class Inbound implements ModelRoutedHandler {
  private readonly served: ModelBackend[];
  /** Methods that the sidecar answers for all models; null: none. */
  front: FrontMethods | null = null;
  /** Null: health checks go to the model. */
  health: HealthResponder | null = null;
  /** Failures of the services that the models call; null: they call none. */
  upstreamFailures: UpstreamFailures | null = null;
  /** Null: no faults are injected. */
  faults: ActiveFaults | null = null;
  /** Null: there is one model, and calls are not read for a model name. */
  private readonly router: ModelRouter | null;
  /** Limits for all models together. */
  readonly limits: SharedLimits;
  private readonly deps: BackendDeps;
  readonly load: LoadReporter;
  readonly loadStreams: LoadStreams;
  /** What the model service says of its methods. */
  readonly methodLists = new MethodLists((session, block) =>
    this.refusalOf(session.identity as Caller | null, block),
  );
  private readonly kinds = new MethodKinds();
  /** What the queues of models that are gone have counted. */
  readonly ended = new EndedQueues();
  private readonly authorization: InboundAuthorization;
  private readonly profile = inboundProfile();
  /** Memory for requests that are buffered whole before they are queued. */
  private readonly buffers: BufferAdmission;
  private routes: Routes;

  /** `readMemory` absent: calls are not refused for memory pressure. */
  constructor(
    private config: InboundConfig,
    private readonly service: string,
    models: readonly ServedModel[],
    intentions: IntentionTable,
    private readonly context: DataPlaneContext,
    replayBytes: number,
    readMemory?: () => MemoryReading,
  ) {
    this.limits = new SharedLimits(config, readMemory);
    this.buffers = new BufferAdmission(context, messageBytes(replayBytes));
    const { limits, buffers } = this;
    this.deps = { service, context, limits, buffers };
    this.served = makeBackends(models, config, this.deps);
    const isOnly = models.length === 1 && models[0]!.version === undefined;
    this.router = isOnly ? null : new ModelRouter(this.served, service);
    this.authorization = new InboundAuthorization(intentions, service, context.audit);
    this.load = new LoadReporter(this.served);
    this.loadStreams = new LoadStreams(config.loadReport, {
      ...{ context, service, reporter: this.load },
      check: (session, block) => this.refusalOf(session.identity as Caller | null, block),
    });
    const strips = { stripsResponse: true, stripsReports: true };
    const options = { service, replayBytes, ...strips, quietAfterMs: QUIET_AFTER_MS, kinds: this.kinds };
    this.kinds.onChange = () => this.routes.forgetKinds();
    this.routes = new Routes(config.routes, { direction: 'inbound', ...options }, context.stats);
  }

  /** The models, each version one of its own where versions are told apart. */
  get backends(): readonly ModelBackend[] {
    return this.served;
  }

  /** One more model or version; only where there is more than one, or the first has a version. */
  addModel(model: ServedModel): ModelBackend {
    const backend = new ModelBackend(model, this.config, this.deps, this.served, false);
    this.served.push(backend);
    this.router?.add(backend);
    return backend;
  }

  /** A model that has retired. */
  removeModel(backend: ModelBackend): void {
    this.ended.add(backend);
    this.served.splice(this.served.indexOf(backend), 1);
    this.router?.remove(backend);
  }

  // ---- the way of a call ----

  accept(session: Session, stream: Stream, block: HeaderBlock, ended: boolean): void {
    const view = headerViewOf(block);
    if (!isGrpcRequest(view)) return void new RejectedStream(session, stream, ended);
    if (view.path === STREAM_CORE_METRICS && this.config.loadReport.outOfBand)
      return this.loadStreams.accept(session, stream, block, ended);
    if (view.path === LIST_METHODS) return this.methodLists.accept(session, stream, block, ended);
    const call = this.makeCall(session, stream, block, ended);

    const match = this.routes.match(view.path);
    call.stats = match === null ? this.routes.statsOf('other') : match.stats;
    call.stats.begin();

    const caller = session.identity as Caller | null;
    call.caller = caller;
    const refusal = this.refusalOf(caller, block);
    if (refusal !== null) return sendLocalReply(call, refusal);

    if (match === null)
      return sendLocalReply(call, makeLocalReply(LocalReplyReasons.unknownRoute, { path: view.path }));
    call.match = match;
    call.plan = match.plan;

    const allowedMs = timeAllowedMs(match.plan.config, block);
    if (allowedMs <= 0) return this.onDeadline(call);
    if (allowedMs !== NEVER) setDeadline(call, call.startMs + allowedMs);

    if (this.faults !== null && this.injectFault(this.faults, call) === Next.handled) return;
    this.answerOrForward(call);
  }

  /** The reply to a peer that has no identity or may not call; null: it may. */
  private refusalOf(caller: Caller | null, block: HeaderBlock): LocalReply | null {
    if (caller === null && this.config.mtls === 'strict') return makeLocalReply(LocalReplyReasons.noIdentity);
    return this.authorization.check(caller, block);
  }

  /** Several models: the messages of a method that names one are read. */
  private makeCall(session: Session, stream: Stream, block: HeaderBlock, ended: boolean): InboundCall {
    const { context, router } = this;
    const target = router === null ? null : targetOf(headerViewOf(block).path);
    if (target?.kind !== 'named') return new InboundCall(context, this, session, stream, block, ended);
    return new ModelRoutedCall(context, this, session, stream, block, ended, target);
  }

  /** A call that is authorized, and whose route and deadline are known. */
  private answerOrForward(call: InboundCall): void {
    if (this.front?.has(headerViewOf(call.block).path) === true) {
      call.isForFront = true;
      return this.answerByFront(this.front, call);
    }
    if (this.health === null || headerViewOf(call.block).path !== HEALTH_CHECK) return this.chooseModel(call);
    call.isHealthCheck = true;
    if (call.requestEnded) this.answerHealth(call);
  }

  /** Answers for all models, as soon as the request is complete. */
  private answerByFront(front: FrontMethods, call: InboundCall): void {
    if (call.requestBytes > MAX_FRONT_REQUEST_BYTES) {
      const detail = `the request has more than ${MAX_FRONT_REQUEST_BYTES} octets; files of a model are not taken here`;
      return sendLocalReply(call, makeLocalReply(ModelReplyReasons.requestTooLarge, { detail }));
    }
    if (!call.requestEnded || call.isOffered) return;
    call.isOffered = true;
    const message = messageOf(call);
    if (!Buffer.isBuffer(message)) return sendLocalReply(call, message as LocalReply);
    const { context } = this;
    void front.answer(headerViewOf(call.block).path, message).then((answer) => {
      context.nowMs = context.clock.now();
      if (answer.kind === 'message') sendStored(call, messageResponse(answer.message));
      else sendLocalReply(call, makeLocalReply(answer.reason, { detail: answer.detail }));
    });
  }

  /** The response from what is known of the model; where nothing is known, the check goes to the model. */
  private answerHealth(call: InboundCall): void {
    const known = call.requestEnded ? this.health?.answer(call.buffered) : undefined;
    if (known !== undefined) return sendStored(call, known);
    call.isHealthCheck = false;
    this.chooseModel(call);
  }

  private chooseModel(call: InboundCall): void {
    // `onModelRead` is next.
    if (call instanceof ModelRoutedCall) return call.awaitModel();
    const known = this.router?.serverResponse(headerViewOf(call.block).path) ?? null;
    if (known === null) this.onModelRead(call);
    else sendStored(call, known);
  }

  /** The call has been read as far as its model is concerned: its limits and its queue are next. */
  onModelRead(call: InboundCall): void {
    let refusal: LocalReply | null = null;
    if (this.router === null) call.backend = this.backends[0]!;
    else refusal = this.router.route(call);
    refuseIf(call, refusal ?? call.backend!.admit(call));
  }

  /** More of the request has come, or all of it. */
  onRequestReady(call: InboundCall): void {
    if (call.match === null || call.isUnderWay) return;
    if (call.isForFront) return this.answerByFront(this.front!, call);
    if (call.isHealthCheck) return this.answerHealth(call);
    if (call.backend === null && !(call as ModelRoutedCall).readModel())
      return creditRequest(call, call.requestBytes);
    if (call.isUnderWay) return;
    // The rest is waited for outside the queue, as far as there is memory for it.
    if (call.requestEnded || !call.isReplayable) this.enqueue(call);
    else if (this.buffers.admits(call)) creditRequest(call, call.requestBytes);
  }

  /** The model may have retired since the call arrived: another version takes it then. */
  private enqueue(call: InboundCall): void {
    const refusal = call.backend!.isRetired ? (this.router?.route(call) ?? null) : null;
    refuseIf(call, refusal ?? call.backend!.enqueue(call));
  }

  onAttemptEnd(call: InboundCall, attempt: Attempt): void {
    const backend = call.backend!;
    const { activity, lostCalls } = call.instance!;
    const { nowMs } = this.context;
    if (call.ticket !== null) activity.onResponse(call, nowMs);
    if (attempt.trailers !== null) {
      if (attempt.trailers.extras.length > 0) this.load.takeTrailers(attempt.trailers.extras, nowMs);
      const load = this.loadFields(call);
      const failed = failedUpstreamFields(call, attempt, this.upstreamFailures);
      finishWith(call, attempt, failed.length === 0 ? load : [...failed, ...load]);
    } else if (isNeverProcessed(attempt.ended as AttemptEnd) && !call.isCommitted) {
      if (backend.repeat(call)) return;
      const why = attempt.reason === '' ? 'it refused the call' : attempt.reason;
      sendLocalReply(call, backend.unavailable(why));
    } else if (attempt.ended === AttemptEnd.connectionLost) lostCalls.onLost(call, nowMs);
    else sendLocalReply(call, localReplyFor(attempt, this.service, 0));
  }

  onFinish(call: InboundCall, status: number): void {
    call.stats?.finish(status, this.context.nowMs - call.startMs);
    this.buffers.release(call);
    if (call.ticket === null) return;
    this.load.onEnd(status);
    call.backend!.onFinish(call, call.ticket);
  }

  /** The load report in the trailers of a call, where its caller is told; one that watches is told each report once. */
  private loadFields(call: InboundCall): readonly HeaderField[] {
    const { session } = call;
    const isForAll = this.config.loadReport.trailers;
    if (!isForAll && !session.isToldLoad) return NO_FIELDS;
    const fields = this.load.trailer(call, this.context.nowMs);
    if (!isForAll && session.toldLoad === fields) return NO_FIELDS;
    session.toldLoad = fields;
    return fields;
  }

  // ---- other events of a call ----

  /** The service says that the method is unary, and it is not. */
  onNotUnary(call: InboundCall): void {
    const { path } = headerViewOf(call.block);
    this.kinds.noteStream(path);
    call.plan = this.routes.match(path)?.plan ?? call.plan;
  }

  requestHeaders(call: Call): StableList {
    return forwardRequest(call.block, this.profile);
  }

  requestExtras(call: InboundCall): readonly HeaderField[] {
    const leftMs = call.deadlineMs - this.context.nowMs;
    return forwardExtras(call.block, this.profile, leftMs, call.caller?.field ?? null, 0);
  }

  onResume(call: InboundCall): void {
    const { ticket } = call;
    if (ticket?.queueState === QueueState.waiting)
      return sendLocalReply(call, call.backend!.waitedTooLong(ticket));
    call.instance!.lostCalls.onTimeout(call);
  }

  onDeadline(call: InboundCall): void {
    const isWaiting = call.ticket?.queueState === QueueState.waiting;
    sendLocalReply(call, isWaiting ? call.backend!.queueExpired() : deadlineReply(call));
  }

  onIdle(call: InboundCall): void {
    sendLocalReply(call, idleReply(call));
  }

  onInactive(call: InboundCall): void {
    if (call.ticket !== null) call.backend!.onInactive(call, call.ticket);
  }

  onActive(call: InboundCall): void {
    if (call.ticket !== null) call.backend!.onActive(call, call.ticket);
  }

  /** A fault of a drill delays or aborts the call. */
  private injectFault(faults: ActiveFaults, call: InboundCall): Next {
    const { nowMs, random } = this.context;
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

  // ---- configuration and state ----

  /** Takes over a changed configuration and changed intentions, as `setIntentions` does. */
  update(config: InboundConfig, intentions: IntentionTable, sessions: Iterable<Session>): void {
    this.config = config;
    this.loadStreams.config = config.loadReport;
    this.routes = this.routes.replaced(config.routes);
    this.limits.update(config);
    for (const { limits } of this.backends) limits.update(config);
    this.setIntentions(intentions, sessions);
    for (const backend of this.backends) backend.startWaiting();
  }

  /** The model service has said which methods it has; undefined: it does not say it. */
  describe(list: MethodList | undefined): void {
    this.methodLists.set(list);
    this.kinds.describe(list === undefined ? [] : [list]);
  }

  /** `sessions`: the open connections of peers; calls on them that are no longer allowed are ended. */
  setIntentions(intentions: IntentionTable, sessions: Iterable<Session>): void {
    this.context.nowMs = this.context.clock.now();
    this.authorization.intentions = intentions;
    this.authorization.recheck(sessions);
  }
}
