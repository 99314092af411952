/** What both kinds of a resumable response do to their call (resumable-stream.ts, token-stream.ts). */

import type { Call } from '../call.js';
import { CallEvent, step } from '../call-phase.js';
import { disableReplay } from '../request-buffer.js';

/** Sends bytes that others may hold as well. */
export function sendShared(call: Call, buffer: Buffer, start: number, end: number): void {
  call.responseBytes += end - start;
  call.session.connection.sendData(call.stream, buffer, start, end, false);
}

/** The caller has got something of the endpoint that goes on. */
export function tellResumed(call: Call): void {
  step(call, CallEvent.resume);
  call.handler.onResumed?.(call);
}

/** From here on no other endpoint can go on with the call. */
export function endResumption(call: Call): void {
  call.resumable = null;
  disableReplay(call);
}
