/** What the caller is told when an attempt ended without an answer of the endpoint's own. */

import { type Reason, Reasons, reasonMessage } from '../core/outcome/local-reply-reason.js';
import { Ended } from '../core/outcome/outcome.js';
import { Status } from '../core/outcome/status.js';
import type { Attempt } from './attempt.js';

export interface FailureAnswer {
  readonly reason: Reason;
  readonly message: string;
}

/** `limitMs`: the attempt timeout that was in force, for the message. */
export function failureAnswer(attempt: Attempt, endpoint: string, limitMs: number): FailureAnswer {
  const detail = attempt.reason;
  const text = (reason: Reason, values: Record<string, string | number>): FailureAnswer => ({
    reason,
    message: reasonMessage(reason, { endpoint, peer: endpoint, ...values }),
  });
  switch (attempt.ended) {
    case Ended.connectError:
    case Ended.unconnected:
      return text(Reasons.connectFailed, { detail });
    case Ended.connectionLost:
    case Ended.goawayUnprocessed:
      return text(Reasons.connectionLost, { detail });
    case Ended.refusedStream:
      return text(Reasons.upstreamReset, { detail: 'REFUSED_STREAM' });
    case Ended.reset:
      return text(withStatus(Reasons.upstreamReset, attempt.status), { detail });
    case Ended.attemptTimeout:
      return text(Reasons.attemptTimeout, { limitMs });
    case Ended.trailers:
      return text(withStatus(Reasons.protocolError, attempt.status), { detail });
    case Ended.missingTrailers:
      return text(Reasons.protocolError, { detail: 'the response ended without a grpc-status' });
    case Ended.protocolError:
      return text(Reasons.protocolError, { detail: detail === '' ? 'invalid HTTP/2' : detail });
    default:
      return text(Reasons.internal, {});
  }
}

const variants = new Map<string, Reason>();

/** The same reason with the status that the peer's own code maps to. At most 17 of each. */
function withStatus(reason: Reason, status: number): Reason {
  const code = status > 0 && status <= 16 ? status : Status.UNKNOWN;
  if (code === reason.status) return reason;
  const key = `${reason.name} ${code}`;
  let variant = variants.get(key);
  if (variant === undefined) {
    variant = { ...reason, status: code as Status };
    variants.set(key, variant);
  }
  return variant;
}
