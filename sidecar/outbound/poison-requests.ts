/**
 * Requests that crash models, as far as one upstream's calls are concerned: what is noted of a crash, and whether a call
 * may begin. Known by a fingerprint are unary requests that were kept whole; while nothing is on record, a call costs the
 * look at a number.
 */

import { Status } from '../core/outcome/status.js';
import type { PoisonTable } from '../core/retry/poison-requests.js';
import { headerViewOf } from '../http2/header-view.js';
import { NEVER } from '../relay/call.js';
import { resumeAt } from '../relay/call-timer.js';
import { creditRequest } from '../relay/request-buffer.js';
import { fingerprintOf } from '../relay/response-cache/request-key.js';
import type { OutboundAttempt, OutboundCall } from './call.js';

export class PoisonWatch {
  /** Attempts that ran in a process as it crashed. */
  crashes = 0;

  constructor(
    private readonly upstream: string,
    private readonly table: PoisonTable,
  ) {}

  /** Nothing is on record. */
  get isIdle(): boolean {
    return this.table.size === 0;
  }

  /** A first attempt is to be made. True: all of its request has to be here before that. */
  waits(call: OutboundCall, nowMs: number): boolean {
    if (call.requestEnded || !call.isReplayable || !call.plan.holdsResponse) return false;
    if (!this.table.isRefusing(nowMs)) return false;
    call.isWaiting = true;
    resumeAt(call, NEVER);
    // Perhaps it has waited for something else with its window full.
    creditRequest(call, call.requestBytes);
    return true;
  }

  refuses(call: OutboundCall, nowMs: number): boolean {
    if (!this.table.isRefusing(nowMs)) return false;
    const fingerprint = this.of(call);
    return fingerprint !== '' && this.table.isRefused(fingerprint, nowMs);
  }

  /** The process crashed, and this attempt was in it. */
  crashed(call: OutboundCall, attempt: OutboundAttempt, nowMs: number): void {
    this.crashes++;
    call.hasCrashed = true;
    const fingerprint = call.fingerprint || this.make(call);
    if (fingerprint === '') return;
    const { upstream } = this;
    this.table.crashed({ fingerprint, upstream, bytes: call.requestBytes }, attempt.startMs, nowMs);
  }

  answered(call: OutboundCall, attempt: OutboundAttempt): void {
    if (attempt.status !== Status.OK) return;
    const fingerprint = this.of(call);
    if (fingerprint !== '') this.table.answered(fingerprint);
  }

  /** What is kept of the request is let go. */
  note(call: OutboundCall): void {
    call.fingerprint = this.of(call);
  }

  /** Of a call that may have a record; empty: it has none. */
  private of(call: OutboundCall): string {
    if (call.fingerprint !== '') return call.fingerprint;
    return this.table.mayKnow(this.upstream, call.requestBytes) ? this.make(call) : '';
  }

  private make(call: OutboundCall): string {
    const { buffered, plan, requestEnded, requestBytes } = call;
    if (!plan.holdsResponse || !requestEnded || (buffered?.bytes ?? 0) !== requestBytes) return '';
    return fingerprintOf(this.upstream, headerViewOf(call.original).path, buffered);
  }
}
