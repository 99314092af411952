import assert from 'node:assert/strict';
import {
  AttemptFacts,
  AttemptTrait,
  classifyAttempt,
  outcomeIn,
} from '../../../../sidecar/core/outcome/classify-attempt.js';
import {
  AttemptEnd,
  OUTCOME_NAMES,
  Outcome,
  outcomesWith,
} from '../../../../sidecar/core/outcome/outcome.js';
import { Status } from '../../../../sidecar/core/outcome/status.js';

type Trait = keyof typeof AttemptTrait;
type Expected = readonly [keyof typeof Outcome, ...Trait[]];

const { trailers, reset, deadline, attemptTimeout, cancelled, connectError, superseded } = AttemptEnd;
const { UNAVAILABLE, RESOURCE_EXHAUSTED, DEADLINE_EXCEEDED, ABORTED, CANCELLED } = Status;
const DECLARED = outcomesWith({ fault: [ABORTED] });

/** The endpoint answered with `status`, on a route without a deadline. */
const answered = (status: number, over: Partial<AttemptFacts> = {}): Partial<AttemptFacts> => ({
  ended: trailers,
  status,
  hasTrailers: true,
  ...over,
});
/** The call's deadline of 5 s has passed, and the endpoint had all of it. */
const late = (over: Partial<AttemptFacts> = {}): Partial<AttemptFacts> => ({
  ended: deadline,
  elapsedMs: 5_000,
  allowedMs: 5_000,
  deadlineMs: 5_000,
  turnMs: 0,
  isTimeAsked: true,
  ...over,
});
const notReady = { reason: 'model-not-ready', isUnprocessed: true };

const CASES: readonly (readonly [what: string, facts: Partial<AttemptFacts>, ...expected: Expected])[] = [
  ['a success has no trait', answered(Status.OK), 'success'],
  ['a status that the service gave is judged by the usual table', answered(UNAVAILABLE), 'fault'],
  ['a status that the route declares a fault is one', answered(ABORTED, { outcomes: DECLARED }), 'fault'],
  [
    'a declared status counts as usual where HTTP gave it',
    answered(ABORTED, { outcomes: DECLARED, hasTrailers: false }),
    'neutral',
  ],
  [
    'a declared status counts as usual where a sidecar gave it',
    answered(ABORTED, { outcomes: DECLARED, reason: 'internal' }),
    'neutral',
  ],
  [
    'a refusal before any work means a full endpoint, whatever its status',
    answered(DEADLINE_EXCEEDED, { reason: 'queue-expired', isUnprocessed: true }),
    'overload',
    'unprocessed',
  ],
  [
    'a refusal without a reason means a full endpoint',
    answered(ABORTED, { isUnprocessed: true }),
    'overload',
    'unprocessed',
  ],
  [
    'a model that is not ready, the only one of its endpoint, means a full endpoint',
    answered(UNAVAILABLE, notReady),
    'overload',
    'unprocessed',
  ],
  [
    'one model of several that is not ready is nothing against the endpoint',
    answered(UNAVAILABLE, { ...notReady, model: 'digits' }),
    'refusal',
    'unprocessed',
    'modelNotServed',
  ],
  [
    'another refusal about one model of several does not say that it is not served',
    answered(RESOURCE_EXHAUSTED, { reason: 'overloaded', isUnprocessed: true, model: 'digits' }),
    'refusal',
    'unprocessed',
  ],
  [
    'a failure about one model of several is neutral',
    answered(UNAVAILABLE, { reason: 'connection-lost', model: 'digits' }),
    'neutral',
  ],
  [
    'a model that cannot serve is a fault that ejects at once, though the call was refused before any work',
    answered(UNAVAILABLE, { reason: 'model-unavailable', isUnprocessed: true }),
    'fault',
    'unprocessed',
    'modelDown',
  ],
  [
    'a model process that crashed is a fault that ejects at once',
    answered(UNAVAILABLE, { reason: 'model-crashed' }),
    'fault',
    'modelDown',
    'modelCrashed',
  ],
  [
    'one model of several that crashed does not eject the endpoint',
    answered(UNAVAILABLE, { reason: 'model-crashed', model: 'digits' }),
    'neutral',
    'modelCrashed',
  ],
  [
    'a crash is believed with UNAVAILABLE only',
    answered(Status.INTERNAL, { reason: 'model-crashed' }),
    'fault',
  ],
  ['a name without a reason says nothing', answered(UNAVAILABLE, { model: 'digits' }), 'fault'],
  ['a connection that cannot be made is a fault', { ended: connectError }, 'fault'],
  ['a reset that says full is an overload', { ended: reset, status: RESOURCE_EXHAUSTED }, 'overload'],
  ['the slower of two attempts is cancelled', { ended: superseded }, 'cancelled'],
  ['a deadline of which the endpoint had all is a fault', late(), 'fault'],
  ['a deadline of which the caller needed the most is neutral', late({ turnMs: 4_500 }), 'neutral'],
  ['a deadline before the caller had sent its request is neutral', late({ turnMs: Infinity }), 'neutral'],
  ['a deadline after the answer has begun is neutral', late({ isCommitted: true }), 'neutral'],
  ['the longest life of a stream is no fault', late({ isStream: true, isTimeAsked: false }), 'neutral'],
  ['the deadline that the caller of a stream set is a fault', late({ isStream: true }), 'fault'],
  [
    'the attempt timeout of a stream is a fault',
    late({ ended: attemptTimeout, isStream: true, isTimeAsked: false }),
    'fault',
  ],
  [
    'a caller that cancels at its own deadline counts as a deadline',
    late({ ended: cancelled, elapsedMs: 4_950 }),
    'fault',
  ],
  ['a caller that cancels early says nothing', late({ ended: cancelled, elapsedMs: 20 }), 'cancelled'],
  [
    'a stream that its service gives up early is a fault',
    late({ ...answered(DEADLINE_EXCEEDED), elapsedMs: 2_000, isStream: true }),
    'fault',
  ],
  [
    'a stream that a sidecar gives up early is neutral',
    late({ ...answered(DEADLINE_EXCEEDED), elapsedMs: 2_000, isStream: true, reason: 'idle-timeout' }),
    'neutral',
  ],
  [
    'a deadline while the event loop stood still is doubtful',
    late({ hasStalled: true }),
    'fault',
    'doubtful',
  ],
  [
    'a CANCELLED that the service sent while the event loop stood still is doubtful',
    answered(CANCELLED, { hasStalled: true }),
    'neutral',
    'doubtful',
  ],
  [
    'a status is no less sure when the event loop stood still',
    answered(UNAVAILABLE, { hasStalled: true }),
    'fault',
  ],
];

describe('classifyAttempt', () => {
  for (const [what, facts, outcome, ...traits] of CASES) {
    it(what, () => {
      const found = classifyAttempt(Object.assign(new AttemptFacts(), facts));
      const names = (Object.keys(AttemptTrait) as Trait[]).filter(
        (name) => (found & AttemptTrait[name]) !== 0,
      );
      assert.deepEqual([OUTCOME_NAMES[outcomeIn(found)], ...names.sort()], [outcome, ...traits.sort()]);
    });
  }

  it('gives each trait a bit of its own, above those of the outcome', () => {
    const bits = Object.values(AttemptTrait);
    const all = bits.reduce((sum, bit) => sum | bit, 0);
    assert.equal(
      all,
      bits.reduce((sum, bit) => sum + bit, 0),
    );
    assert.equal(outcomeIn(all), Outcome.success);
  });
});
