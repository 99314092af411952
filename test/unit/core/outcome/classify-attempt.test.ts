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

const { trailers, reset, deadline, attemptTimeout, cancelled, connectError, superseded, headersTooLong } =
  AttemptEnd;
const { UNAVAILABLE, RESOURCE_EXHAUSTED, DEADLINE_EXCEEDED, ABORTED, CANCELLED } = Status;
const outcomes = outcomesWith({ fault: [ABORTED] });

/** The endpoint answered with `status`, on a route without a deadline. */
const answered = (status: number, over: Partial<AttemptFacts> = {}): Partial<AttemptFacts> => ({
  ...{ ended: trailers, status, hasTrailers: true },
  ...over,
});
/** The call's deadline of 5 s has passed, and the endpoint had all of it. */
const late = (over: Partial<AttemptFacts> = {}): Partial<AttemptFacts> => ({
  ...{ ended: deadline, elapsedMs: 5_000, allowedMs: 5_000, deadlineMs: 5_000, turnMs: 0, isTimeAsked: true },
  ...over,
});
/** The endpoint answered UNAVAILABLE for this reason. */
const unavailable = (reason: AttemptFacts['reason'], over: Partial<AttemptFacts> = {}) =>
  answered(UNAVAILABLE, { reason, ...over });
const refused = { isUnprocessed: true };
const digits = { model: 'digits' };
const notReady = (over: Partial<AttemptFacts> = {}) =>
  unavailable('model-not-ready', { ...refused, ...over });
const expired = answered(DEADLINE_EXCEEDED, { reason: 'queue-expired', ...refused });
const overloaded = answered(RESOURCE_EXHAUSTED, { reason: 'overloaded', ...refused, ...digits });
const overRate = (over: Partial<AttemptFacts> = {}) =>
  answered(RESOURCE_EXHAUSTED, { reason: 'rate-limited', ...refused, ...over });
const full = (over: Partial<AttemptFacts> = {}) =>
  answered(RESOURCE_EXHAUSTED, { reason: 'overloaded', ...refused, ...over });
const tooLong = answered(RESOURCE_EXHAUSTED, { reason: 'metadata-too-large' });
const shed = (over: Partial<AttemptFacts> = {}) =>
  answered(RESOURCE_EXHAUSTED, { reason: 'memory-budget', ...over });
const cannotServe = unavailable('model-unavailable', refused);
const longStream = { isStream: true, isTimeAsked: false };
const stalled = { hasStalled: true };
const gaveUp = { ...answered(DEADLINE_EXCEEDED), elapsedMs: 2_000, isStream: true };

/** What is expected: the outcome, then the traits. */
const CASES: readonly (readonly [what: string, facts: Partial<AttemptFacts>, expected: string])[] = [
  ['a success', answered(Status.OK), 'success'],
  ['a status that the service gave', answered(UNAVAILABLE), 'fault'],
  ['a status that the route declares a fault', answered(ABORTED, { outcomes }), 'fault'],
  ['a declared status that HTTP gave', answered(ABORTED, { outcomes, hasTrailers: false }), 'neutral'],
  ['a declared status that a sidecar gave', answered(ABORTED, { outcomes, reason: 'internal' }), 'neutral'],
  ['a refusal before any work, whatever its status,', expired, 'overload unprocessed'],
  ['a stream that a draining sidecar ended', unavailable('drain-timeout'), 'neutral notOfService'],
  ['a watch that a draining sidecar ended', unavailable('draining'), 'neutral notOfService'],
  ['a call that a draining sidecar refused', unavailable('draining', refused), 'overload closed unprocessed'],
  [
    'a call whose replica has no intentions yet',
    unavailable('intentions-not-loaded', refused),
    'overload closed unprocessed',
  ],
  ['a call that its sidecar found too many', full(), 'overload unprocessed'],
  ['a call over the rate of its caller', overRate(), 'refusal unprocessed overRate'],
  [
    'a stream over the rate of its caller',
    overRate({ reason: 'stream-rate-limited', isUnprocessed: false }),
    'neutral notOfService overRate',
  ],
  [
    'a health watch too many of its caller',
    full({ reason: 'too-many-streams', isUnprocessed: false }),
    'neutral notOfService',
  ],
  ['a call over the rate for one model of several', overRate(digits), 'refusal unprocessed overRate'],
  [
    'a refusal for a reason that is not known here',
    full({ reason: 'lunch-break' }),
    'overload closed unprocessed',
  ],
  ['a call that was shed for want of memory, not seen by its model,', shed(refused), 'overload unprocessed'],
  ['a call that was shed while it ran', shed(), 'overload'],
  ['a refusal without a reason', answered(ABORTED, refused), 'overload unprocessed'],
  ['a model that is not ready, the only one of its endpoint,', notReady(), 'overload closed unprocessed'],
  ['one model of several that is not ready', notReady(digits), 'refusal unprocessed modelNotServed'],
  ['another refusal about one model of several', overloaded, 'refusal unprocessed'],
  ['a failure about one model of several', unavailable('internal', digits), 'neutral notOfService'],
  ['a model process that its sidecar lost', unavailable('connection-lost'), 'fault modelLost'],
  [
    'one model of several that its sidecar lost',
    unavailable('connection-lost', digits),
    'neutral modelLost notOfService',
  ],
  ['a model that cannot serve, though refused before any work,', cannotServe, 'fault unprocessed modelDown'],
  ['a model process that crashed', unavailable('model-crashed'), 'fault modelDown modelCrashed'],
  [
    'one model of several that crashed',
    unavailable('model-crashed', digits),
    'neutral modelCrashed notOfService',
  ],
  ['a crash with another status', answered(Status.INTERNAL, { reason: 'model-crashed' }), 'fault'],
  ['a failure with a name and no reason', answered(UNAVAILABLE, digits), 'fault'],
  ['a connection that cannot be made', { ended: connectError }, 'fault'],
  ['a reset that says full', { ended: reset, status: RESOURCE_EXHAUSTED }, 'overload'],
  ['an answer whose headers are too long', { ended: headersTooLong, status: RESOURCE_EXHAUSTED }, 'neutral'],
  ['one whose headers are too long for a sidecar', tooLong, 'neutral'],
  ['the slower of two attempts', { ended: superseded }, 'cancelled'],
  ['a deadline of which the endpoint had all', late(), 'fault'],
  ['a deadline of which the caller needed the most', late({ turnMs: 4_500 }), 'neutral'],
  ['a deadline before the caller had sent its request', late({ turnMs: Infinity }), 'neutral'],
  ['a deadline after the answer has begun', late({ isCommitted: true }), 'neutral'],
  ['the longest life of a stream', late(longStream), 'neutral'],
  ['the deadline that the caller of a stream set', late({ isStream: true }), 'fault'],
  ['the attempt timeout of a stream', late({ ...longStream, ended: attemptTimeout }), 'fault'],
  ['a cancel by the caller at its own deadline', late({ ended: cancelled, elapsedMs: 4_950 }), 'fault'],
  ['a cancel by the caller before that', late({ ended: cancelled, elapsedMs: 20 }), 'cancelled'],
  ['a stream that its service gives up early', late(gaveUp), 'fault'],
  ['a stream that a sidecar gives up early', late({ ...gaveUp, reason: 'idle-timeout' }), 'neutral'],
  ['a deadline while the event loop stood still', late(stalled), 'fault doubtful'],
  ['a CANCELLED sent while the event loop stood still', answered(CANCELLED, stalled), 'neutral doubtful'],
  ['another status while the event loop stood still', answered(UNAVAILABLE, stalled), 'fault'],
];

describe('classifyAttempt', () => {
  for (const [what, facts, expected] of CASES) {
    const [outcome, ...traits] = expected.split(' ');
    it(`${what} is ${expected.replaceAll(' ', ', ')}`, () => {
      const found = classifyAttempt(Object.assign(new AttemptFacts(), facts));
      const shown = Object.entries(AttemptTrait).flatMap(([name, bit]) =>
        (found & bit) === 0 ? [] : [name],
      );
      assert.deepEqual([OUTCOME_NAMES[outcomeIn(found)], ...shown.sort()], [outcome, ...traits.sort()]);
    });
  }

  it('gives each trait a bit of its own, above those of the outcome', () => {
    const bits = Object.values(AttemptTrait);
    const all = bits.reduce((set, bit) => set | bit, 0);
    const sum = bits.reduce((total, bit) => total + bit, 0);
    assert.deepEqual([all, outcomeIn(all)], [sum, Outcome.success]);
  });
});
