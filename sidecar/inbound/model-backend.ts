import { HEALTH_CHECK } from '../codec/health.js';
import { Admission, type InboundQueue, QueueState } from '../core/admission/queue.js';
import { MODEL_CONTROL_METHODS } from '../core/routing/method.js';
import { headerViewOf } from '../http2/header-view.js';
import { Attempt } from '../relay/attempt.js';
import { attemptTimeoutIn } from '../relay/attempt-timeout-header.js';
import { NEVER } from '../relay/call.js';
import { beginAttempt } from '../relay/call-attempts.js';
import { setDeadline } from '../relay/call-timer.js';
import type { LocalReply } from '../relay/local-reply.js';
import { disableReplay, holdRequest, resumeRequest } from '../relay/request-buffer.js';
import { sendLocalReply } from '../relay/response.js';
import { isBypassed } from './admission.js';
import { type InboundCall, ServerCall, type Ticket } from './call.js';
import { BackendState } from './models/backend-state.js';

/**
 * One model, or all models of a server whose calls are not read for a name: the way of a call through its queue to the instance
 * that runs it. A stream on which nothing moves gives its place in the queue to others.
 */
export class ModelBackend extends BackendState {
  /**
   * A call for this model has arrived. It is forwarded, queued, or left until more of its request is here. Returned is the
   * reply where it is refused.
   */
  admit(call: InboundCall): LocalReply | null {
    const { state } = this;
    const { path } = headerViewOf(call.block);
    if (state.kind === 'away') {
      if (!this.mayLoad(path)) return this.unavailable(state.why);
      this.start(call);
      return null;
    }
    if (isBypassed(path)) return this.admitServerCall(call, path);
    const limits = this.queues.of(call);
    const refusal = limits.check(call, path);
    if (refusal !== null) return refusal;
    // A unary call is queued when its request is complete, so that a slow uploader holds no place. Where the queue would
    // refuse it now, its request is not read.
    return call.requestEnded || !call.plan.holdsResponse ? this.enqueue(call) : limits.foresee(call);
  }

  /** A call about the server. A stream of them is under the rate limits as well; a check is not, as peers judge the model by it. */
  private admitServerCall(call: InboundCall, path: string): LocalReply | null {
    const kind = path === HEALTH_CHECK ? ServerCall.check : ServerCall.stream;
    const refusal = kind === ServerCall.stream ? this.queues.of(call).check(call, path) : null;
    if (refusal !== null) return refusal;
    const tooMany = this.serverCalls.enter(call, kind);
    if (tooMany === null) this.start(call);
    return tooMany;
  }

  onServerCallFinish(call: InboundCall): void {
    this.serverCalls.leave(call);
  }

  /** Offers the call to the queue; it starts now or when its turn comes. Returned is the reply where it is refused. */
  enqueue(call: InboundCall): LocalReply | null {
    call.isOffered = true;
    this.noteBegin();
    if (call.requestEnded && call.plan.holdsResponse) {
      // The attempt timeout of the caller's sidecar counts from the end of the request.
      const untilMs = this.context.nowMs + attemptTimeoutIn(call.block);
      if (untilMs < call.deadlineMs) {
        call.fullDeadlineMs = call.deadlineMs;
        setDeadline(call, untilMs);
      }
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
    if (!this.mayRepeat(call)) disableReplay(call);
    beginAttempt(call, new Attempt(call, instance, this.context.nowMs), NEVER);
    this.deps.buffers.release(call);
  }

  /** A server that says it is not ready may be so for want of a model: a call that loads one still gets to it. */
  private mayLoad(path: string): boolean {
    return MODEL_CONTROL_METHODS.has(path) && this.instances.some(({ isConnected }) => isConnected);
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

  /** An instance has changed. Calls that wait are refused when the model is away. */
  protected onState(): void {
    const { state, instances, queues } = this;
    this.choice.forgetAway();
    queues.open(instances.filter(({ isReady }) => isReady).length);
    this.deps.onState();
    if (state.kind === 'ready') return this.startWaiting();
    if (state.kind === 'starting') return;
    for (const { queue } of queues.all)
      for (let ticket = queue.takeWaiting(); ticket !== null; ticket = queue.takeWaiting())
        this.refuseWaiting(ticket, state.why);
  }

  /** Gives the free places in the queue away: to suspended calls that go on and to waiting ones, by turns. */
  startWaiting(): void {
    for (const { queue } of this.queues.all) this.startWaitingIn(queue);
  }

  private startWaitingIn(queue: InboundQueue<Ticket>): void {
    const now = this.context.nowMs;
    for (;;) {
      const resumed = queue.nextResumed(now);
      if (resumed !== null) this.resumeTicket(resumed);
      if (this.refuseOverdue(queue)) continue;
      const ticket = queue.next(now);
      if (ticket !== null) this.takeTurn(ticket);
      else if (resumed === null) return;
    }
  }

  /** The call whose turn it is may not wait any more by what is known now, which may be more than when it came: it gives way. */
  private refuseOverdue(queue: InboundQueue<Ticket>): boolean {
    const first = queue.isFull ? null : queue.first;
    if (first === null) return false;
    const refusal = first.limits.waitOn(first.call, first);
    if (refusal === null) return false;
    sendLocalReply(first.call, refusal);
    return true;
  }

  /** Turns come in the middle of another call's event: an exception ends the call whose turn it is. */
  private takeTurn(ticket: Ticket): void {
    try {
      this.startOrRefuse(ticket);
    } catch (error) {
      this.context.containment.contain(ticket.call, error);
    }
  }

  private resumeTicket(ticket: Ticket): void {
    try {
      ticket.call.instance!.activity.begin(ticket);
      resumeRequest(ticket.call);
    } catch (error) {
      this.context.containment.contain(ticket.call, error);
    }
  }

  private refuseWaiting({ call }: Ticket, why: string): void {
    try {
      sendLocalReply(call, this.unavailable(why));
    } catch (error) {
      this.context.containment.contain(call, error);
    }
  }

  private startOrRefuse(ticket: Ticket): void {
    const { call, queueState } = ticket;
    if (queueState === QueueState.expired) sendLocalReply(call, ticket.limits.expire(ticket));
    else if (queueState === QueueState.late)
      sendLocalReply(call, ticket.limits.refusalFor(Admission.tooLate, ticket));
    else this.start(call);
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
    instance?.endingServer.forget(call);
    instance?.silentStreams.delete(ticket);
    // It may have its place and no instance yet, where its start has failed.
    if (instance?.activity.end(ticket) === true || ticket.queueState === QueueState.running) {
      ticket.limits.release(call, ticket, now);
      this.startWaitingIn(ticket.limits.queue);
    } else {
      ticket.limits.queue.remove(ticket);
    }
    if (call.isOffered) this.noteEnd();
  }
}
