import { type AttemptEnd, isNeverProcessed } from '../core/outcome/outcome.js';
import { NoRetry } from '../core/retry/retry-state.js';
import { fieldValue } from '../http2/header-view.js';
import type { HeaderField } from '../http2/hpack/field.js';
import { Token } from '../http2/hpack/tokens.js';
import { NO_FIELDS } from '../http2/stream.js';
import { NO_RETRY } from '../relay/local-reply.js';
import type { Failure, OutboundCall } from './call.js';

const FINAL: readonly HeaderField[] = [NO_RETRY];

/**
 * What the application is told beside its failure: where the route says so (`retry.final`) and this sidecar has made the retries
 * that it may, `grpc-retry-pushback-ms: -1`, so that a client with retries of its own makes no more (gRFC A6).
 *
 * A call that reached no endpoint has cost none and may reach one later. An endpoint that says when to come back has the last word.
 */
export function finalFields(call: OutboundCall, { reply, attempt }: Failure): readonly HeaderField[] {
  if (attempt === null || call.isCommitted || !call.match.plan.config.retry?.final) return NO_FIELDS;
  if (!isUsedUp(call.retry?.decision) || isNeverProcessed(attempt.ended as AttemptEnd)) return NO_FIELDS;
  const hasPushback =
    reply === null
      ? fieldValue(attempt.trailers!, Token.grpcRetryPushbackMs) !== undefined
      : reply.metadata !== null;
  return hasPushback ? NO_FIELDS : FINAL;
}

function isUsedUp(decision: number | undefined): boolean {
  return (
    decision === NoRetry.exhausted || decision === NoRetry.overBudget || decision === NoRetry.overBreaker
  );
}
