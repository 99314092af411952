import { Status } from './status.js';

/** How an attempt came to its end. */
export const AttemptEnd = {
  /** With a `grpc-status`, in trailers or trailers-only. */
  trailers: 0,
  /** RST_STREAM by the peer, other than REFUSED_STREAM. */
  reset: 1,
  /** RST_STREAM(REFUSED_STREAM): never processed. */
  refusedStream: 2,
  /** Above the last stream id of a GOAWAY, or never sent at all: never processed. */
  goawayUnprocessed: 3,
  /** No connection could be made: never processed. */
  connectError: 4,
  /** The connection broke with the request under way. */
  connectionLost: 5,
  /** Our own limit on one attempt. */
  attemptTimeout: 6,
  /** The call's deadline passed while we waited. */
  deadline: 7,
  /** The caller went away. */
  cancelled: 8,
  /** The response ended without a `grpc-status`. */
  missingTrailers: 9,
  /** The peer broke HTTP/2 or gRPC framing. */
  protocolError: 10,
  /** Stopped by us: another attempt of a hedged call answered first. */
  superseded: 11,
  /** No connection was tried, or could be, for a local reason: never processed. */
  unconnected: 12,
  /**
   * Headers are longer than their receiver accepts: those of the request, or of the response. Trailers never end an attempt so: their
   * status is kept.
   */
  headersTooLong: 13,
} as const;
export type AttemptEnd = (typeof AttemptEnd)[keyof typeof AttemptEnd];

/** Classification of a finished attempt, for balancing, ejection, retries and metrics alike. By the final `grpc-status`. */
export const Outcome = {
  success: 0,
  /** The endpoint failed the call. */
  fault: 1,
  /** The call failed, and it says nothing about the endpoint. */
  neutral: 2,
  /** Refused before processing, by the endpoint or because no connection could be made locally; no fault. */
  refusal: 3,
  /** The caller went away; says nothing about the endpoint. */
  cancelled: 4,
  /** The endpoint is full, or takes no calls for a while: less weight for it, never an ejection. */
  overload: 5,
} as const;
export type Outcome = (typeof Outcome)[keyof typeof Outcome];

export const OUTCOME_NAMES = ['success', 'fault', 'neutral', 'refusal', 'cancelled', 'overload'] as const;

/** Usual latency of an endpoint while it is unknown, ms: a shorter deadline proves nothing against it. */
const ASSUMED_USUAL_MS = 1_000;

/** A cancel this close to the deadline is the deadline: the caller's own timer won the race. */
const CANCEL_SLACK_MS = 10;
const CANCEL_SLACK_RATIO = 0.05;

/** Whether a cancel after `elapsedMs` of the `allowedMs` is really the deadline: within max(10 ms, 5 %) of it. */
export function isCancelAtDeadline(elapsedMs: number, allowedMs: number): boolean {
  if (allowedMs === Number.POSITIVE_INFINITY) return false;
  return allowedMs - elapsedMs <= Math.max(CANCEL_SLACK_MS, allowedMs * CANCEL_SLACK_RATIO);
}

/** A server that counts the time it was given ends a call so much before our deadline, at most: the time was rounded down, and passed on. */
const EARLY_RESET_MS = 5;

/**
 * Whether the peer reset the call because its deadline has passed: with CANCEL, as grpc-go does, when `leftMs` of it are left, or
 * less than none.
 */
export function isDeadlineReset(ended: AttemptEnd, status: number, leftMs: number): boolean {
  return ended === AttemptEnd.reset && status === Status.CANCELLED && leftMs <= EARLY_RESET_MS;
}

/**
 * Whether the peer ended an attempt at the limit of `limitMs` that it was given: by DEADLINE_EXCEEDED or CANCELLED in an
 * answer, or by a reset with CANCEL, within max(10 ms, 5 %) of it.
 */
export function endsAtLimit(ended: AttemptEnd, status: number, elapsedMs: number, limitMs: number): boolean {
  const isReset = ended === AttemptEnd.reset && status === Status.CANCELLED;
  const isGivenUp = isReset || (ended === AttemptEnd.trailers && isTimeStatus(status));
  return isGivenUp && isCancelAtDeadline(elapsedMs, limitMs);
}

/**
 * Whether the peer cut off an answer that had begun because a time limit passed while the answer was not read. It resets with CANCEL.
 * A sidecar resets with CANCEL for no other reason: it passes a reset of its model on as a status. Another server may cancel the
 * call itself, but not once the limit that it was told has passed.
 * @param limitMs Infinity: it was told none.
 */
export function isCutOff(
  ended: AttemptEnd,
  status: number,
  isSidecar: boolean,
  elapsedMs: number,
  limitMs: number,
): boolean {
  if (ended !== AttemptEnd.reset || status !== Status.CANCELLED) return false;
  return isSidecar || isCancelAtDeadline(elapsedMs, limitMs);
}

/** In a table: the status means that time ran out, so what it proves depends on the time there was. */
const BY_TIME = 0xff;

/** What each of the seventeen statuses counts as, by its code. */
export type OutcomeTable = Uint8Array;

/** What a status may be declared to count as; refusal and cancelled follow from the protocol, not from a status. */
export type Declarable = 'success' | 'fault' | 'neutral' | 'overload';

/** Statuses that count otherwise than usual on one route. */
export type OutcomeOverrides = { readonly [O in Declarable]?: readonly Status[] };

export const USUAL_OUTCOMES: OutcomeTable = usualOutcomes();

function usualOutcomes(): OutcomeTable {
  const table = new Uint8Array(Object.keys(Status).length).fill(Outcome.neutral);
  table[Status.OK] = Outcome.success;
  table[Status.RESOURCE_EXHAUSTED] = Outcome.overload;
  table[Status.DEADLINE_EXCEEDED] = BY_TIME;
  for (const status of [Status.UNAVAILABLE, Status.INTERNAL, Status.UNKNOWN, Status.DATA_LOSS])
    table[status] = Outcome.fault;
  return table;
}

/** The usual table with what a route says otherwise. */
export function outcomesWith(overrides: OutcomeOverrides | undefined): OutcomeTable {
  if (overrides === undefined) return USUAL_OUTCOMES;
  const table = USUAL_OUTCOMES.slice();
  for (const outcome of ['success', 'fault', 'neutral', 'overload'] as const)
    for (const status of overrides[outcome] ?? []) table[status] = Outcome[outcome];
  return table;
}

/** Whether the status means that time ran out or the call was cancelled, which is never a response. */
function isTimeStatus(status: number): boolean {
  return status === Status.DEADLINE_EXCEEDED || status === Status.CANCELLED;
}

/**
 * Why `status` cannot be declared to count as `outcome`, in the words after "as it"; undefined: it can. A failure that
 * counted as a success would draw traffic to the endpoint that fails fastest.
 */
export function whyNotDeclarable(status: Status, outcome: Declarable): string | undefined {
  if (status === Status.OK) return 'is always a success';
  if (isTimeStatus(status) && (outcome === 'success' || outcome === 'overload'))
    return 'says that time ran out or the call was given up, never that it was answered';
  if (outcome === 'success' && USUAL_OUTCOMES[status] !== Outcome.neutral)
    return 'says that the endpoint failed; counted as a success it would draw traffic to the endpoint that fails fastest';
  return undefined;
}

/**
 * Classifies one attempt. All times in ms from the attempt's start.
 * @param status the final status: of the trailers, or for a reset the one its code maps to; otherwise ignored.
 * @param allowedMs time to the call's deadline when the attempt began; Infinity when it had none.
 * @param usualMs what this endpoint usually needs (`EndpointLoad.usualMs`); 0 = unknown.
 * @param outcomes what statuses count as where the endpoint itself sent them. What happens at the call's deadline is
 * judged by time alone: whether our timer or the endpoint's answer came first is chance.
 * @param givenMs how much of `allowedMs` the endpoint had for its answer (`timeGivenMs`); 0: time says nothing about it.
 */
export function classify(
  ended: AttemptEnd,
  status: number,
  elapsedMs: number,
  allowedMs: number,
  usualMs: number,
  outcomes: OutcomeTable = USUAL_OUTCOMES,
  givenMs = allowedMs,
): Outcome {
  switch (ended) {
    case AttemptEnd.trailers:
      if (isTimeStatus(status) && isCancelAtDeadline(elapsedMs, allowedMs))
        return classifyTimeout(givenMs, usualMs);
      // Not one of gRPC's codes: UNKNOWN.
      if (outcomes[status] !== BY_TIME) return (outcomes[status] ?? Outcome.fault) as Outcome;
      return classifyTimeout(givenMs, usualMs);
    case AttemptEnd.refusedStream:
    case AttemptEnd.goawayUnprocessed:
    case AttemptEnd.unconnected:
      return Outcome.refusal;
    case AttemptEnd.headersTooLong:
      return Outcome.neutral;
    case AttemptEnd.attemptTimeout:
      return givenMs > 0 ? Outcome.fault : Outcome.neutral;
    case AttemptEnd.deadline:
      return classifyTimeout(givenMs, usualMs);
    case AttemptEnd.cancelled:
      return isCancelAtDeadline(elapsedMs, allowedMs) ? classifyTimeout(givenMs, usualMs) : Outcome.cancelled;
    case AttemptEnd.superseded:
      return Outcome.cancelled;
    case AttemptEnd.reset:
      if (status === Status.RESOURCE_EXHAUSTED) return Outcome.overload;
      // A server whose own timer saw the deadline first resets with CANCEL.
      if (status === Status.CANCELLED && isCancelAtDeadline(elapsedMs, allowedMs))
        return classifyTimeout(givenMs, usualMs);
      return Outcome.fault;
    default:
      return Outcome.fault;
  }
}

/** A timeout is a fault when the endpoint had more time than it usually needs, else neutral. */
function classifyTimeout(givenMs: number, usualMs: number): Outcome {
  return givenMs > (usualMs > 0 ? usualMs : ASSUMED_USUAL_MS) ? Outcome.fault : Outcome.neutral;
}

/** What is true of an attempt of which nothing is known but that time ran out. */
export interface TimeFacts {
  readonly isStream: boolean;
  /** The endpoint's answer has begun to flow. */
  readonly isCommitted: boolean;
  /** An answer was due by then: the caller, the route or the endpoint itself said so, and not only how long a stream may live. */
  readonly isDue: boolean;
  /** Since when the endpoint has had what it needs to answer; Infinity: it waited for the caller. */
  readonly turnMs: number;
  readonly deadlineMs: number;
}

/**
 * How much of a call's time its endpoint had for an answer that did not come. 0 where there was nothing to expect: it was
 * answering, its caller had not sent all of the request, or it is a stream, which may be silent for as long as it likes.
 */
export function timeGivenMs({ isStream, isCommitted, isDue, turnMs, deadlineMs }: TimeFacts): number {
  if (isCommitted || turnMs === Number.POSITIVE_INFINITY || (isStream && !isDue)) return 0;
  return deadlineMs - turnMs;
}

/**
 * Whether such an end is known only from time that passed, so that it may not count when our own event loop
 * stood still meanwhile.
 */
export function restsOnElapsedTime(ended: AttemptEnd, status: number): boolean {
  if (ended === AttemptEnd.attemptTimeout || ended === AttemptEnd.deadline) return true;
  if (ended === AttemptEnd.cancelled || ended === AttemptEnd.superseded) return true;
  if (ended === AttemptEnd.trailers) return isTimeStatus(status);
  return ended === AttemptEnd.reset && status === Status.CANCELLED;
}

/**
 * Whether a failure is an answer that the request may have caused, at any endpoint, such as INTERNAL to bytes that are no message: a status of the
 * service itself, other than that it is unavailable or that time ran out.
 */
export function mayBeOfRequest(ended: AttemptEnd, status: number): boolean {
  return ended === AttemptEnd.trailers && status !== Status.UNAVAILABLE && !isTimeStatus(status);
}

/** Whether the peer certainly did nothing for the attempt, so that another is always safe. */
export function isNeverProcessed(ended: AttemptEnd): boolean {
  if (ended === AttemptEnd.refusedStream || ended === AttemptEnd.goawayUnprocessed) return true;
  return ended === AttemptEnd.connectError || ended === AttemptEnd.unconnected;
}
