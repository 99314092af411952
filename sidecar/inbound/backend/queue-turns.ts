import { Admission, type InboundQueue, QueueState } from '../../core/admission/queue.js';
import { restartQuiet } from '../../relay/call-timer.js';
import type { LocalReply } from '../../relay/local-reply.js';
import { resumeCall, resumeResponse } from '../../relay/paused-call.js';
import { sendLocalReply } from '../../relay/response.js';
import { WheelEntry } from '../../runtime/time/timing-wheel.js';
import type { DataPlaneContext } from '../../transport/context.js';
import type { InboundCall, Ticket } from '../call.js';
import type { BackendQueues } from './backend-queues.js';

/** What becomes of a call whose turn it is; `ModelBackend` says it. */
export interface TurnTaker {
  start(call: InboundCall): void;
  unavailable(detail: string): LocalReply;
}

/** While streams wait to go on, it is looked at so often whether their places still move, ms. */
const CHECK_MS = 1_000;

/** The turns of the calls that wait in the queues of one model. */
export class QueueTurns extends WheelEntry {
  /** Those whose turns are being given. */
  private readonly giving = new Set<InboundQueue<Ticket>>();

  constructor(
    private readonly queues: BackendQueues,
    private readonly context: DataPlaneContext,
    private readonly taker: TurnTaker,
  ) {
    super();
  }

  /** Gives the free places in the queues away: to suspended calls that go on and to waiting ones, by turns. */
  give(): void {
    for (const { queue } of this.queues.all) this.giveIn(queue);
  }

  /** A call that ends as it starts gives its place back here: the next turn is not given below, but by the loop above. */
  giveIn(queue: InboundQueue<Ticket>): void {
    if (this.giving.has(queue)) return;
    this.giving.add(queue);
    try {
      this.giveTurns(queue);
    } finally {
      this.giving.delete(queue);
    }
  }

  private giveTurns(queue: InboundQueue<Ticket>): void {
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
      // However long it has waited for the place: it has that from now on, and may have nothing more to send.
      restartQuiet(ticket.call);
      ticket.call.instance!.activity.begin(ticket);
      resumeCall(ticket.call);
    } catch (error) {
      this.context.containment.contain(ticket.call, error);
    }
  }

  /** A stream waits to go on. Its turn comes when a place is free, or after long when none moves. */
  awaitResuming(): void {
    if (!this.isScheduled) this.context.wheel.add(this, this.context.nowMs + CHECK_MS);
  }

  fire(): void {
    const now = this.context.clock.now();
    this.context.nowMs = now;
    let waits = false;
    for (const { queue } of this.queues.all) {
      const stuck = queue.nextStuck(now);
      if (stuck !== null) this.resumeTicket(stuck);
      waits ||= queue.hasResuming;
    }
    if (waits) this.awaitResuming();
  }

  /** The model takes no calls: what it has of those that would go on it may end. */
  releaseResuming(): void {
    for (const { queue } of this.queues.all)
      for (const { call } of queue.resumingEntries) resumeResponse(call);
  }

  /** The model is away: nothing waits for it. */
  refuseAll(why: string): void {
    for (const { queue } of this.queues.all)
      for (let ticket = queue.takeWaiting(); ticket !== null; ticket = queue.takeWaiting())
        this.refuseWaiting(ticket, why);
  }

  private refuseWaiting({ call }: Ticket, why: string): void {
    try {
      sendLocalReply(call, this.taker.unavailable(why));
    } catch (error) {
      this.context.containment.contain(call, error);
    }
  }

  private startOrRefuse(ticket: Ticket): void {
    const { call, queueState } = ticket;
    if (queueState === QueueState.expired) sendLocalReply(call, ticket.limits.expire(ticket));
    else if (queueState === QueueState.late)
      sendLocalReply(call, ticket.limits.refusalFor(Admission.tooLate, ticket));
    else this.taker.start(call);
  }
}
