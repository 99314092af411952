import { MetadataKey } from '../core/metadata-key.js';
import type { UpstreamFailures } from '../core/retry/upstream-failures.js';
import { fieldValue } from '../http2/header-view.js';
import type { HeaderField } from '../http2/hpack/field.js';
import { nameField } from '../http2/hpack/name-field.js';
import { Token } from '../http2/hpack/tokens.js';
import { NO_FIELDS } from '../http2/stream.js';
import type { Attempt } from '../relay/attempt.js';
import { NO_RETRY } from '../relay/local-reply.js';
import { traceIdOf } from '../telemetry/trace-context.js';
import type { InboundCall } from './call.js';

/**
 * What is added to the trailers of a model's answer that failed because of a service which the model calls, and for which
 * this sidecar has tried all that its retries allow: no retry, and, where that service answered, which one it is. An
 * answer with a pushback of its own is left as it is.
 */
export function failedUpstreamFields(
  call: InboundCall,
  attempt: Attempt,
  failures: UpstreamFailures | null,
): readonly HeaderField[] {
  const { status, trailers } = attempt;
  if (failures === null || status <= 0 || trailers === null || call.isCommitted) return NO_FIELDS;
  // The model was told of this one.
  const trace = call.trace?.traceId || (traceIdOf(call.block) ?? '');
  const cause = failures.takeCause({ status, trace, startMs: call.startMs });
  if (cause === undefined || fieldValue(trailers, Token.grpcRetryPushbackMs) !== undefined) return NO_FIELDS;
  return cause.isAnswered ? [NO_RETRY, nameField(MetadataKey.failedUpstream, cause.upstream)] : [NO_RETRY];
}
