import { LocalReplyReasons } from './local-reply-reason.js';
import {
  AttemptEnd,
  classify,
  isCancelAtDeadline,
  Outcome,
  type OutcomeTable,
  restsOnElapsedTime,
  timeGivenMs,
  USUAL_OUTCOMES,
} from './outcome.js';
import { Status } from './status.js';

/**
 * What is known of an attempt at the moment it ends; times in ms. One record serves all attempts of a sidecar: it is filled
 * in, classified, and filled in anew for the next.
 */
export class AttemptFacts {
  ended: AttemptEnd = AttemptEnd.trailers;
  /** The final gRPC status, or the one a reset code maps to; −1: there is none. */
  status = -1;
  /** Since the attempt began. */
  elapsedMs = 0;
  /** From the begin of the attempt to the call's deadline; Infinity without one. */
  allowedMs = Number.POSITIVE_INFINITY;
  /** Monotonic; Infinity without one. */
  deadlineMs = Number.POSITIVE_INFINITY;
  /** Since when the endpoint has had what it needs to answer, monotonic; Infinity: it waited for the caller. */
  turnMs = Number.POSITIVE_INFINITY;
  /** What the endpoint usually needs; 0 = unknown. */
  usualMs = 0;
  /** What statuses of the service count as on this route. */
  outcomes: OutcomeTable = USUAL_OUTCOMES;
  /** The answer is passed on as it comes, so that its duration says nothing. */
  isStream = false;
  /** Bytes of the answer have reached the caller. */
  isCommitted = false;
  /** The caller or the route said by when an answer was due. */
  isTimeAsked = false;
  /** The event loop stood still lately, so that time that passed proves nothing. */
  hasStalled = false;
  /** The answer has trailers of its own; without them its status is one that HTTP maps to. */
  hasTrailers = false;
  /** `outrider-reason` of a sidecar between the caller and the model; undefined: none answered by itself. */
  reason: string | undefined = undefined;
  /** `outrider-unprocessed`: a sidecar refused the call before any work. */
  isUnprocessed = false;
  /** `outrider-model`: the answer is about this one of several models; undefined: about the endpoint. */
  model: string | undefined = undefined;
  /** `outrider-failed-upstream`: a service that the endpoint calls is at fault, and it says so. */
  isOfUpstream = false;
}

/** What the class of an attempt says beside its `Outcome`; each is one bit of the number `classifyAttempt` gives. */
export const AttemptTrait = {
  /** It failed by time alone, while our event loop stood still, or by the fault of another service: the end counts for nothing. */
  doubtful: 1 << 3,
  /** A sidecar refused it before any work: another endpoint may have it at once. */
  unprocessed: 1 << 4,
  /** The model at the endpoint cannot serve, or has just crashed: one such end ejects the endpoint. */
  modelDown: 1 << 5,
  /** The model process crashed while it ran this request. */
  modelCrashed: 1 << 6,
  /** The sidecar beside the model lost it while it ran this request, and cannot say that its process crashed. */
  modelLost: 1 << 8,
  /** The endpoint does not serve the model the call names, and serves others. */
  modelNotServed: 1 << 7,
  /** It says nothing about the endpoint, and is not the service's answer either: a sidecar says why it could not give one. */
  notOfService: 1 << 9,
  /** An overload of an endpoint that takes no calls for a while, for another reason than that it is full: others may have room. */
  closed: 1 << 10,
  /** The caller calls too often, or asks for too many tokens: this is nothing against the endpoint, and others may say the same. */
  overRate: 1 << 11,
} as const;

const OUTCOME_BITS = 7;

/** The `Outcome` in the number that `classifyAttempt` gave. */
export function outcomeIn(attemptClass: number): Outcome {
  return (attemptClass & OUTCOME_BITS) as Outcome;
}

/**
 * The one classification of the end of an attempt: its `Outcome` in the low three bits, and `AttemptTrait`s above them.
 * Metrics, balancing, ejection, retries, fallback and the record of crashing requests read it; none classifies again.
 */
export function classifyAttempt(facts: AttemptFacts): number {
  const { ended, status } = facts;
  const isByTime = restsOnElapsedTime(ended, status);
  const outcome =
    refusalOf(facts) ??
    classify(
      ended,
      status,
      facts.elapsedMs,
      facts.allowedMs,
      facts.usualMs,
      // The service itself gave the status, rather than HTTP or a sidecar between.
      facts.hasTrailers && facts.reason === undefined ? facts.outcomes : USUAL_OUTCOMES,
      isByTime ? givenMs(facts) : 0,
    );
  let traits = 0;
  if (((isByTime && facts.hasStalled) || facts.isOfUpstream) && outcome !== Outcome.success)
    traits |= AttemptTrait.doubtful;
  if (facts.isUnprocessed) traits |= AttemptTrait.unprocessed;
  if (facts.reason !== undefined) traits |= traitsOfReason(facts, outcome);
  return outcome | traits;
}

function traitsOfReason(facts: AttemptFacts, outcome: Outcome): number {
  const { reason, model } = facts;
  if (outcome === Outcome.refusal && reason === LocalReplyReasons.modelNotReady.name && model !== undefined)
    return AttemptTrait.modelNotServed;
  const source = outcome === Outcome.neutral && isAboutSidecar(facts) ? AttemptTrait.notOfService : 0;
  const isClosed = outcome === Outcome.overload && facts.isUnprocessed && !FULL.has(reason!);
  const refused = isClosed ? AttemptTrait.closed : isOverRate(facts) ? AttemptTrait.overRate : 0;
  return source | traitsOfLoss(facts, outcome) | refused;
}

/** What a sidecar says that has no place for a call. */
const FULL: ReadonlySet<string> = new Set(
  [
    LocalReplyReasons.overloaded,
    LocalReplyReasons.queueExpired,
    LocalReplyReasons.memoryPressure,
    LocalReplyReasons.memoryBudget,
  ].map(({ name }) => name),
);

const OVER_RATE: ReadonlySet<string> = new Set([
  LocalReplyReasons.rateLimited.name,
  LocalReplyReasons.streamRateLimited.name,
]);

function isOverRate({ reason }: AttemptFacts): boolean {
  return reason !== undefined && OVER_RATE.has(reason);
}

/** Whether a sidecar ended it for what its caller does, which says nothing of the endpoint. */
function isOfCaller(facts: AttemptFacts): boolean {
  return isOverRate(facts) || facts.reason === LocalReplyReasons.tooManyStreams.name;
}

/** Whether a sidecar says that it, or one of its models, could not answer. Headers that are too long are the call's own everywhere. */
function isAboutSidecar(facts: AttemptFacts): boolean {
  const { reason, model } = facts;
  if (reason === LocalReplyReasons.metadataTooLarge.name) return false;
  const isDrain =
    reason === LocalReplyReasons.drainTimeout.name || reason === LocalReplyReasons.draining.name;
  return isDrain || isOfCaller(facts) || model !== undefined;
}

function traitsOfLoss({ reason, status }: AttemptFacts, outcome: Outcome): number {
  if (status !== Status.UNAVAILABLE) return 0;
  const isCrash = reason === LocalReplyReasons.modelCrashed.name;
  const isDown = outcome === Outcome.fault && (isCrash || reason === LocalReplyReasons.modelUnavailable.name);
  const isLoss = reason === LocalReplyReasons.connectionLost.name;
  const end = isCrash ? AttemptTrait.modelCrashed : isLoss ? AttemptTrait.modelLost : 0;
  return end | (isDown ? AttemptTrait.modelDown : 0);
}

/**
 * The sidecar beside the model says that the model has not seen the call, whatever the status: a queue that is too long
 * ends in DEADLINE_EXCEEDED. Such an endpoint is full, or takes no calls yet; undefined: no sidecar says so. An answer about one model of
 * several is nothing against the endpoint, which goes on with the others; nor is one about the rate of the caller. A model that cannot serve
 * is a fault, not a full queue.
 */
function refusalOf(facts: AttemptFacts): Outcome | undefined {
  const { reason, isUnprocessed, model } = facts;
  // It ended what was under way, and says so: nothing that balancing or a detector should go by.
  if (reason === LocalReplyReasons.drainTimeout.name) return Outcome.neutral;
  if (reason === LocalReplyReasons.draining.name && !isUnprocessed) return Outcome.neutral;
  // The call's own: any endpoint would answer it so.
  if (reason === LocalReplyReasons.metadataTooLarge.name) return Outcome.neutral;
  if (reason !== undefined && model !== undefined) return isUnprocessed ? Outcome.refusal : Outcome.neutral;
  if (isOfCaller(facts)) return isUnprocessed ? Outcome.refusal : Outcome.neutral;
  return isUnprocessed && reason !== LocalReplyReasons.modelUnavailable.name ? Outcome.overload : undefined;
}

/** How much of the call's time the endpoint had for an answer that did not come. */
function givenMs(facts: AttemptFacts): number {
  const { isStream, isCommitted, turnMs, deadlineMs } = facts;
  return timeGivenMs({ isStream, isCommitted, isDue: isAnswerDue(facts), turnMs, deadlineMs });
}

/** Whether an answer was due by the end: the idle time and the longest life of a stream do not say that one was. */
function isAnswerDue(facts: AttemptFacts): boolean {
  if (facts.ended === AttemptEnd.attemptTimeout) return true;
  if (isCancelAtDeadline(facts.elapsedMs, facts.allowedMs)) return facts.isTimeAsked;
  // The service itself gave up. A sidecar between does that for the same limits of a stream as this one.
  return facts.ended === AttemptEnd.trailers && facts.reason === undefined;
}
