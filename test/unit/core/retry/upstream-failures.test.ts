import assert from 'node:assert/strict';
import { NoRetry } from '../../../../sidecar/core/retry/retry-state.js';
import { isSpent, UpstreamFailures } from '../../../../sidecar/core/retry/upstream-failures.js';

const failure = (trace: string, atMs: number, upstream = 'c', status = 14) => ({
  ...{ upstream, status, trace, isAnswered: true, atMs },
});
const call = (trace: string, startMs: number, status = 14) => ({ status, trace, startMs });

describe('failures of the upstreams of a model', () => {
  it('explain the call of the same trace, and no other', () => {
    const failures = new UpstreamFailures();
    failures.note(failure('a', 10, 'of a'));
    failures.note(failure('b', 20, 'of b'));
    assert.equal(failures.takeCause(call('c', 0)), undefined);
    assert.equal(failures.takeCause(call('a', 0))?.upstream, 'of a');
    assert.equal(failures.takeCause(call('a', 0)), undefined, 'a second time');
    assert.equal(failures.takeCause(call('b', 0))?.upstream, 'of b');
  });

  it('explain a call without a trace, or whose model passes none on, once each', () => {
    const failures = new UpstreamFailures();
    failures.note(failure('', 10, 'first'));
    failures.note(failure('own', 20, 'second'));
    assert.equal(failures.takeCause(call('a', 0))?.upstream, 'first', 'the model passes no trace on');
    assert.equal(failures.takeCause(call('a', 0)), undefined, 'that is the failure of another trace');
    assert.equal(failures.takeCause(call('', 0))?.upstream, 'second', 'the model begins traces');
  });

  it('explain neither a call that began later nor one with another status', () => {
    const failures = new UpstreamFailures();
    failures.note(failure('a', 10));
    assert.equal(failures.takeCause(call('a', 11)), undefined);
    assert.equal(failures.takeCause(call('a', 0, 13)), undefined);
    assert.ok(failures.takeCause(call('a', 10)));
  });

  it('are forgotten, the oldest first, before there are many', () => {
    const failures = new UpstreamFailures();
    for (let i = 0; i < 100_000; i++) failures.note(failure(`t${i}`, i));
    assert.equal(failures.takeCause(call('t0', 0)), undefined);
    assert.ok(failures.takeCause(call('t99999', 0)));
    assert.ok(failures.takeCause(call('t99600', 0)));
  });

  it('are those that this sidecar was to retry and could not any more', () => {
    const { exhausted, overBudget, overBreaker, pushback } = NoRetry;
    for (const decision of [exhausted, overBudget, overBreaker, pushback]) assert.ok(isSpent(decision));
    const { notRetryable, committed, notHeld, noTime } = NoRetry;
    for (const decision of [notRetryable, committed, notHeld, noTime, 0, 25]) assert.ok(!isSpent(decision));
  });
});
