/** What responses do to their call as they pass, above all those that may be resumed (resumable-stream.ts, token-stream.ts). */

import type { Call } from '../call.js';
import { CallEvent, step } from '../call-phase.js';
import { disableReplay } from '../request-buffer.js';
import type { ForeignBytes } from './foreign-bytes.js';

/** Sends bytes that others may hold as well. */
export function sendShared(call: Call, buffer: Buffer, start: number, end: number): void {
  call.responseBytes += end - start;
  if (call.engineCall !== null) countTokens(call, buffer, start, end);
  call.session.connection.sendData(call.stream, buffer, start, end, false);
}

/** Of a call of an engine: counts the tokens that are about to go to the caller. Another upstream, that it fell back to, is not read. */
export function countTokens(call: Call, buffer: Buffer, start: number, end: number): void {
  const { engineCall, plan, context, startMs } = call;
  if (plan.engine === null || plan.engine.codec !== engineCall!.codec) return;
  engineCall!.usage.count(buffer, start, end, context.nowMs - startMs, context.nowMs);
}

/** The caller has got something of the endpoint that goes on. */
export function tellResumed(call: Call): void {
  step(call, CallEvent.resume);
  call.handler.onResumed?.(call);
}

/** From here on no other endpoint can go on with the call. @param foreign what of others is on its way to the caller. */
export function endResumption(call: Call, foreign: ForeignBytes): void {
  call.resumable = null;
  call.foreign = foreign;
  disableReplay(call);
}
