import assert from 'node:assert/strict';
import {
  AttemptEnd,
  classify,
  isCancelAtDeadline,
  isCutOff,
  isDeadlineReset,
  isNeverProcessed,
  OUTCOME_NAMES,
  Outcome,
  type OutcomeOverrides,
  outcomesWith,
  restsOnElapsedTime,
  timeGivenMs,
  USUAL_OUTCOMES,
  whyNotDeclarable,
} from '../../../../sidecar/core/outcome/outcome.js';
import { Status, statusName } from '../../../../sidecar/core/outcome/status.js';

const NONE = Number.POSITIVE_INFINITY;
const name = (outcome: number): string => OUTCOME_NAMES[outcome]!;

describe('classify, by the final status', () => {
  const { OK, UNKNOWN, DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED, INTERNAL, UNAVAILABLE, DATA_LOSS } = Status;
  const success = { OK };
  const fault = { UNKNOWN, DEADLINE_EXCEEDED, INTERNAL, UNAVAILABLE, DATA_LOSS };
  const overload = { RESOURCE_EXHAUSTED };
  const neutral = Object.entries(Status).filter(([each]) => !(each in { ...success, ...fault, ...overload }));
  for (const [outcome, statuses] of Object.entries({
    success,
    fault,
    overload,
    neutral: Object.fromEntries(neutral),
  }))
    for (const [status, code] of Object.entries(statuses))
      it(`${status} is ${outcome}`, () =>
        assert.equal(name(classify(AttemptEnd.trailers, code, 20, 5_000, 10)), outcome));
  for (const code of [17, 99, -1])
    it(`${code}, which gRPC does not define, is a fault`, () =>
      assert.equal(classify(AttemptEnd.trailers, code, 20, 5_000, 10), Outcome.fault));
});

describe('classify, by how the attempt ended', () => {
  const { reset, connectError, connectionLost, attemptTimeout, deadline, ...others } = AttemptEnd;
  const { missingTrailers, protocolError, refusedStream, goawayUnprocessed, unconnected } = others;
  for (const [outcome, ends] of Object.entries({
    fault: { reset, connectError, connectionLost, attemptTimeout, deadline, missingTrailers, protocolError },
    refusal: { refusedStream, goawayUnprocessed, unconnected },
    cancelled: { cancelled: others.cancelled, superseded: others.superseded },
  }))
    for (const [ended, code] of Object.entries(ends))
      it(`${ended} is ${outcome}`, () =>
        assert.equal(name(classify(code, Status.INTERNAL, 20, 5_000, 10)), outcome));
});

describe('classify, for a timeout', () => {
  // ended, status, elapsed, allowed, usual → outcome
  const { trailers, deadline, cancelled, reset } = AttemptEnd;
  const { CANCELLED, DEADLINE_EXCEEDED: DE, RESOURCE_EXHAUSTED: FULL } = Status;
  for (const [what, ended, status, elapsedMs, allowedMs, usualMs, outcome] of [
    ['a deadline longer than usual blames the endpoint', deadline, 0, 101, 101, 100, 'fault'],
    ['a deadline of exactly the usual time does not', deadline, 0, 100, 100, 100, 'neutral'],
    ['nor does one shorter than usual', deadline, 0, 50, 50, 100, 'neutral'],
    ['the status says the same, longer', trailers, DE, 101, 101, 100, 'fault'],
    ['the status says the same, shorter', trailers, DE, 50, 50, 100, 'neutral'],
    ['with nothing known, one second proves nothing', deadline, 0, 1_000, 1_000, 0, 'neutral'],
    ['with nothing known, more than a second does', deadline, 0, 1_001, 1_001, 0, 'fault'],
    ['a cancel 10 ms before the deadline is the deadline', cancelled, 0, 90, 100, 50, 'fault'],
    ['a cancel 11 ms before it is a cancel', cancelled, 0, 89, 100, 50, 'cancelled'],
    ['a cancel within 5 % of a long deadline is the deadline', cancelled, 0, 950, 1_000, 50, 'fault'],
    ['a cancel earlier than that is a cancel', cancelled, 0, 949, 1_000, 50, 'cancelled'],
    ['a cancel after the deadline is the deadline', cancelled, 0, 130, 100, 50, 'fault'],
    ['a cancel at a deadline shorter than usual is neutral', cancelled, 0, 100, 100, 500, 'neutral'],
    ['a cancel without a deadline is a cancel', cancelled, 0, 1e9, NONE, 50, 'cancelled'],
    ['the status CANCELLED at the deadline is the deadline', trailers, CANCELLED, 99, 100, 50, 'fault'],
    ['the status CANCELLED before it is neutral', trailers, CANCELLED, 50, 100, 50, 'neutral'],
    ['the status CANCELLED without a deadline is neutral', trailers, CANCELLED, 50, NONE, 50, 'neutral'],
    ['a reset with CANCEL at a short deadline is neutral', reset, CANCELLED, 99, 100, 500, 'neutral'],
    ['a reset with CANCEL before it is a fault', reset, CANCELLED, 50, 1_000, 10, 'fault'],
    ['a reset with ENHANCE_YOUR_CALM is overload', reset, FULL, 50, 1_000, 10, 'overload'],
  ] as const)
    it(what, () => assert.equal(name(classify(ended, status, elapsedMs, allowedMs, usualMs)), outcome));

  it('finds no deadline near when there is none', () => assert.equal(isCancelAtDeadline(1e9, NONE), false));
});

describe('classify, where the endpoint had less than the time allowed', () => {
  // ended, status, elapsed, allowed, usual, given → outcome
  const { trailers, deadline, cancelled, reset, attemptTimeout } = AttemptEnd;
  const { CANCELLED, DEADLINE_EXCEEDED, INTERNAL } = Status;
  for (const [what, ended, status, elapsedMs, allowedMs, usualMs, givenMs, outcome] of [
    ['enough of it at the deadline is a fault', deadline, 0, 5_000, 5_000, 100, 101, 'fault'],
    ['less than usual is not', deadline, 0, 5_000, 5_000, 100, 100, 'neutral'],
    ['none is not', deadline, 0, 5_000, 5_000, 100, 0, 'neutral'],
    ['nor where nothing is known of what is usual', deadline, 0, 5_000, 5_000, 0, 0, 'neutral'],
    ['nor when the status says so', trailers, DEADLINE_EXCEEDED, 4_990, 5_000, 100, 0, 'neutral'],
    ['or says so early', trailers, DEADLINE_EXCEEDED, 20, 5_000, 10, 0, 'neutral'],
    ['nor when the caller gives up in time', cancelled, 0, 4_990, 5_000, 100, 0, 'neutral'],
    ['nor when the endpoint does', reset, CANCELLED, 4_990, 5_000, 100, 0, 'neutral'],
    ['a time limit of one attempt is a fault', attemptTimeout, 0, 250, 5_000, 100, 1, 'fault'],
    ['but not where it had none of it', attemptTimeout, 0, 250, 5_000, 100, 0, 'neutral'],
    ['what it says itself stays what it says', trailers, INTERNAL, 20, 5_000, 10, 0, 'fault'],
    ['so does a lost connection', AttemptEnd.connectionLost, 0, 20, 5_000, 10, 0, 'fault'],
  ] as const)
    it(what, () => {
      const found = classify(ended, status, elapsedMs, allowedMs, usualMs, USUAL_OUTCOMES, givenMs);
      assert.equal(name(found), outcome);
    });
});

describe('timeGivenMs', () => {
  const UNARY = { isStream: false, isCommitted: false, isDue: false, turnMs: 1_000, deadlineMs: 6_000 };
  for (const [what, over, expected] of [
    ['a unary call: from when it was the endpoint’s turn', {}, 5_000],
    ['without a deadline', { deadlineMs: NONE }, NONE],
    ['the caller had more to send', { turnMs: NONE }, 0],
    ['the same without a deadline', { turnMs: NONE, deadlineMs: NONE }, 0],
    ['the answer had begun', { isCommitted: true }, 0],
    ['a stream that may be silent', { isStream: true }, 0],
    ['a stream of which an answer was due', { isStream: true, isDue: true }, 5_000],
    ['but not before its caller has sent all', { isStream: true, isDue: true, turnMs: NONE }, 0],
    ['and not once it answers', { isStream: true, isDue: true, isCommitted: true }, 0],
  ] as const)
    it(what, () => assert.equal(timeGivenMs({ ...UNARY, ...over }), expected));
});

describe('classify, with outcomes declared by a route', () => {
  const { DEADLINE_EXCEEDED, CANCELLED, INTERNAL, NOT_FOUND, OK, RESOURCE_EXHAUSTED, UNAVAILABLE } = Status;
  const everything: OutcomeOverrides = {
    ...{ success: [NOT_FOUND], fault: [RESOURCE_EXHAUSTED, CANCELLED] },
    ...{ neutral: [INTERNAL, DEADLINE_EXCEEDED], overload: [UNAVAILABLE] },
  };
  // ended, status, elapsed, allowed, usual → outcome
  for (const [what, ended, status, elapsedMs, allowedMs, usualMs, outcome] of [
    ['a success', AttemptEnd.trailers, NOT_FOUND, 20, 5_000, 10, 'success'],
    ['a fault', AttemptEnd.trailers, RESOURCE_EXHAUSTED, 20, 5_000, 10, 'fault'],
    ['neutral', AttemptEnd.trailers, INTERNAL, 20, 5_000, 10, 'neutral'],
    ['overload', AttemptEnd.trailers, UNAVAILABLE, 20, 5_000, 10, 'overload'],
    ['OK stays a success', AttemptEnd.trailers, OK, 20, 5_000, 10, 'success'],
    ['what it does not name stays as it is', AttemptEnd.trailers, Status.DATA_LOSS, 20, 5_000, 10, 'fault'],
    ['what gRPC does not define stays a fault', AttemptEnd.trailers, 99, 20, 5_000, 10, 'fault'],
    ['a time limit of the service', AttemptEnd.trailers, DEADLINE_EXCEEDED, 20, 5_000, 10, 'neutral'],
    ['but not the deadline', AttemptEnd.trailers, DEADLINE_EXCEEDED, 4_990, 5_000, 10, 'fault'],
    ['a cancel of the service', AttemptEnd.trailers, CANCELLED, 20, 5_000, 10, 'fault'],
    ['but not one at a short deadline', AttemptEnd.trailers, CANCELLED, 20, 20, 100, 'neutral'],
    ['not our own deadline', AttemptEnd.deadline, DEADLINE_EXCEEDED, 5_000, 5_000, 10, 'fault'],
    ['not our attempt timeout', AttemptEnd.attemptTimeout, INTERNAL, 20, 5_000, 10, 'fault'],
    ['not a reset', AttemptEnd.reset, INTERNAL, 20, 5_000, 10, 'fault'],
    ['not a reset for being full', AttemptEnd.reset, RESOURCE_EXHAUSTED, 20, 5_000, 10, 'overload'],
    ['not a failed connect', AttemptEnd.connectError, UNAVAILABLE, 20, 5_000, 10, 'fault'],
    ['not a lost connection', AttemptEnd.connectionLost, UNAVAILABLE, 20, 5_000, 10, 'fault'],
    ['not missing trailers', AttemptEnd.missingTrailers, INTERNAL, 20, 5_000, 10, 'fault'],
    ['not a refused stream', AttemptEnd.refusedStream, UNAVAILABLE, 20, 5_000, 10, 'refusal'],
    ['not a cancel of the caller', AttemptEnd.cancelled, CANCELLED, 20, 5_000, 10, 'cancelled'],
  ] as const)
    it(what, () => {
      const table = outcomesWith(everything);
      assert.equal(name(classify(ended, status, elapsedMs, allowedMs, usualMs, table)), outcome);
    });

  it('does not change the usual table', () => {
    const before = [...USUAL_OUTCOMES];
    outcomesWith(everything);
    assert.deepEqual([...USUAL_OUTCOMES], before);
    assert.equal(outcomesWith(undefined), USUAL_OUTCOMES, 'one for all routes that say nothing');
  });

  it('knows which outcomes can be declared', () => {
    const possible = (outcome: 'success' | 'fault' | 'neutral' | 'overload') =>
      Object.entries(Status)
        .filter(([, code]) => whyNotDeclarable(code, outcome) === undefined)
        .map(([status]) => status);
    const all = Object.keys(Status).filter((status) => status !== 'OK');
    assert.deepEqual([possible('fault'), possible('neutral')], [all, all]);
    const without = (...names: string[]) => all.filter((status) => !names.includes(status));
    assert.deepEqual(possible('overload'), without('CANCELLED', 'DEADLINE_EXCEEDED'));
    const endpoint = ['UNKNOWN', 'RESOURCE_EXHAUSTED', 'INTERNAL', 'UNAVAILABLE', 'DATA_LOSS'];
    assert.deepEqual(possible('success'), without('CANCELLED', 'DEADLINE_EXCEEDED', ...endpoint));
  });
});

describe('restsOnElapsedTime', () => {
  it('is true for exactly the ends that only a clock shows', () => {
    const told: string[] = [];
    for (const [ended, code] of Object.entries(AttemptEnd)) {
      for (const status of Object.values(Status)) {
        if (restsOnElapsedTime(code, status) && (ended === 'trailers' || ended === 'reset'))
          told.push(`${ended} ${statusName(status)}`);
        else if (restsOnElapsedTime(code, status) && !told.includes(ended)) told.push(ended);
      }
    }
    const withStatus = ['trailers CANCELLED', 'trailers DEADLINE_EXCEEDED', 'reset CANCELLED'];
    assert.deepEqual(told, [...withStatus, 'attemptTimeout', 'deadline', 'cancelled', 'superseded']);
  });
});

describe('isCutOff', () => {
  const cut = (isSidecar: boolean, elapsedMs: number, limitMs: number): boolean =>
    isCutOff(AttemptEnd.reset, Status.CANCELLED, isSidecar, elapsedMs, limitMs);

  it('is any reset with CANCEL by a sidecar, which passes those of its model on as a status', () =>
    assert.equal(cut(true, 10, NONE), true));

  it('is a reset with CANCEL by another server at the limit that it was told, or later', () =>
    assert.deepEqual([cut(false, 295, 300), cut(false, 700, 300)], [true, true]));

  it('is not what a server does of its own accord', () =>
    assert.deepEqual([cut(false, 100, 300), cut(false, 700, NONE)], [false, false]));

  it('is no other reset, and no other end', () => {
    assert.equal(isCutOff(AttemptEnd.reset, Status.INTERNAL, true, 400, 300), false);
    assert.equal(isCutOff(AttemptEnd.trailers, Status.CANCELLED, true, 400, 300), false);
  });
});

describe('isDeadlineReset', () => {
  const reset = (leftMs: number, status: number = Status.CANCELLED, ended: AttemptEnd = AttemptEnd.reset) =>
    isDeadlineReset(ended, status, leftMs);

  it('is a reset with CANCEL when the deadline has passed, or no more than 5 ms are left', () => {
    assert.deepEqual(
      [-3, 0, 5, 5.1, 100, Number.POSITIVE_INFINITY].map((ms) => reset(ms)),
      [...[true, true, true], ...[false, false, false]],
    );
  });

  it('is no other reset, and no other end', () => {
    assert.equal(reset(0, Status.INTERNAL), false);
    assert.equal(reset(0, Status.CANCELLED, AttemptEnd.trailers), false);
  });
});

describe('isNeverProcessed', () => {
  it('is true for refused streams, GOAWAY and no connection only', () => {
    const ends = Object.keys(AttemptEnd) as (keyof typeof AttemptEnd)[];
    const never = ends.filter((ended) => isNeverProcessed(AttemptEnd[ended]));
    assert.deepEqual(never, ['refusedStream', 'goawayUnprocessed', 'connectError', 'unconnected']);
  });
});
