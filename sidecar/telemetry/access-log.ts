import { statusName } from '../core/outcome/status.js';
import type { LogFields } from '../runtime/log/logger.js';
import type { Random } from '../runtime/random.js';
import type { EndedAttempt, EndedCall, Recorder } from './call-record.js';
import {
  endedName,
  identityOf,
  isPlainSuccess,
  isRetried,
  MAX_TEXT,
  methodOf,
  peerReason,
  reasonOf,
} from './ended-call.js';
import { requestIdOf, traceIdOf } from './trace-context.js';

/** What a record takes from its surroundings: the time of the read being handled, monotonic ms, and a uniform number in [0, 1). */
export interface CallClock {
  readonly nowMs: number;
  readonly random: Random;
}

/**
 * One line for each call that is over: caller, method, how it ended and why, and every attempt on the way. Of what the
 * call carried there is only its size, and the IDs of its trace and of the request. The line is made here, once, at the end of the call;
 * what peers may choose freely is cut short.
 */
export class AccessLog implements Recorder {
  constructor(
    private readonly write: (record: LogFields) => void,
    /** Share of the calls that is written which succeeded at once; all others are. */
    private readonly sampleRatio: number,
    private readonly service: string,
    private readonly source: CallClock,
  ) {}

  record(call: EndedCall, status: number): void {
    if (this.sampleRatio < 1 && isPlainSuccess(call, status) && !isRetried(call))
      if (this.source.random() >= this.sampleRatio) return;
    const now = this.source.nowMs;
    const direction = call.stats?.direction ?? 'inbound';
    const isInbound = direction === 'inbound';
    this.write({
      direction,
      [isInbound ? 'service' : 'upstream']: call.stats?.service,
      method: methodOf(call.block),
      mirrored: call.isCopy === true ? true : undefined,
      caller: isInbound ? identityOf(call) : this.service,
      status: statusName(status),
      reason: reasonOf(call),
      degraded: call.degraded === '' ? undefined : call.degraded.slice(0, MAX_TEXT),
      ms: tenths(now - call.startMs),
      requestBytes: call.requestBytes,
      responseBytes: call.responseBytes,
      ...tokensOf(call),
      deadlineLeftMs: Number.isFinite(call.deadlineMs) ? tenths(call.deadlineMs - now) : undefined,
      trace: call.trace?.traceId || traceIdOf(call.block),
      requestId: call.trace?.requestId || requestIdOf(call.block),
      ...attemptsOf(call, now),
    });
  }
}

/** Of a call of a language-model engine to which its engine has said something. */
function tokensOf({ engineCall, tokens }: EndedCall): LogFields {
  const usage = (engineCall ?? tokens)?.usage;
  if (usage === undefined) return NO_TOKENS;
  const { promptTokens, cachedTokens, outputTokens } = usage;
  if (promptTokens === 0 && outputTokens === 0) return NO_TOKENS;
  return { inputTokens: promptTokens, cachedTokens, outputTokens };
}

const NO_TOKENS: LogFields = {};

function attemptsOf(call: EndedCall, nowMs: number): LogFields {
  const attempts: LogFields[] = [];
  for (let attempt = call.lastAttempt; attempt !== null; attempt = attempt.previous)
    attempts.push(attemptOf(attempt, call, nowMs));
  attempts.reverse();
  // Only the last ones are kept, and none of those that began before somebody looked.
  const before = call.attempts - attempts.length;
  return before > 0 ? { attempts, attemptsBefore: before } : { attempts };
}

/**
 * `atMs`: after the call's arrival; what it waited for before, a line or a pause, lies between. `waitedMs`: for a connection, as part of `ms`.
 */
function attemptOf(attempt: EndedAttempt, { startMs, plan }: EndedCall, nowMs: number): LogFields {
  const { label = 'local', id } = attempt.target;
  return {
    endpoint: label,
    // Where the file or the registry names none, it is the address.
    name: id === label ? undefined : id,
    resumedAfter: attempt.resumedAfter < 0 ? undefined : attempt.resumedAfter,
    ended: endedName(attempt),
    status: attempt.status < 0 ? undefined : statusName(attempt.status),
    reason: plan.stripsResponse ? undefined : peerReason(attempt),
    why: attempt.reason === '' ? undefined : attempt.reason.slice(0, MAX_TEXT),
    atMs: tenths(attempt.startMs - startMs),
    waitedMs: attempt.waitedMs > 0 ? attempt.waitedMs : undefined,
    ms: tenths((attempt.endedMs === 0 ? nowMs : attempt.endedMs) - attempt.startMs),
  };
}

function tenths(ms: number): number {
  return Math.round(ms * 10) / 10;
}
