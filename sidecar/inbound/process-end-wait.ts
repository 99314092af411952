import { implicatesCalls, type ProcessEnd } from '../core/health/process-end.js';
import { LocalReplyReasons } from '../core/outcome/local-reply-reason.js';
import type { HeaderField } from '../http2/hpack/field.js';
import { resumeAt } from '../relay/call-timer.js';
import { type LocalReply, localReplyFor, makeLocalReply } from '../relay/local-reply.js';
import { sendLocalReply } from '../relay/response.js';
import type { InboundCall } from './call.js';

/** Longest wait for the end of the process after the connection was lost, or the other way about, ms. */
const LONGEST_WAIT_MS = 250;

/**
 * Calls whose connection to the model was lost. The loss is often seen before the end of the model's process, and the
 * reply depends on that end: a call that ran in a process that crashed is not to be repeated. So such calls wait a moment
 * for it, within their deadline.
 */
export class LostCalls {
  /** A supervisor reports how the process ends; without one nothing is waited for. */
  hasSupervisor = false;
  private readonly waiting = new Set<InboundCall>();
  private lastEnd: ProcessEnd | null = null;
  private lastEndMs = Number.NEGATIVE_INFINITY;

  /** `repeat`: sends a call that its process did not end to another one, and says whether it did. */
  constructor(
    private readonly service: string,
    private readonly modelField: HeaderField | null,
    private readonly repeat: (call: InboundCall) => boolean,
  ) {}

  /** The connection under the call was lost: it is answered now, or when the process has ended, or after a moment. */
  onLost(call: InboundCall, nowMs: number): void {
    if (!this.hasSupervisor || call.ticket === null) return this.answer(call, this.connectionLost(call));
    if (nowMs - this.lastEndMs <= LONGEST_WAIT_MS) return this.answer(call, this.replyTo(call));
    this.waiting.add(call);
    resumeAt(call, nowMs + LONGEST_WAIT_MS);
  }

  /** The wait of the call is over, and the process has not ended. */
  onTimeout(call: InboundCall): void {
    if (this.waiting.delete(call)) this.answer(call, this.connectionLost(call));
  }

  /** The call has ended meanwhile. */
  forget(call: InboundCall): void {
    this.waiting.delete(call);
  }

  onProcessEnd(end: ProcessEnd, nowMs: number): void {
    this.lastEnd = end;
    this.lastEndMs = nowMs;
    for (const call of this.waiting) {
      this.waiting.delete(call);
      this.answer(call, this.replyTo(call));
    }
  }

  /** The second process that is lost with the same call has crashed, as far as can be told. */
  private answer(call: InboundCall, reply: LocalReply): void {
    if (reply.reason === LocalReplyReasons.modelCrashed) return sendLocalReply(call, reply);
    const failure = call.ensureFailure();
    if (failure.hasLostModel) return sendLocalReply(call, this.crashed('a second process was lost with it'));
    failure.hasLostModel = true;
    if (!this.repeat(call)) sendLocalReply(call, reply);
  }

  private replyTo(call: InboundCall): LocalReply {
    const { lastEnd } = this;
    if (lastEnd === null || !implicatesCalls(lastEnd.class)) return this.connectionLost(call);
    return this.crashed(lastEnd.how);
  }

  private crashed(detail: string): LocalReply {
    const { service, modelField } = this;
    return makeLocalReply(LocalReplyReasons.modelCrashed, { service, detail }, modelField);
  }

  private connectionLost({ attempt }: InboundCall): LocalReply {
    return { ...localReplyFor(attempt!, this.service, 0), metadata: this.modelField };
  }
}
