import { MetadataKey } from '../core/metadata-key.js';
import { AttemptEnd, isNeverProcessed } from '../core/outcome/outcome.js';
import { isSpent, type UpstreamFailures } from '../core/retry/upstream-failures.js';
import { metadataValue } from '../http2/header-view.js';
import { traceIdOf } from '../telemetry/trace-context.js';
import type { Failure, OutboundAttempt, OutboundCall } from './call.js';

const NAME = /^[a-z0-9][a-z0-9._-]{0,62}$/;

/**
 * Notes the failure that the local application gets, where retries further away would only repeat what was tried here: the
 * hop next to a fault retries, and no other. A call that reached no endpoint is left to them: another replica of this
 * service may reach one.
 */
export function recordFailure(
  failures: UpstreamFailures,
  upstream: string,
  call: OutboundCall,
  { reply, attempt }: Failure,
): void {
  if (attempt === null || call.isCommitted || call.isCopy) return;
  if (call.retry === null || !isSpent(call.retry.decision)) return;
  if (isNeverProcessed(attempt.ended as AttemptEnd)) return;
  failures.note({
    upstream: originOf(attempt, upstream),
    status: reply === null ? attempt.status : reply.reason.status,
    trace: traceIdOf(call.original) ?? '',
    isAnswered: attempt.ended === AttemptEnd.trailers && attempt.trailers !== null,
    atMs: call.context.nowMs,
  });
}

/** The service at which the fault is: what the endpoint says, else the upstream itself. */
function originOf({ trailers }: OutboundAttempt, upstream: string): string {
  const said = trailers === null ? undefined : metadataValue(trailers, MetadataKey.failedUpstream);
  return said !== undefined && NAME.test(said) ? said : upstream;
}
