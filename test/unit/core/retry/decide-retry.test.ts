import assert from 'node:assert/strict';
import { AttemptEnd, Outcome } from '../../../../sidecar/core/outcome/outcome.js';
import { Status } from '../../../../sidecar/core/outcome/status.js';
import { CircuitBreakerLimits } from '../../../../sidecar/core/retry/breaker-limits.js';
import { decideRetry } from '../../../../sidecar/core/retry/decide-retry.js';
import { RetryBudget } from '../../../../sidecar/core/retry/retry-budget.js';
import {
  LONGEST_PUSHBACK_MS,
  MAX_ATTEMPTS,
  MOST_LOST,
  NO_PUSHBACK,
  NoRetry,
  notePause,
  parsePushback,
  pauseLeftMs,
  type RetryFacts,
  type RetryRoute,
  RetryState,
} from '../../../../sidecar/core/retry/retry-state.js';
import { constant } from '../../../kit/time/seeded-random.js';

const PLAIN: RetryRoute = { idempotent: false };
const IDEMPOTENT: RetryRoute = {
  idempotent: true,
  retry: { attempts: 2, on: [Status.UNAVAILABLE], backoff: { baseMs: 25, maxMs: 250 } },
};

/** A failure of the first attempt, that a retry at another endpoint could better. */
const FAILED: RetryFacts = {
  ended: AttemptEnd.trailers,
  status: Status.UNAVAILABLE,
  pushbackMs: NO_PUSHBACK,
  isMarkedUnprocessed: false,
  isRefutedTrial: false,
  isCommitted: false,
  isRequestHeld: true,
  isOtherAvailable: true,
  timeLeftMs: 1_000,
};

interface Case {
  readonly facts?: Partial<RetryFacts>;
  readonly route?: RetryRoute;
  readonly state?: Partial<RetryState>;
  readonly budget?: RetryBudget;
  readonly draw?: number;
}

const EMPTY = (): RetryBudget => new RetryBudget({ ratio: 0, perSecond: 0 });
const AMPLE = (): RetryBudget => new RetryBudget({ ratio: 0, perSecond: 100 });
const stateOf = (over: Partial<RetryState>) => Object.assign(new RetryState(), { attempts: 1 }, over);
const { notRetryable, exhausted, noTime, overBudget, overBreaker, committed, pushback } = NoRetry;

/** The decision on a failure; by default of a first attempt, with an ample budget. Given a `RetryState`, it changes that. */
function decide(given: Case = {}): number {
  const { facts, route = IDEMPOTENT, state = {}, budget = AMPLE(), draw = 0.5 } = given;
  const own = state instanceof RetryState ? state : stateOf(state);
  const question = { facts: { ...FAILED, ...facts }, route, budget, random: constant(draw) };
  return decideRetry({ state: own, nowMs: 0, ...question });
}

describe('decideRetry, after a connection that was lost before the request was sent whole', () => {
  const LOST = { ended: AttemptEnd.connectionLost, status: -1, isRequestIncomplete: true } as const;
  const lost = (facts: Partial<RetryFacts> = {}, more: Omit<Case, 'facts'> = {}) =>
    decide({ facts: { ...LOST, ...facts }, route: PLAIN, ...more });

  it('another endpoint is asked at once on any route, and that is no attempt of the route', () => {
    const state = stateOf({});
    assert.equal(lost({}, { state }), 0);
    assert.equal(state.processed, 0);
    assert.equal(lost({}, { route: IDEMPOTENT, state: { processed: 1 } }), 0);
  });

  it('none is where all of it was sent', () =>
    assert.equal(lost({ isRequestIncomplete: false }), notRetryable));

  it('keeps to the request, time, budget and breaker', () => {
    assert.equal(lost({ isRequestHeld: false }), NoRetry.notHeld);
    assert.equal(lost({ isCommitted: true }), committed);
    assert.equal(lost({ timeLeftMs: 0 }), noTime);
    assert.equal(lost({}, { budget: EMPTY() }), overBudget);
    assert.equal(lost({}, { state: { attempts: MAX_ATTEMPTS } }), exhausted);
  });

  it('goes by the route where there is no other endpoint', () => {
    assert.equal(lost({ isOtherAvailable: false }), notRetryable);
    assert.ok(lost({ isOtherAvailable: false }, { route: IDEMPOTENT }) >= 0);
  });
});

describe('decideRetry, after a trial whose answer is invalid though its status is OK', () => {
  const REFUTED = { status: Status.OK, isRefutedTrial: true };
  const refuted = (facts: Partial<RetryFacts> = {}, more: Omit<Case, 'facts'> = {}) =>
    decide({ facts: { ...REFUTED, ...facts }, ...more });

  it('asks another endpoint at once', () => assert.equal(refuted(), 0));

  it('does not where the call may not be made twice, or no other endpoint is left', () => {
    assert.equal(refuted({}, { route: PLAIN }), notRetryable);
    assert.equal(refuted({}, { route: { idempotent: true } }), notRetryable);
    assert.equal(refuted({ isOtherAvailable: false }), notRetryable);
    assert.equal(refuted({ isCommitted: true }), committed);
    assert.equal(refuted({ isRequestHeld: false }), NoRetry.notHeld);
  });

  it('keeps to attempts, time and budget', () => {
    assert.equal(refuted({}, { state: { processed: 1 } }), exhausted);
    assert.equal(refuted({ timeLeftMs: 0 }), noTime);
    assert.equal(refuted({}, { budget: EMPTY() }), overBudget);
  });

  it('does not for any other OK', () => assert.equal(refuted({ isRefutedTrial: false }), notRetryable));
});

describe('decideRetry, on an idempotent route that asks for it', () => {
  it('waits a full-jitter backoff', () => {
    assert.deepEqual([decide({ draw: 0 }), decide({ draw: 0.5 })], [0, 12.5]);
    assert.ok(decide({ draw: 0.999 }) < 25);
  });

  const { reset, connectionLost, attemptTimeout, missingTrailers, protocolError } = AttemptEnd;
  const failures = { reset, connectionLost, attemptTimeout, missingTrailers, protocolError };
  for (const [name, ended] of Object.entries(failures))
    it(`tries again after ${name}`, () =>
      assert.ok(decide({ facts: { ended, status: Status.INTERNAL } }) >= 0));

  for (const ended of ['cancelled', 'deadline'] as const)
    it(`does not after ${ended}`, () =>
      assert.equal(decide({ facts: { ended: AttemptEnd[ended] } }), notRetryable));

  for (const [name, status] of Object.entries(Status)) {
    const expected = status === Status.UNAVAILABLE ? 12.5 : notRetryable;
    it(`${expected < 0 ? 'does not after' : 'tries again after'} the status ${name}`, () =>
      assert.equal(decide({ facts: { status } }), expected));
  }

  it('follows the codes of the route', () => {
    const route: RetryRoute = { idempotent: true, retry: { ...IDEMPOTENT.retry!, on: [Status.DATA_LOSS] } };
    assert.equal(decide({ route }), notRetryable);
    assert.ok(decide({ route, facts: { status: Status.DATA_LOSS } }) >= 0);
  });

  it('makes as many attempts as the route allows, and no more', () => {
    assert.equal(decide({ state: { attempts: 2, processed: 1 } }), exhausted);
    const route: RetryRoute = { idempotent: true, retry: { ...IDEMPOTENT.retry!, attempts: 5 } };
    assert.equal(decide({ route, state: { attempts: 4, processed: 3 }, draw: 0.5 }), 100);
    assert.equal(decide({ route, state: { attempts: 5, processed: 4 } }), exhausted);
  });

  it('does not count attempts that were never processed against the route', () => {
    assert.ok(decide({ state: { attempts: 4, processed: 0 } }) >= 0);
    assert.equal(decide({ state: { attempts: MAX_ATTEMPTS, processed: 0 } }), exhausted);
  });

  it('makes none where engines fell silent under it as often as they may', () => {
    assert.ok(decide({ facts: { isLastMove: false } }) >= 0);
    assert.equal(decide({ facts: { isLastMove: true } }), exhausted);
  });

  it('stops when the wait would reach the deadline', () => {
    assert.equal(decide({ facts: { timeLeftMs: 12.6 } }), 12.5);
    assert.equal(decide({ facts: { timeLeftMs: 12.5 } }), noTime);
  });

  it('stops when the budget is spent, and takes from it only when it grants', () => {
    assert.equal(decide({ budget: EMPTY() }), overBudget);
    const one = new RetryBudget({ ratio: 0, perSecond: 0.1 });
    decide({ budget: one, facts: { status: Status.NOT_FOUND } });
    decide({ budget: one, facts: { timeLeftMs: 0 } });
    decide({ budget: one, facts: { isCommitted: true } });
    assert.equal(one.granted + one.refused, 0);
    assert.ok(decide({ budget: one }) >= 0);
    assert.equal(decide({ budget: one }), overBudget);
  });

  it('takes the share of a long stream for its own attempt, and none where no attempt follows', () => {
    const budget = new RetryBudget({ ratio: 0.2, perSecond: 0 });
    const streamMs = 60_000;
    assert.ok(decide({ budget, facts: { streamMs } }) >= 0, 'it pays for itself');
    assert.equal(budget.balance(0), 0);
    decide({ budget, facts: { streamMs, status: Status.NOT_FOUND } });
    decide({ budget, facts: { streamMs, timeLeftMs: 0 } });
    decide({ budget, facts: { streamMs, ended: AttemptEnd.cancelled } });
    decide({ budget, facts: { streamMs }, state: { processed: 1 } });
    const breaker = new CircuitBreakerLimits({ maxInFlight: 0, maxPending: 0, maxRetries: 1 });
    breaker.retries = 1;
    assert.equal(decide({ budget, facts: { streamMs, breaker } }), overBreaker);
    assert.equal(budget.balance(0), 0, 'nothing is saved for other calls');
    assert.equal(decide({ budget }), overBudget);
    assert.equal(decide({ budget, facts: { streamMs: 4_999 } }), overBudget, 'four fifths');
  });
});

describe('decideRetry, whatever the route', () => {
  it('does not try a processed call again on a route that is not idempotent, or names no retry', () => {
    for (const route of [PLAIN, { idempotent: true }, { ...IDEMPOTENT, idempotent: false }])
      assert.equal(decide({ route }), notRetryable);
  });

  for (const ended of Object.values(AttemptEnd))
    it(`tries nothing again once bytes have reached the caller, nor when the request is gone (end ${ended})`, () => {
      assert.equal(decide({ facts: { ended, isCommitted: true } }), committed);
      for (const route of [IDEMPOTENT, PLAIN])
        assert.ok(decide({ facts: { ended, isRequestHeld: false }, route }) < 0);
    });

  it('leaves a success alone', () => assert.equal(decide({ facts: { status: Status.OK } }), notRetryable));
});

describe('decideRetry, for what no other endpoint would better', () => {
  it('makes no other attempt after headers that are too long', () => {
    const facts = { ended: AttemptEnd.headersTooLong, status: Status.RESOURCE_EXHAUSTED };
    const route = { ...IDEMPOTENT, retry: { ...IDEMPOTENT.retry!, on: [Status.RESOURCE_EXHAUSTED] } };
    assert.equal(decide({ facts, route }), notRetryable);
  });

  it('makes none after a reset with CANCEL at the deadline, and one after any other', () => {
    const facts = { ended: AttemptEnd.reset, status: Status.CANCELLED };
    assert.equal(decide({ facts: { ...facts, timeLeftMs: 4 }, draw: 0 }), noTime);
    assert.equal(decide({ facts, draw: 0 }), 0);
  });
});

describe('decideRetry, for what was never processed', () => {
  for (const ended of ['refusedStream', 'goawayUnprocessed', 'connectError'] as const) {
    const facts = { ended: AttemptEnd[ended] };
    it(`${ended}: at once at another endpoint, on any route, free of the budget`, () =>
      assert.equal(decide({ facts, route: PLAIN, budget: EMPTY() }), 0));

    it(`${ended}: once more at the only endpoint, after a short wait`, () => {
      const only = { ...facts, isOtherAvailable: false };
      assert.equal(decide({ facts: only, route: PLAIN, budget: EMPTY() }), 12.5);
      assert.equal(decide({ facts: only, state: { returns: 1 } }), exhausted);
      const state = stateOf({});
      const again = (): number => decide({ state, facts: only, route: PLAIN, budget: EMPTY() });
      assert.deepEqual([again(), again()], [12.5, exhausted]);
      assert.equal(decide({ facts: { ...only, timeLeftMs: 12.5 } }), noTime);
    });

    it(`${ended}: at most ${MAX_ATTEMPTS} attempts in all, and none after the deadline`, () => {
      assert.equal(decide({ facts, state: { attempts: MAX_ATTEMPTS - 1 } }), 0);
      assert.equal(decide({ facts, state: { attempts: MAX_ATTEMPTS } }), exhausted);
      assert.equal(decide({ facts: { ...facts, timeLeftMs: 0 } }), noTime);
      assert.equal(decide({ facts: { ...facts, timeLeftMs: Number.POSITIVE_INFINITY } }), 0);
    });
  }
});

describe('decideRetry, for a refusal marked outrider-unprocessed', () => {
  const facts = { status: Status.RESOURCE_EXHAUSTED, isMarkedUnprocessed: true };

  it('goes elsewhere at once, on any route, once', () => {
    assert.equal(decide({ facts, route: PLAIN }), 0);
    assert.equal(decide({ facts, route: PLAIN, state: { attempts: 2, refusals: 1 } }), notRetryable);
  });

  it('does so within the budget and the deadline', () => {
    assert.equal(decide({ facts, route: PLAIN, budget: EMPTY() }), overBudget);
    assert.equal(decide({ facts: { ...facts, timeLeftMs: 0 }, route: PLAIN }), noTime);
  });

  it('goes on to one that reports room whatever the budget, and again', () => {
    const free = { ...facts, isOtherFree: true };
    assert.equal(decide({ facts: free, route: PLAIN, budget: EMPTY() }), 0);
    assert.equal(decide({ facts: free, route: PLAIN, state: { attempts: 2, refusals: 1 } }), 0);
    assert.equal(decide({ facts: { ...free, isRequestHeld: false }, route: PLAIN }), NoRetry.notHeld);
    assert.equal(decide({ facts: free, route: PLAIN, state: { attempts: 8 } }), NoRetry.exhausted);
  });

  for (const [what, over, expected] of [
    ['does not go back to the endpoint that refused', { isOtherAvailable: false }, notRetryable],
    ['does not wait for the pushback of an endpoint it leaves', { pushbackMs: 500 }, 0],
    ['is no such refusal without the mark', { isMarkedUnprocessed: false }, notRetryable],
  ] as const)
    it(what, () => assert.equal(decide({ facts: { ...facts, ...over }, route: PLAIN }), expected));

  it('leaves the attempts of the route untouched', () => {
    const [state, budget] = [stateOf({}), AMPLE()];
    decide({ state, facts, budget });
    assert.deepEqual([state.processed, state.refusals], [0, 1]);
    state.attempts = 2;
    assert.ok(decide({ state, budget }) >= 0);
  });
});

describe('decideRetry, for a caller over its rate', () => {
  const facts = {
    status: Status.RESOURCE_EXHAUSTED,
    isMarkedUnprocessed: true,
    isOverRate: true,
    pushbackMs: 500,
  };
  const over = (more: Partial<RetryFacts> = {}, rest: Omit<Case, 'facts'> = {}) =>
    decide({ facts: { ...facts, ...more }, route: PLAIN, ...rest });

  it('asks one other endpoint at once on any route, and takes nothing from the budget', () => {
    const [state, budget] = [stateOf({}), EMPTY()];
    assert.equal(over({}, { state, budget }), 0);
    assert.deepEqual([state.processed, state.refusals, budget.granted, budget.refused], [0, 0, 0, 0]);
    assert.equal(over({}, { state, budget }), notRetryable, 'and no third one');
    assert.equal(over({ isOtherFree: true }, { state, budget }), notRetryable);
  });

  it('also after another refusal, and before one', () => {
    assert.equal(over({}, { state: { attempts: 2, refusals: 1 }, budget: EMPTY() }), 0);
    assert.equal(over({ isOverRate: false }, { state: { attempts: 2, overRate: 1 } }), 0);
  });

  it('waits on a route that retries the status, within the budget, once the other has refused too', () => {
    const route: RetryRoute = {
      idempotent: true,
      retry: { ...IDEMPOTENT.retry!, on: [Status.RESOURCE_EXHAUSTED] },
    };
    const state = { attempts: 2, overRate: 1 };
    assert.equal(over({ isOtherAvailable: false }, { route, state }), 500);
    assert.equal(over({ isOtherAvailable: false }, { route, state, budget: EMPTY() }), overBudget);
  });

  it('keeps to the request, the time and the attempts, and asks nobody where no wait would help', () => {
    assert.equal(over({ isRequestHeld: false }), NoRetry.notHeld);
    assert.equal(over({ timeLeftMs: 0 }), noTime);
    assert.equal(over({}, { state: { attempts: MAX_ATTEMPTS } }), exhausted);
    assert.equal(over({ isOtherAvailable: false }), notRetryable);
    assert.equal(over({ pushbackMs: Number.NaN }), pushback);
  });
});

describe('decideRetry, and pushback', () => {
  it('never tries again when the server says so, or says something else than a time', () => {
    for (const text of ['-1', '', 'soon', '1.5', ' 5', '+5', '99999999999']) {
      const pushbackMs = parsePushback(text);
      for (const isMarkedUnprocessed of [false, true])
        assert.equal(decide({ facts: { pushbackMs, isMarkedUnprocessed } }), pushback, text);
    }
  });

  it('waits exactly that long when the same endpoint is asked again', () => {
    const wait = (pushbackMs: number) => decide({ facts: { pushbackMs, isOtherAvailable: false } });
    const waits = [wait(parsePushback('300')), wait(parsePushback('0')), wait(1_000)];
    assert.deepEqual(waits, [300, 0, noTime]);
  });

  it('keeps a call without a deadline waiting for a minute at most', () => {
    const facts = { isOtherAvailable: false, timeLeftMs: Number.POSITIVE_INFINITY };
    assert.equal(decide({ facts: { ...facts, pushbackMs: LONGEST_PUSHBACK_MS } }), LONGEST_PUSHBACK_MS);
    for (const pushbackMs of [LONGEST_PUSHBACK_MS + 1, parsePushback('999999999')]) {
      assert.equal(decide({ facts: { ...facts, pushbackMs } }), pushback);
      assert.equal(decide({ facts: { ...facts, pushbackMs, isOtherAvailable: true } }), 12.5);
    }
    assert.equal(decide({ facts: { ...facts, pushbackMs: 90_000, timeLeftMs: 91_000 } }), 90_000);
  });

  it('is not bound by it at another endpoint', () =>
    assert.equal(decide({ facts: { pushbackMs: 300 } }), 12.5));

  it('waits for the pause of an earlier endpoint where no other is left, and not where one asked for none', () => {
    const wait = (pauseMs: number) => decide({ facts: { pauseMs, isOtherAvailable: false } });
    assert.deepEqual([wait(164), wait(0), wait(1_000)], [164, 12.5, noTime]);
  });

  it('keeps one pause of an endpoint, the latest, until it is over', () => {
    const [state, one, other] = [new RetryState(), {}, {}];
    notePause(state, one, 500, 1_000);
    notePause(state, other, NO_PUSHBACK, 1_000);
    notePause(state, other, parsePushback('-1'), 1_000);
    notePause(state, one, 100, 1_200);
    assert.equal(state.pauses?.length, 1);
    assert.deepEqual(
      [1_250, 1_300, 1_400].map((nowMs) => pauseLeftMs(state, one, nowMs)),
      [50, 0, 0],
    );
    assert.equal(pauseLeftMs(state, other, 1_250), 0);
  });
});

describe('decideRetry, with a breaker that lets no more attempts through', () => {
  const open = (): CircuitBreakerLimits => {
    const breaker = new CircuitBreakerLimits({ maxInFlight: 0, maxPending: 0, maxRetries: 1 });
    breaker.retries = 1;
    return breaker;
  };
  for (const [name, facts] of [
    ['a failure', {}],
    ['a call that was never processed', { ended: AttemptEnd.refusedStream }],
    ['the same at the only endpoint', { ended: AttemptEnd.refusedStream, isOtherAvailable: false }],
    ['a marked refusal', { isMarkedUnprocessed: true, status: Status.RESOURCE_EXHAUSTED }],
  ] as const) {
    it(`ends ${name}, counts that, and takes nothing from the budget`, () => {
      const [breaker, budget] = [open(), AMPLE()];
      assert.equal(decide({ facts: { ...facts, breaker }, budget }), overBreaker);
      assert.deepEqual([breaker.hits.retries, budget.granted], [1, 0]);
      breaker.retries = 0;
      assert.ok(decide({ facts: { ...facts, breaker }, budget }) >= 0);
    });

    it(`counts nothing of ${name} that would not be tried again`, () => {
      for (const never of [{ isCommitted: true }, { isRequestHeld: false }, { timeLeftMs: 0 }]) {
        const breaker = open();
        assert.ok(decide({ facts: { ...facts, ...never, breaker } }) < 0);
        assert.equal(breaker.hits.retries, 0);
      }
    });
  }

  it('counts nothing on a route that does not ask for retries', () => {
    const breaker = open();
    assert.equal(decide({ facts: { breaker }, route: PLAIN }), notRetryable);
    assert.equal(breaker.hits.retries, 0);
  });
});

describe('decideRetry, after the death of the engine of an answer that another may go on with', () => {
  const DEAD = { ended: AttemptEnd.connectionLost, status: -1, isEngineLost: true };

  it('counts against neither the attempts of the route nor those of a call', () => {
    const state = stateOf({ attempts: 0 });
    for (let deaths = 0; deaths < MOST_LOST - 1; deaths++) {
      state.attempts++;
      assert.ok(decide({ facts: DEAD, state }) >= 0, `death ${deaths + 1}`);
    }
    assert.deepEqual([state.processed, state.lost], [0, MOST_LOST - 1]);
    state.attempts++;
    assert.equal(decide({ facts: DEAD, state }), exhausted);
  });

  it('waits longer each time', () => {
    const waits = [0, 1, 2, 3, 4].map((lost) => decide({ facts: DEAD, state: { lost }, draw: 1 }));
    assert.deepEqual(waits, [25, 50, 100, 200, 250]);
  });

  it('still counts other ends', () => {
    assert.equal(decide({ state: { attempts: 6, lost: 4, processed: 1 } }), exhausted);
    assert.equal(decide({ facts: DEAD, state: { attempts: 12, lost: 3 } }), exhausted);
  });

  it('pays for the attempt of a call that moves, but for none while extra attempts fail', () => {
    const budget = EMPTY();
    const moved = { ...DEAD, isMoved: true };
    for (let i = 0; i < 256; i++) assert.ok(decide({ facts: moved, budget }) >= 0, `call ${i}`);
    assert.equal(decide({ facts: DEAD, budget }), overBudget, 'it pays for its own attempt only');
    for (let i = 0; i < 10; i++) budget.recordOutcome(Outcome.fault, 0);
    assert.equal(decide({ facts: moved, budget }), overBudget);
  });
});
