import { ENGINE_CODECS, type EngineName } from '../codec/engines/engine-codecs.js';
import { engineMethodOf } from '../codec/engines/engine-methods.js';
import { HEALTH_CHECK } from '../codec/health.js';
import type { InboundConfig } from '../config/model.js';
import { type InboundQueue, QueueState } from '../core/admission/queue.js';
import { MetadataKey } from '../core/metadata-key.js';
import { LocalReplyReasons } from '../core/outcome/local-reply-reason.js';
import { MODEL_CONTROL_METHODS } from '../core/routing/method.js';
import { headerViewOf } from '../http2/header-view.js';
import type { HeaderField } from '../http2/hpack/field.js';
import { nameField } from '../http2/hpack/name-field.js';
import { Attempt } from '../relay/attempt.js';
import { attemptTimeoutIn } from '../relay/attempt-timeout-header.js';
import type { BufferAdmission } from '../relay/buffer-admission.js';
import { NEVER } from '../relay/call.js';
import { beginAttempt } from '../relay/call-attempts.js';
import { restartQuiet, setDeadline, waitsForEndpoint, waitsForReader } from '../relay/call-timer.js';
import { type LocalReply, makeLocalReply } from '../relay/local-reply.js';
import { pauseCall, resumeCall, resumeResponse } from '../relay/paused-call.js';
import { disableReplay } from '../relay/request-buffer.js';
import type { DataPlaneContext } from '../transport/context.js';
import type { Pool } from '../transport/pool.js';
import { type InboundAdmission, isBypassed, type SharedLimits } from './admission.js';
import { BackendQueues } from './backend/backend-queues.js';
import { InstanceChoice } from './backend/instance-choice.js';
import { QueueTurns, type TurnTaker } from './backend/queue-turns.js';
import { ServerCalls } from './backend/server-calls.js';
import { type InboundCall, type ModelOfCall, Purpose, type ServerPurpose, type Ticket } from './call.js';
import type { CallTap } from './call-tap.js';
import { ModelInstance, type ModelState } from './model-instance.js';

export interface ServedModel {
  /** Empty: the only server, whatever models it has; calls are not read for a model name. */
  readonly name: string;
  /** Absent: versions are not told apart, and its process knows which it has. */
  readonly version?: string;
  /** One for each instance; several models of one process share one. */
  readonly pools: readonly Pool[];
}

/** What the models behind one inbound side share. */
export interface BackendDeps {
  readonly service: string;
  readonly context: DataPlaneContext;
  readonly limits: SharedLimits;
  readonly buffers: BufferAdmission;
  /** There is one model, and calls are not read for its name. */
  readonly isOnly: boolean;
  /** The models, in the order in which they came. */
  readonly all: readonly ModelBackend[];
  /** A model has changed its state. */
  onState(): void;
}

/**
 * One model, or all models of a server whose calls are not read for a name: its name and version, the instances that run its calls,
 * its queues, whether it takes calls and which share of them; and the way of a call through its queue to an instance. A stream on
 * which nothing moves gives its place in the queue to others.
 */
export class ModelBackend implements ModelOfCall, TurnTaker {
  readonly name: string;
  /** Empty: versions are not told apart. */
  readonly version: string;
  /** It gets no new calls: another version has taken them over, or it is unloaded. */
  isRetired = false;
  /**
   * Of the calls that name no version, the share that it takes: 1, or less while it is tried out; 0: it gets no call at all,
   * named or not.
   */
  share = 1;
  /** Another version has taken over, and may have to give back: it gets calls only where that one is not ready. */
  isStandby = false;
  /** Null: nothing is compared. */
  tap: CallTap | null = null;
  /** Calls that run, wait or are suspended. */
  private calls = 0;
  private onIdle: (() => void) | null = null;
  /** At least one; `concurrency` counts for each. */
  readonly instances: readonly ModelInstance[];
  /** Its queues: one, or more where models that it does not tell apart have limits of their own. */
  readonly queues: BackendQueues;
  /** `outrider-model`, sent with a failure of this model only, so that callers do not hold it against others; null: there is one model. */
  readonly modelField: HeaderField | null;
  private readonly context: DataPlaneContext;
  private readonly choice: InstanceChoice;
  private readonly serverCalls: ServerCalls;
  private readonly turns: QueueTurns;

  constructor(
    { name, version = '', pools }: ServedModel,
    config: InboundConfig,
    private readonly deps: BackendDeps,
  ) {
    const { service, context, limits, isOnly } = deps;
    this.name = name;
    this.version = version;
    this.context = context;
    this.serverCalls = new ServerCalls(service);
    const modelField = isOnly ? null : nameField(MetadataKey.model, name);
    this.modelField = modelField;
    this.queues = new BackendQueues(name, version, config, { service, context, shared: limits });
    this.turns = new QueueTurns(this.queues, context, this);
    const onState = () => this.onState();
    this.instances = pools.map((pool, i) => {
      const label = pools.length === 1 ? undefined : `local.${i + 1}`;
      const silentStreams = this.sharing(pool)?.silentStreams;
      const repeat = (call: InboundCall) => this.repeat(call);
      return new ModelInstance({ pool, service, context, modelField, label, silentStreams, onState, repeat });
    });
    this.choice = new InstanceChoice(this.instances, context);
  }

  /** An instance of another model behind the same connections. */
  private sharing(pool: Pool): ModelInstance | undefined {
    for (const { instances } of this.deps.all)
      for (const instance of instances) if (instance.pool === pool) return instance;
    return undefined;
  }

  /** Ready while one instance is, on probation while each of these is; away when none is and none is still starting. */
  get state(): ModelState {
    const { instances } = this;
    const [first] = instances;
    if (instances.length === 1) return first!.state;
    const ready =
      instances.find((each) => each.isReady && !each.isOnProbation) ??
      instances.find(({ isReady }) => isReady) ??
      instances.find(isStarting);
    return (ready ?? first!).state;
  }

  /** The limits of what has none of its own. */
  get limits(): InboundAdmission {
    return this.queues.whole;
  }

  get queue(): InboundQueue<Ticket> {
    return this.limits.queue;
  }

  /**
   * The reply while the model is away. Where other models of this service are or will be served, it names the one, so that
   * calls to the others still come here.
   */
  unavailable(detail: string): LocalReply {
    const { name: model, modelField } = this;
    const { service, all } = this.deps;
    const values = { service, model, detail };
    return modelField === null || all.every(({ state }) => state.kind === 'away')
      ? makeLocalReply(LocalReplyReasons.modelUnavailable, values)
      : makeLocalReply(LocalReplyReasons.modelNotReady, values, modelField);
  }

  /** It gets no new calls from now on; those that it has go on. */
  retire(): void {
    this.isRetired = true;
  }

  /** Calls `fn` when the last call has ended; at once when there is none. */
  whenIdle(fn: () => void): void {
    this.onIdle = fn;
    if (this.calls === 0) fn();
  }

  /** A call has been offered to a queue. */
  private recordBegin(): void {
    this.calls++;
  }

  /** It is over. */
  private recordEnd(): void {
    this.calls--;
    if (this.calls === 0) this.onIdle?.();
  }

  // ---- the way of a call ----

  /**
   * A call for this model has arrived. It is forwarded, queued, or left until more of its request is here. Returned is the
   * reply where it is refused.
   */
  admit(call: InboundCall): LocalReply | null {
    const { path } = headerViewOf(call.block);
    if (this.state.kind === 'away') return this.refuseOrLoad(call, this.state.why);
    const purpose = purposeOf(path, this.limits.engine);
    if (purpose !== Purpose.model) return this.admitServerCall(call, path, purpose);
    const limits = this.queues.of(call);
    const refusal = limits.check(call, path);
    if (refusal !== null) return refusal;
    // A unary call is queued when its request is complete, so that a slow uploader holds no place. Where the queue would
    // refuse it now, its request is not read.
    return call.requestEnded || !call.waitsForWhole ? this.enqueue(call) : limits.foresee(call);
  }

  /** The model is away: only what may bring it back is forwarded. */
  private refuseOrLoad(call: InboundCall, why: string): LocalReply | null {
    if (!this.mayLoad(headerViewOf(call.block).path)) return this.unavailable(why);
    this.start(call);
    return null;
  }

  /**
   * A call about the server. It is under the rate limits as well, unless it is a check, as peers judge the model by it, or an Abort, as it ends
   * work.
   */
  private admitServerCall(call: InboundCall, path: string, kind: ServerPurpose): LocalReply | null {
    const refusal = isRated(path, kind, this.limits.engine) ? this.queues.of(call).check(call, path) : null;
    if (refusal !== null) return refusal;
    const tooMany = this.serverCalls.enter(call, kind);
    if (tooMany !== null) return tooMany;
    const { engine, shared } = this.limits;
    if (engine !== undefined && path === ENGINE_CODECS[engine].abort)
      shared.engineFacts.abortMs = this.context.nowMs;
    this.start(call);
    return null;
  }

  onServerCallFinish(call: InboundCall): void {
    this.serverCalls.leave(call);
  }

  /** Offers the call to the queue; it starts now or when its turn comes. Returned is the reply where it is refused. */
  enqueue(call: InboundCall): LocalReply | null {
    // It may have gone away while the request came.
    if (this.state.kind === 'away') return this.refuseOrLoad(call, this.state.why);
    const limits = this.queues.of(call);
    const overBudget = call.tokens === null ? null : limits.reserve(call, call.tokens);
    if (overBudget !== null) return overBudget;
    this.recordBegin();
    if (call.requestEnded && call.plan.holdsResponse) {
      // The attempt timeout of the caller's sidecar counts from the end of the request.
      const untilMs = this.context.nowMs + attemptTimeoutIn(call.block);
      if (untilMs < call.deadlineMs) {
        call.fullDeadlineMs = call.deadlineMs;
        setDeadline(call, untilMs);
      }
    }
    const refusal = limits.admit(call);
    if (refusal === null && call.ticket!.queueState === QueueState.running) this.start(call);
    return refusal;
  }

  /** Forwards the call to the model. Where it may not be repeated, nothing is buffered for another attempt. */
  start(call: InboundCall): void {
    const instance = this.choice.of(call);
    call.instance = instance;
    if (this.tap !== null) this.tap.onStart(call);
    if (call.ticket !== null) instance.activity.begin(call.ticket);
    if (!this.mayRepeat(call)) disableReplay(call);
    beginAttempt(call, new Attempt(call, instance, this.context.nowMs), NEVER);
    this.deps.buffers.release(call);
  }

  /** A server that says it is not ready may be so for want of a model: a call that loads one still gets to it. */
  private mayLoad(path: string): boolean {
    return MODEL_CONTROL_METHODS.has(path) && this.instances.some(({ isConnected }) => isConnected);
  }

  private mayRepeat({ match, requestEnded, plan, failure }: InboundCall): boolean {
    const isWhole = requestEnded && plan.holdsResponse;
    const isFirst = failure?.isRepeated !== true;
    return this.instances.length > 1 && isWhole && isFirst && match?.plan.config.idempotent === true;
  }

  /**
   * Sends the call to another instance that is ready, once, where its route says that it is idempotent. False: the call is
   * as it was. Its place in the queue stays its own. A sequence goes along with its first call; a later one needs the state that the lost
   * instance had.
   */
  repeat(call: InboundCall): boolean {
    const { instance: lost, ticket } = call;
    if (lost === null || !call.isReplayable || call.isCommitted || !this.mayRepeat(call)) return false;
    const instance = this.choice.otherFor(call, lost);
    if (instance === null) return false;
    call.ensureFailure().isRepeated = true;
    call.instance = instance;
    if (ticket !== null) {
      lost.activity.end(ticket);
      instance.activity.begin(ticket);
    }
    beginAttempt(call, new Attempt(call, instance, this.context.nowMs), NEVER);
    disableReplay(call);
    return true;
  }

  /** An instance has changed. Calls that wait are refused when the model is away. */
  private onState(): void {
    const { state, instances, queues } = this;
    this.choice.forgetAway();
    queues.open(instances.filter(({ isReady }) => isReady).length);
    this.deps.onState();
    if (state.kind === 'ready') return this.turns.give();
    this.turns.releaseResuming();
    if (state.kind === 'starting') return;
    this.turns.refuseAll(state.why);
  }

  /**
   * Nothing has moved on the call for a while. Its place in the queue goes to another call, unless the model is at work: it has the whole
   * request and has not begun to answer, or has more of it than it reads.
   */
  onInactive(call: InboundCall, ticket: Ticket): void {
    const { requestEnded, isCommitted, instance } = call;
    const isAtWork = (requestEnded && !isCommitted) || waitsForEndpoint(call);
    // That the model has read the rest is no event: it is asked again.
    if (isAtWork) return restartQuiet(call);
    if (instance === null || !instance.activity.suspend(ticket) || isGenerating(call)) return;
    ticket.limits.queue.suspend(ticket, this.context.nowMs);
    if (waitsForReader(call)) pauseCall(call);
    instance.silentStreams.add(ticket);
    instance.endExcessStreams();
    this.turns.give();
  }

  /** Something moves again. Without a free place, the model gets no more of the call until there is one; what it has sent is passed on. */
  onActive(call: InboundCall, ticket: Ticket): void {
    if (ticket.queueState === QueueState.running) call.instance?.activity.begin(ticket);
    if (ticket.queueState !== QueueState.suspended) return;
    const { queue } = ticket.limits;
    const { silentStreams, activity } = call.instance!;
    silentStreams.delete(ticket);
    if (queue.resume(ticket, this.context.nowMs)) {
      activity.begin(ticket);
      resumeCall(call);
      return;
    }
    pauseCall(call);
    this.turns.awaitResuming();
    if (queue.concurrency === 0) resumeResponse(call);
  }

  /** The call is over, however it ended: its place is free. */
  onFinish(call: InboundCall, ticket: Ticket, status: number): void {
    if (this.tap !== null) this.tap.onEnd(call, status);
    const now = this.context.nowMs;
    const { instance } = call;
    instance?.lostCalls.forget(call);
    instance?.endingServer.forget(call);
    instance?.silentStreams.delete(ticket);
    // It may have its place and no instance yet, where its start has failed.
    if (instance?.activity.end(ticket) === true || ticket.queueState === QueueState.running) {
      ticket.limits.release(call, ticket, now);
      this.turns.giveIn(ticket.limits.queue);
    } else {
      ticket.limits.queue.remove(ticket);
    }
    if (ticket.isOffered) this.recordEnd();
  }

  /** Gives the free places in its queues away. */
  startWaiting(): void {
    this.turns.give();
  }
}

/**
 * The call keeps its place until its answer ends: a language-model engine is silent while it reads a long prompt of another call, or has put this
 * one back for want of memory. Where its caller has not read for so long that the engine can send no more, others go first.
 */
function isGenerating(call: InboundCall): boolean {
  return call.tokens !== null && call.requestEnded && !waitsForReader(call);
}

function isStarting({ state }: ModelInstance): boolean {
  return state.kind === 'starting';
}

/**
 * `model`: its calls wait in the queue. What an engine is asked beside tokens does not: an Abort that waited for a place would wait for what it
 * is to end.
 */
function purposeOf(path: string, engine: EngineName | undefined): ServerPurpose | typeof Purpose.model {
  if (path === HEALTH_CHECK) return Purpose.serverCheck;
  if (isBypassed(path)) return Purpose.serverStream;
  const method = engine === undefined ? undefined : engineMethodOf(engine, path);
  if (method === undefined) return Purpose.model;
  return method === 'download' ? Purpose.engineDownload : Purpose.engineQuery;
}

function isRated(path: string, kind: ServerPurpose, engine: EngineName | undefined): boolean {
  if (kind === Purpose.serverCheck) return false;
  return engine === undefined || engineMethodOf(engine, path) !== 'urgent';
}
