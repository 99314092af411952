import type { Stream } from '../../http2/stream.js';

/** Two reads of a stream that are no further apart, ms: 4,000 in a second. */
const QUICK_MS = 0.25;
/** So many of them in a row make it patient: fewer are a burst, behind which the next message may be far away. */
const QUICK_READS = 8;

/** What of a call says whether its response may wait for more of it. */
export interface PatientCall {
  readonly stream: Pick<Stream, 'isPatient'>;
  readonly plan: { readonly holdsResponse: boolean };
  readonly requestEnded: boolean;
  /** When the part of the response before this one came, monotonic ms. */
  readonly lastResponseMs: number;
  quickReads: number;
}

/**
 * A part of the response of a call has come, at `nowMs`, and is passed on next. Where the parts of a stream come faster than a write for
 * each is worth, its caller is written to less often: a part waits for the next ones, a millisecond at most. Never the first message,
 * nor a stream whose caller may have more to say and wait for this very part to say it, nor a unary answer.
 */
export function recordPatience(call: PatientCall, nowMs: number): void {
  const gapMs = nowMs - call.lastResponseMs;
  // From the same read.
  if (gapMs === 0) return;
  call.quickReads = gapMs <= QUICK_MS ? call.quickReads + 1 : 0;
  call.stream.isPatient = call.quickReads >= QUICK_READS && call.requestEnded && !call.plan.holdsResponse;
}
