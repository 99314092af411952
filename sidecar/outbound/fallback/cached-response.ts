import { NEVER } from '../../relay/call.js';
import { resumeAt } from '../../relay/call-timer.js';
import { Next } from '../../relay/next.js';
import { creditRequest } from '../../relay/request-buffer.js';
import { sendStored } from '../../relay/response.js';
import type { FallbackState, OutboundCall } from '../call.js';
import { markDegraded } from './step.js';

/**
 * Step `last-good`: the last good response to the same request. It is looked up by all of the request, so that the call
 * waits until that is here, and the step is asked again. Of a request that is longer than what is kept of one no response is stored, so
 * that such a call is not kept waiting, nor is more of it.
 */
export function cachedResponse(call: OutboundCall, fallback: FallbackState): Next {
  const { responseCache } = fallback.methodState.route;
  if (responseCache === null || responseCache.size === 0) return Next.continue;
  if (!call.isReplayable) return Next.continue;
  if (!call.requestEnded) {
    fallback.isWaiting = true;
    fallback.step--;
    resumeAt(call, NEVER);
    // Its window may be full of what no endpoint took.
    creditRequest(call, call.requestBytes);
    return Next.handled;
  }
  const response = responseCache.find(call, call.context.nowMs);
  if (response === undefined) return Next.continue;
  markDegraded(call, fallback, 'last-good');
  sendStored(call, response);
  return Next.handled;
}
