import { MetadataKey } from '../core/metadata-key.js';
import { AttemptFacts } from '../core/outcome/classify-attempt.js';
import { AttemptEnd, restsOnElapsedTime } from '../core/outcome/outcome.js';
import { metadataValue } from '../http2/header-view.js';
import type { HeaderBlock } from '../http2/hpack/header-list.js';
import { decodeName } from '../http2/hpack/name-field.js';
import { endpointWaitStartMs } from '../relay/call-timer.js';
import { isTimeAsked } from '../relay/route-table.js';
import type { DataPlaneContext } from '../transport/context.js';
import { toldLimitMs } from './attempt-timeout.js';
import type { OutboundAttempt, OutboundCall } from './call.js';

const facts = new AttemptFacts();

/** What `classifyAttempt` needs of an attempt that has just ended. The record is shared: it holds until the next call. */
export function factsOf(
  call: OutboundCall,
  attempt: OutboundAttempt,
  context: DataPlaneContext,
): AttemptFacts {
  const { startMs, status, trailers } = attempt;
  const { nowMs } = context;
  const ended = attempt.ended as AttemptEnd;
  const isByTime = restsOnElapsedTime(ended, status);
  facts.ended = ended;
  facts.status = status;
  facts.elapsedMs = nowMs - startMs;
  facts.allowedMs = limitMs(call, attempt) - startMs;
  facts.deadlineMs = call.deadlineMs;
  facts.turnMs = endpointWaitStartMs(call, attempt);
  facts.usualMs = attempt.endpoint.usualMsOf(call.kind);
  facts.outcomes = call.match.plan.outcomes;
  facts.isStream = !call.plan.holdsResponse;
  facts.isCommitted = hasBegun(call, attempt);
  facts.isTimeAsked = isByTime && isTimeAsked(call.match.plan.config, call.block);
  facts.hasStalled = isByTime && context.hasStalled();
  facts.hasTrailers = trailers !== null;
  facts.reason = undefined;
  facts.model = undefined;
  facts.isUnprocessed = false;
  facts.isOfUpstream = false;
  // Metadata of an endpoint outside the mesh is not believed: it may say anything.
  if (status > 0 && trailers !== null && !call.plan.stripsResponse) readSidecarTrailers(trailers);
  return facts;
}

/** When the time of the attempt ended. An endpoint may end a long answer at the limit that it was told: that is no fault. */
function limitMs(call: OutboundCall, attempt: OutboundAttempt): number {
  if (attempt.ended !== AttemptEnd.reset || !call.isCommitted) return call.deadlineMs;
  return Math.min(toldLimitMs(call, attempt), call.deadlineMs);
}

/** A stream that has sent its headers is at work, and may be silent for as long as it likes, unless its first message is due. */
function hasBegun({ isCommitted, plan }: OutboundCall, { head, ended }: OutboundAttempt): boolean {
  if (plan.holdsResponse) return isCommitted;
  return ended !== AttemptEnd.attemptTimeout && (isCommitted || head !== null);
}

/** The model that the sidecar of an endpoint names in its trailers; undefined: none. */
export function modelIn(trailers: HeaderBlock): string | undefined {
  const said = metadataValue(trailers, MetadataKey.model);
  return said === undefined ? undefined : decodeName(said);
}

function readSidecarTrailers(trailers: HeaderBlock): void {
  facts.reason = metadataValue(trailers, MetadataKey.reason);
  facts.model = modelIn(trailers);
  facts.isUnprocessed = metadataValue(trailers, MetadataKey.unprocessed) !== undefined;
  facts.isOfUpstream = metadataValue(trailers, MetadataKey.failedUpstream) !== undefined;
}
