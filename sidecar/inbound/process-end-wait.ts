/**
 * Calls whose connection to the model broke. The break is often seen before the end of the model's process is, and the
 * answer depends on that end: a call that ran in a process that crashed is not to be repeated. So such calls wait for it a
 * moment, within their deadline.
 */

import { implicatesCalls, type ProcessEnd } from '../core/health/process-end.js';
import { Reasons } from '../core/outcome/local-reply-reason.js';
import type { HeaderField } from '../http2/hpack/field.js';
import { resumeAt } from '../relay/call-timer.js';
import { localReplyFor, makeLocalReply } from '../relay/local-reply.js';
import { sendLocalReply } from '../relay/response.js';
import type { InboundCall } from './call.js';

/** Its attempt brought no answer of the model's own, and no process is known to have died of it. */
export function answerFailed(call: InboundCall, service: string, mark: HeaderField | null): void {
  sendLocalReply(call, { ...localReplyFor(call.attempt!, service, 0), metadata: mark });
}

/** Longest wait for the end of the process after the break of the connection, or the other way about. */
const LONGEST_WAIT_MS = 250;

export class LostCalls {
  /** A supervisor tells how the process ends; without one nothing is waited for. */
  hasSupervisor = false;
  private readonly waiting = new Set<InboundCall>();
  private last: ProcessEnd | null = null;
  private lastMs = Number.NEGATIVE_INFINITY;

  constructor(
    private readonly service: string,
    private readonly modelField: HeaderField | null,
  ) {}

  /** The connection under the call broke: it is answered now, or when the process has ended, or after a moment. */
  onLost(call: InboundCall, nowMs: number): void {
    if (!this.hasSupervisor || call.ticket === null) return answerFailed(call, this.service, this.modelField);
    if (nowMs - this.lastMs <= LONGEST_WAIT_MS) return this.answer(call);
    this.waiting.add(call);
    resumeAt(call, nowMs + LONGEST_WAIT_MS);
  }

  /** The moment is over. */
  onTimeout(call: InboundCall): void {
    if (this.waiting.delete(call)) answerFailed(call, this.service, this.modelField);
  }

  /** The call ended meanwhile. */
  forget(call: InboundCall): void {
    this.waiting.delete(call);
  }

  /** The process of the model has ended. */
  onProcessEnd(end: ProcessEnd, nowMs: number): void {
    this.last = end;
    this.lastMs = nowMs;
    for (const call of this.waiting) {
      this.waiting.delete(call);
      this.answer(call);
    }
  }

  private answer(call: InboundCall): void {
    const { last, service, modelField } = this;
    if (last === null || !implicatesCalls(last.class)) return answerFailed(call, service, modelField);
    sendLocalReply(call, makeLocalReply(Reasons.modelCrashed, { service, detail: last.how }, modelField));
  }
}
