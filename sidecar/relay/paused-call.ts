/** A call whose endpoint is to do nothing more for it, for now. */

import type { Call } from './call.js';
import { markActive } from './call-timer.js';
import { holdRequest, resumeRequest } from './request-buffer.js';

/**
 * What the caller sends is buffered, and what it reads gives the endpoint no credit, until `resumeCall`. What the endpoint has sent is passed on.
 * Only for a call that is not replayable.
 */
export function pauseCall(call: Call): void {
  holdRequest(call);
  if (call.heldCredit < 0) call.heldCredit = 0;
}

/** Both directions go on. */
export function resumeCall(call: Call): void {
  resumeResponse(call);
  resumeRequest(call);
}

/** The endpoint may go on with its response, as far as the caller has read it. */
export function resumeResponse(call: Call): void {
  const { heldCredit, attempt } = call;
  call.heldCredit = -1;
  if (heldCredit > 0) attempt?.credit(heldCredit);
}

/** Its caller has read some of the response. It is active again once its endpoint could go on by that, or when all is read. */
export function holdCredit(call: Call, bytes: number): void {
  call.heldCredit += bytes;
  if (!call.isInactive) return;
  const { attempt, stream } = call;
  const isRead = stream.pendingBytes === 0;
  if (isRead || attempt?.isCreditDue(call.heldCredit) === true) markActive(call);
}
