import { NEVER } from '../relay/call.js';
import { resumeAt } from '../relay/call-timer.js';
import { Next } from '../relay/next.js';
import { creditRequest } from '../relay/request-buffer.js';
import { EngineCall } from '../relay/stream/engine-call.js';
import type { OutboundCall } from './call.js';

/** Calls of a language-model engine: their requests are read before the first attempt. */

/** Before a first attempt of a call that generates tokens. `handled`: it waits until all of its request is here. */
export function awaitEngineRequest(call: OutboundCall): Next {
  if (call.engineCall !== null || call.isCopy) return Next.continue;
  const { codec } = call.plan.engine!;
  if (call.requestEnded || !call.isReplayable) {
    call.engineCall = new EngineCall(codec, call.isReplayable ? call.buffered : null);
    return Next.continue;
  }
  call.ensureWait().isForRequest = true;
  resumeAt(call, NEVER);
  // It may have waited for something else with its window full.
  creditRequest(call, call.requestBytes);
  return Next.handled;
}
