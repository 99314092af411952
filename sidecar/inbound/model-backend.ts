import type { InboundConfig } from '../config/model.js';
import { Admission, type InboundQueue, QueueState } from '../core/admission/queue.js';
import { LocalReplyReasons } from '../core/outcome/local-reply-reason.js';
import { headerViewOf } from '../http2/header-view.js';
import { type HeaderField, makeField } from '../http2/hpack/field.js';
import { Attempt } from '../relay/attempt.js';
import { attemptTimeoutIn } from '../relay/attempt-timeout-header.js';
import type { BufferAdmission } from '../relay/buffer-admission.js';
import { NEVER } from '../relay/call.js';
import { beginAttempt } from '../relay/call-attempts.js';
import { setDeadline } from '../relay/call-timer.js';
import { type LocalReply, makeLocalReply } from '../relay/local-reply.js';
import { disableReplay, holdRequest, resumeRequest } from '../relay/request-buffer.js';
import { sendLocalReply } from '../relay/response.js';
import type { DataPlaneContext } from '../transport/context.js';
import type { Pool } from '../transport/pool.js';
import { type InboundAdmission, isBypassed, type SharedLimits } from './admission.js';
import type { InboundCall, Ticket } from './call.js';
import type { CallTap } from './call-tap.js';
import { ModelInstance, type ModelState } from './model-instance.js';
import { BackendQueues } from './models/backend-queues.js';
import { InstanceChoice } from './models/instance-choice.js';

/** Where a model is served. */
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
  /** A model has changed its state. */
  onState(): void;
}

/**
 * One model, or all models of a server whose calls are not read for a name: its queue, and behind it the instances that
 * run its calls. A stream on which nothing moves gives its place in the queue to others.
 */
export class ModelBackend {
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

  /** `isOnly`: there is one model. */
  constructor(
    { name, version = '', pools }: ServedModel,
    config: InboundConfig,
    private readonly deps: BackendDeps,
    /** All of them, this one included. */
    private readonly siblings: readonly ModelBackend[],
    isOnly: boolean,
  ) {
    const { service, context, limits } = deps;
    this.name = name;
    this.version = version;
    this.context = context;
    const modelField = isOnly ? null : makeField('outrider-model', encodeURIComponent(name));
    this.modelField = modelField;
    this.queues = new BackendQueues(name, version, config, { service, context, shared: limits });
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
    for (const { instances } of this.siblings)
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

  /** An instance has changed. Calls that wait are refused when the model is away. */
  private onState(): void {
    const { state, instances, queues } = this;
    this.choice.forgetAway();
    queues.open(instances.filter(({ isReady }) => isReady).length);
    this.deps.onState();
    if (state.kind === 'ready') return this.startWaiting();
    if (state.kind === 'starting') return;
    for (const { queue } of queues.all)
      for (let ticket = queue.takeWaiting(); ticket !== null; ticket = queue.takeWaiting())
        sendLocalReply(ticket.call, this.unavailable(state.why));
  }

  /**
   * The reply while the model is away. Where other models of this service are or will be served, it names the one, so that
   * calls to the others still come here.
   */
  unavailable(detail: string): LocalReply {
    const { name: model, modelField } = this;
    const { service } = this.deps;
    const values = { service, model, detail };
    return modelField === null || this.siblings.every(({ state }) => state.kind === 'away')
      ? makeLocalReply(LocalReplyReasons.modelUnavailable, values)
      : makeLocalReply(LocalReplyReasons.modelNotReady, values, modelField);
  }

  /**
   * A call for this model has arrived. It is forwarded, queued, or left until more of its request is here. Returned is the
   * reply where it is refused.
   */
  admit(call: InboundCall): LocalReply | null {
    const { state } = this;
    if (state.kind === 'away') return this.unavailable(state.why);
    const { path } = headerViewOf(call.block);
    if (isBypassed(path)) {
      this.start(call);
      return null;
    }
    const limits = this.queues.of(call);
    const refusal = limits.check(call, path);
    if (refusal !== null) return refusal;
    // A unary call is queued when its request is complete, so that a slow uploader holds no place. Where the queue would
    // refuse it now, its request is not read.
    return call.requestEnded || !call.plan.holdsResponse ? this.enqueue(call) : limits.foresee(call);
  }

  /** Offers the call to the queue; it starts now or when its turn comes. Returned is the reply where it is refused. */
  enqueue(call: InboundCall): LocalReply | null {
    call.isOffered = true;
    this.calls++;
    if (call.requestEnded && call.plan.holdsResponse) {
      // The attempt timeout of the caller's sidecar counts from the end of the request.
      const untilMs = this.context.nowMs + attemptTimeoutIn(call.block);
      if (untilMs < call.deadlineMs) setDeadline(call, untilMs);
    }
    const refusal = this.queues.of(call).admit(call);
    if (refusal === null && call.ticket!.queueState === QueueState.running) this.start(call);
    return refusal;
  }

  /** Forwards the call to the model. Where it may not be repeated, nothing is buffered for another attempt. */
  start(call: InboundCall): void {
    const instance = this.choice.of(call);
    call.instance = instance;
    if (this.tap !== null) this.tap.onStart(call);
    if (call.ticket !== null) instance.activity.begin(call.ticket);
    // First, so that a request that is here goes on in the frames that it came in.
    if (!this.mayRepeat(call)) disableReplay(call);
    beginAttempt(call, new Attempt(call, instance, this.context.nowMs), NEVER);
    this.deps.buffers.release(call);
  }

  private mayRepeat({ match, requestEnded, plan, isRepeated }: InboundCall): boolean {
    const isWhole = requestEnded && plan.holdsResponse;
    return this.instances.length > 1 && isWhole && !isRepeated && match?.plan.config.idempotent === true;
  }

  /**
   * Sends the call to another instance that is ready, once, where its route says that it is idempotent. False: the call is
   * as it was. Its place in the queue stays its own.
   */
  repeat(call: InboundCall): boolean {
    const { instance: lost, ticket } = call;
    if (lost === null || !call.isReplayable || call.isCommitted || !this.mayRepeat(call)) return false;
    const instance = this.choice.otherThan(lost);
    if (instance === null) return false;
    call.isRepeated = true;
    call.instance = instance;
    if (ticket !== null) {
      lost.activity.end(ticket);
      instance.activity.begin(ticket);
    }
    beginAttempt(call, new Attempt(call, instance, this.context.nowMs), NEVER);
    disableReplay(call);
    return true;
  }

  /** Gives the free places in the queue away: to suspended calls that go on and to waiting ones, by turns. */
  startWaiting(): void {
    for (const { queue } of this.queues.all) this.startWaitingIn(queue);
  }

  private startWaitingIn(queue: InboundQueue<Ticket>): void {
    const now = this.context.nowMs;
    for (;;) {
      const resumed = queue.nextResumed(now);
      if (resumed !== null) {
        resumed.call.instance!.activity.begin(resumed);
        resumeRequest(resumed.call);
      }
      const ticket = queue.next(now);
      if (ticket !== null) this.startOrRefuse(ticket);
      else if (resumed === null) return;
    }
  }

  private startOrRefuse(ticket: Ticket): void {
    const { call, queueState } = ticket;
    if (queueState === QueueState.expired) sendLocalReply(call, this.queueExpired());
    else if (queueState === QueueState.late)
      sendLocalReply(call, ticket.limits.refusalFor(Admission.tooLate, ticket));
    else this.start(call);
  }

  /** The reply to a call that has waited for as long as it may. */
  waitedTooLong(ticket: Ticket): LocalReply {
    return ticket.limits.waitedTooLong(ticket);
  }

  /** The reply to a call whose deadline passed in the queue. */
  queueExpired(): LocalReply {
    return makeLocalReply(LocalReplyReasons.queueExpired, { service: this.deps.service });
  }

  /**
   * Nothing has moved on the call for a while. Its place in the queue goes to another call, unless the model has the whole
   * request and has not begun to answer: then it is at work.
   */
  onInactive({ requestEnded, isCommitted, instance }: InboundCall, ticket: Ticket): void {
    const isAtWork = requestEnded && !isCommitted;
    if (isAtWork || instance === null || !instance.activity.suspend(ticket)) return;
    ticket.limits.queue.suspend(ticket, this.context.nowMs);
    instance.silentStreams.add(ticket);
    instance.endExcessStreams();
    this.startWaiting();
  }

  /** Something moves again. Without a free place, what the caller sends is held until there is one; the response goes on. */
  onActive(call: InboundCall, ticket: Ticket): void {
    if (ticket.queueState !== QueueState.suspended) return;
    const { silentStreams, activity } = call.instance!;
    silentStreams.delete(ticket);
    if (ticket.limits.queue.resume(ticket, this.context.nowMs)) activity.begin(ticket);
    else holdRequest(call);
  }

  /** The call is over, however it ended: its place is free. */
  onFinish(call: InboundCall, ticket: Ticket, status: number): void {
    if (this.tap !== null) this.tap.onEnd(call, status);
    const now = this.context.nowMs;
    const { instance } = call;
    instance?.lostCalls.forget(call);
    instance?.silentStreams.delete(ticket);
    if (instance?.activity.end(ticket) === true) {
      ticket.limits.release(call, ticket, now);
      this.startWaitingIn(ticket.limits.queue);
    } else {
      ticket.limits.queue.remove(ticket);
    }
    if (!call.isOffered) return;
    this.calls--;
    if (this.calls === 0) this.onIdle?.();
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
}

function isStarting({ state }: ModelInstance): boolean {
  return state.kind === 'starting';
}

/** One backend for each model; those of one process share its connections and its account of silent streams. */
export function makeBackends(
  models: readonly ServedModel[],
  config: InboundConfig,
  deps: BackendDeps,
): ModelBackend[] {
  const backends: ModelBackend[] = [];
  for (const model of models)
    backends.push(
      new ModelBackend(model, config, deps, backends, models.length === 1 && model.version === undefined),
    );
  return backends;
}
