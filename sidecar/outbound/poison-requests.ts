import { LocalReplyReasons } from '../core/outcome/local-reply-reason.js';
import { Status } from '../core/outcome/status.js';
import { MAX_CRASHES, type PoisonTable, REMEMBERED_MS } from '../core/retry/poison-requests.js';
import { headerViewOf } from '../http2/header-view.js';
import { NEVER } from '../relay/call.js';
import { resumeAt } from '../relay/call-timer.js';
import { type LocalReply, makeLocalReply } from '../relay/local-reply.js';
import { Next } from '../relay/next.js';
import { creditRequest } from '../relay/request-buffer.js';
import { fingerprintOf } from '../relay/response-cache/request-key.js';
import type { OutboundAttempt, OutboundCall } from './call.js';

/**
 * Recognises the requests of one upstream that crash models: notes crashes, and refuses what has crashed too many. Unary
 * requests are recognised by a fingerprint of all of their octets; while nothing is on record, a call costs one comparison.
 */
export class PoisonWatch {
  /** Attempts that ran in a process as it crashed, for metrics. */
  crashes = 0;

  constructor(
    private readonly upstream: string,
    private readonly table: PoisonTable,
  ) {}

  /** Nothing is on record. */
  get isIdle(): boolean {
    return this.table.size === 0;
  }

  /** Before a first attempt. `handled`: it waits until all of its request is here, by which alone it can be recognised. */
  awaitRequest(call: OutboundCall, nowMs: number): Next {
    if (call.requestEnded || !call.isReplayable || !call.plan.holdsResponse) return Next.continue;
    if (!this.table.isRefusing(nowMs)) return Next.continue;
    call.isWaiting = true;
    resumeAt(call, NEVER);
    // It may have waited for something else with its window full.
    creditRequest(call, call.requestBytes);
    return Next.handled;
  }

  /** Before a first attempt: the reply to a request that has crashed models; null: it has not. */
  refusal(call: OutboundCall, nowMs: number): LocalReply | null {
    if (!this.table.isRefusing(nowMs)) return null;
    const fingerprint = this.of(call);
    if (fingerprint === '' || !this.table.isRefused(fingerprint, nowMs)) return null;
    call.hasCrashed = true;
    const values = { crashes: MAX_CRASHES, upstream: this.upstream, minutes: REMEMBERED_MS / 60_000 };
    return makeLocalReply(LocalReplyReasons.poison, values);
  }

  /** The model process crashed while it ran this attempt. */
  crashed(call: OutboundCall, attempt: OutboundAttempt, nowMs: number): void {
    this.crashes++;
    call.hasCrashed = true;
    const fingerprint = call.fingerprint || this.make(call);
    if (fingerprint === '') return;
    const { upstream } = this;
    this.table.crashed({ fingerprint, upstream, bytes: call.requestBytes }, attempt.startMs, nowMs);
  }

  /** A success clears the record of its request. */
  answered(call: OutboundCall, attempt: OutboundAttempt): void {
    if (attempt.status !== Status.OK) return;
    const fingerprint = this.of(call);
    if (fingerprint !== '') this.table.answered(fingerprint);
  }

  /** The buffered request is about to be freed: the last moment to take its fingerprint. */
  note(call: OutboundCall): void {
    call.fingerprint = this.of(call);
  }

  /** The fingerprint of a call that may have a record; empty: it has none. */
  private of(call: OutboundCall): string {
    if (call.fingerprint !== '') return call.fingerprint;
    return this.table.mayHaveRecord(this.upstream, call.requestBytes) ? this.make(call) : '';
  }

  private make(call: OutboundCall): string {
    const { buffered, plan, requestEnded, requestBytes } = call;
    if (!plan.holdsResponse || !requestEnded || (buffered?.bytes ?? 0) !== requestBytes) return '';
    return fingerprintOf(this.upstream, headerViewOf(call.original).path, buffered);
  }
}
