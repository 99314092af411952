import type { InboundConfig } from '../config/model.js';
import { Admission, type InboundQueue, QueueState } from '../core/admission/queue.js';
import { SilentStreams } from '../core/admission/silent-streams.js';
import type { ProcessEnd } from '../core/health/process-end.js';
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
import { failCall, sendLocalReply } from '../relay/response.js';
import type { DataPlaneContext } from '../transport/context.js';
import type { Pool } from '../transport/pool.js';
import { InboundAdmission, isBypassed, type SharedLimits } from './admission.js';
import type { InboundCall, Ticket } from './call.js';
import { ModelActivity } from './model-activity.js';
import { LostCalls } from './process-end-wait.js';

/** Whether a model takes calls. */
export type ModelState =
  | { readonly kind: 'ready' }
  /** Not yet ready for the first time: calls wait in the queue. */
  | { readonly kind: 'starting' }
  /** It was ready and is not, or will not be: calls are refused, so that the caller's sidecar tries another replica. */
  | { readonly kind: 'away'; readonly why: string };

/** Where a model is served. */
export interface ServedModel {
  /** Empty: the only server, whatever models it has; calls are not read for a model name. */
  readonly name: string;
  /** Several models of one process share it. */
  readonly pool: Pool;
}

/** What the models behind one inbound side share. */
export interface BackendDeps {
  readonly service: string;
  readonly context: DataPlaneContext;
  readonly limits: SharedLimits;
  readonly buffers: BufferAdmission;
}

/**
 * One model, or all models of a server whose calls are not read for a name: its state, the connections to its process,
 * its queue, and the calls that it runs. A stream on which nothing moves gives its place in the queue to others.
 */
export class ModelBackend {
  readonly name: string;
  /** The target of its attempts. */
  readonly pool: Pool;
  readonly limits: InboundAdmission;
  readonly activity = new ModelActivity();
  readonly lostCalls: LostCalls;
  /** Its suspended calls; shared by all models behind the same connections. */
  silentStreams = new SilentStreams<Ticket>();
  /** `outrider-model`, sent with a failure of this model only, so that callers do not hold it against others; null: there is one model. */
  readonly modelField: HeaderField | null;
  state: ModelState = { kind: 'starting' };
  private readonly context: DataPlaneContext;

  /** `isOnly`: there is one model. */
  constructor(
    { name, pool }: ServedModel,
    config: InboundConfig,
    private readonly deps: BackendDeps,
    /** All of them, this one included. */
    private readonly siblings: readonly ModelBackend[],
    isOnly: boolean,
  ) {
    const { service, context, limits } = deps;
    this.name = name;
    this.pool = pool;
    this.context = context;
    this.modelField = isOnly ? null : makeField('outrider-model', encodeURIComponent(name));
    this.lostCalls = new LostCalls(service, this.modelField);
    this.limits = new InboundAdmission(config, service, context, limits);
    pool.onExhausted = () => this.endExcessStreams();
  }

  get queue(): InboundQueue<Ticket> {
    return this.limits.queue;
  }

  /** Calls that wait are refused when the model is away. */
  setState(state: ModelState): void {
    this.context.nowMs = this.context.clock.now();
    this.state = state;
    this.limits.open(state.kind === 'ready');
    if (state.kind === 'ready') return this.startWaiting();
    if (state.kind === 'starting') return;
    const { queue } = this;
    for (let ticket = queue.takeWaiting(); ticket !== null; ticket = queue.takeWaiting())
      sendLocalReply(ticket.call, this.unavailable(state.why));
  }

  /** The process of the model has ended. */
  onProcessEnd(end: ProcessEnd): void {
    this.context.nowMs = this.context.clock.now();
    this.lostCalls.onProcessEnd(end, this.context.nowMs);
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
    const { state, limits } = this;
    if (state.kind === 'away') return this.unavailable(state.why);
    const { path } = headerViewOf(call.block);
    if (isBypassed(path)) {
      this.start(call);
      return null;
    }
    const refusal = limits.check(call, path);
    if (refusal !== null) return refusal;
    // A unary call is queued when its request is complete, so that a slow uploader holds no place. Where the queue would
    // refuse it now, its request is not read.
    return call.requestEnded || !call.plan.holdsResponse ? this.enqueue(call) : limits.foresee(call);
  }

  /** Offers the call to the queue; it starts now or when its turn comes. Returned is the reply where it is refused. */
  enqueue(call: InboundCall): LocalReply | null {
    call.isOffered = true;
    if (call.requestEnded && call.plan.holdsResponse) {
      // The attempt timeout of the caller's sidecar counts from the end of the request.
      const untilMs = this.context.nowMs + attemptTimeoutIn(call.block);
      if (untilMs < call.deadlineMs) setDeadline(call, untilMs);
    }
    const refusal = this.limits.admit(call);
    if (refusal === null && call.ticket!.queueState === QueueState.running) this.start(call);
    return refusal;
  }

  /** Forwards the call to the model. There is no second attempt: nothing is buffered for one. */
  start(call: InboundCall): void {
    if (call.ticket !== null) this.activity.begin(call.ticket);
    beginAttempt(call, new Attempt(call, this, this.context.nowMs), NEVER);
    disableReplay(call);
    this.deps.buffers.release(call);
  }

  /** Gives the free places in the queue away: to suspended calls that go on and to waiting ones, by turns. */
  startWaiting(): void {
    const { queue } = this;
    const now = this.context.nowMs;
    for (;;) {
      const resumed = queue.nextResumed(now);
      if (resumed !== null) {
        this.activity.begin(resumed);
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
      sendLocalReply(call, this.limits.refusalFor(Admission.tooLate, ticket));
    else this.start(call);
  }

  /** The reply to a call whose deadline passed in the queue. */
  queueExpired(): LocalReply {
    return makeLocalReply(LocalReplyReasons.queueExpired, { service: this.deps.service });
  }

  /**
   * Nothing has moved on the call for a while. Its place in the queue goes to another call, unless the model has the whole
   * request and has not begun to answer: then it is at work.
   */
  onInactive({ requestEnded, isCommitted }: InboundCall, ticket: Ticket): void {
    const isAtWork = requestEnded && !isCommitted;
    if (isAtWork || !this.activity.suspend(ticket)) return;
    this.queue.suspend(ticket, this.context.nowMs);
    this.silentStreams.add(ticket);
    this.endExcessStreams();
    this.startWaiting();
  }

  /** Something moves again. Without a free place, what the caller sends is held until there is one; the response goes on. */
  onActive(call: InboundCall, ticket: Ticket): void {
    if (ticket.queueState !== QueueState.suspended) return;
    this.silentStreams.delete(ticket);
    if (this.queue.resume(ticket, this.context.nowMs)) this.activity.begin(ticket);
    else holdRequest(call);
  }

  /**
   * Calls wait for a stream to the model, and its connections allow no more: callers with more than their share of the
   * streams lose suspended ones.
   */
  endExcessStreams(): void {
    const { pool, silentStreams } = this;
    while (pool.isExhausted) {
      const ticket = silentStreams.overShare(pool.inFlight);
      if (ticket === null || !pool.hasWaitersBesides(ticket.holder)) return;
      silentStreams.delete(ticket);
      failCall(ticket.call, makeLocalReply(LocalReplyReasons.silentStream, { service: this.deps.service }));
    }
  }

  /** The call is over, however it ended: its place is free. */
  onFinish(call: InboundCall, ticket: Ticket): void {
    const now = this.context.nowMs;
    this.lostCalls.forget(call);
    this.silentStreams.delete(ticket);
    if (this.activity.end(ticket)) {
      this.limits.release(call, ticket, now);
      this.startWaiting();
    } else {
      this.queue.remove(ticket);
    }
  }
}

/** One backend for each model; those of one process share its pool and its account of silent streams. */
export function makeBackends(
  models: readonly ServedModel[],
  config: InboundConfig,
  deps: BackendDeps,
): readonly ModelBackend[] {
  const backends: ModelBackend[] = [];
  for (const model of models) {
    const backend = new ModelBackend(model, config, deps, backends, models.length === 1);
    const other = backends.find(({ pool }) => pool === model.pool);
    if (other !== undefined) backend.silentStreams = other.silentStreams;
    backends.push(backend);
  }
  return backends;
}
