/** What callers are told of the time that their calls waited here, so that they judge the run alone. */

import type { HeaderField } from '../http2/hpack/field.js';
import { NO_FIELDS } from '../http2/stream.js';
import { queueTimeFields } from '../relay/queue-time-field.js';
import type { InboundCall } from './call.js';

/** A shorter wait is told to no one, ms. */
const MIN_TOLD_MS = 1;

/** The field for the trailers of a call whose answer has just ended; none where it has not waited and its caller knows that it would be told. */
export function queueTimeTrailer(call: InboundCall): readonly HeaderField[] {
  const { ticket, instance, plan } = call;
  if (ticket === null || instance === null) return NO_FIELDS;
  // Of a stream, the time to its first message is what counts, and its headers have said it.
  if (!plan.holdsResponse) return NO_FIELDS;
  const queued = queuedMs(call);
  // That of the call that has ended last, which is this one.
  const { leastMs, mostMs } = instance.activity.serialWait;
  return fieldsFor(call, queued + leastMs, queued + mostMs);
}

/** The same for the response headers of a stream. */
export function queueTimeHeader(call: InboundCall): readonly HeaderField[] {
  if (call.ticket === null || call.plan.holdsResponse) return NO_FIELDS;
  const queued = queuedMs(call);
  return fieldsFor(call, queued, queued);
}

/** For how long it waited for its place, ms. */
function queuedMs({ ticket }: InboundCall): number {
  const { waitsSinceMs, queueStartedMs } = ticket!;
  return waitsSinceMs === 0 ? 0 : Math.max(0, queueStartedMs - waitsSinceMs);
}

function fieldsFor({ session }: InboundCall, leastMs: number, mostMs: number): readonly HeaderField[] {
  if (mostMs < MIN_TOLD_MS && session.tellsQueueTime) return NO_FIELDS;
  session.tellsQueueTime = true;
  return queueTimeFields(leastMs, mostMs);
}
