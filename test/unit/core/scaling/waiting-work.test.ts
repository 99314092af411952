import assert from 'node:assert/strict';
import {
  isActive,
  readTrigger,
  type SaidWork,
  type Trigger,
  workOf,
} from '../../../../sidecar/core/scaling/waiting-work.js';

const A_TRIGGER: Trigger = { service: 'chat', by: 'calls', target: 10, activation: 0 };
const said = (calls: number, concurrency = 4, waitingTokens = -1): SaidWork => ({
  ...{ calls, concurrency, waitingTokens },
});

describe('the work of a service', () => {
  it('is the sum over its replicas, and of what waits here', () => {
    assert.equal(workOf(A_TRIGGER, [said(3), said(9)], 2), 14);
    assert.equal(workOf({ ...A_TRIGGER, by: 'waiting_calls' }, [said(3), said(9)], 2), 7);
    assert.equal(workOf({ ...A_TRIGGER, by: 'waiting_tokens' }, [said(3, 4, 0), said(9, 4, 800)], 2), 802);
    assert.equal(workOf(A_TRIGGER, [], 0), 0);
  });

  it('of a replica of which nothing is known is no reason for fewer replicas', () => {
    assert.equal(workOf(A_TRIGGER, [said(1), null], 0), 11);
    assert.equal(workOf(A_TRIGGER, [null, null], 0), 20, 'as many as there are');
    assert.equal(workOf({ ...A_TRIGGER, by: 'waiting_tokens' }, [said(9), said(9, 4, 0)], 0), 10);
  });

  it('of such a replica is no reason for more either', () => {
    assert.equal(workOf(A_TRIGGER, [said(15), null], 0), 20);
    assert.equal(workOf(A_TRIGGER, [said(25), null, null], 0), 30);
    assert.equal(workOf(A_TRIGGER, [said(45), null, null], 0), 45, 'which the others ask for themselves');
  });

  it('of a replica that is not ready is its target at least', () => {
    const unready = (calls: number): SaidWork => ({ ...said(calls), isUnready: true });
    assert.equal(workOf(A_TRIGGER, [unready(0), unready(0)], 3), 20, 'no reason for fewer');
    assert.equal(workOf(A_TRIGGER, [said(1), unready(4)], 0), 11);
    assert.equal(workOf(A_TRIGGER, [said(1), unready(14)], 0), 15, 'what it has is known');
    assert.equal(workOf(A_TRIGGER, [said(14), unready(4)], 0), 20, 'no reason for more');
    assert.equal(workOf(A_TRIGGER, [unready(0)], 30), 30, 'which the waiting calls are');
    assert.equal(workOf({ ...A_TRIGGER, by: 'waiting_calls' }, [unready(0), said(5)], 0), 11);
  });

  it('makes it active from more than its activation on, and while a call waits for any replica', () => {
    const trigger = { ...A_TRIGGER, activation: 5 };
    assert.deepEqual(
      [0, 5, 6].map((calls) => isActive(trigger, [said(calls)], 0)),
      [false, false, true],
    );
    assert.equal(isActive(trigger, [], 1), true);
    assert.equal(isActive(trigger, [null], 0), true, 'nobody knows that it has none');
  });
});

describe('a trigger of KEDA', () => {
  const read = (over: Record<string, string> = {}) =>
    readTrigger(
      new Map(Object.entries({ service: 'chat', target: '10', scalerAddress: 'app:9475', ...over })),
    );

  it('says service, metric, target and activation', () => {
    assert.deepEqual(read(), A_TRIGGER);
    assert.deepEqual(read({ metric: 'waiting_tokens', target: '2048.5', activation: '3' }), {
      ...{ service: 'chat', by: 'waiting_tokens', target: 2048.5, activation: 3 },
    });
  });

  it('that says something else is refused in a sentence', () => {
    const wrong = [
      [{ service: '' }, /found no service/],
      [{ metric: 'cpu' }, /metric: found "cpu"; expected calls, waiting_calls, waiting_tokens/],
      [{ target: '0' }, /target: /],
      [{ target: '-1' }, /target: /],
      [{ target: '1e999' }, /target: /],
      [{ target: '9999999999999' }, /target: /],
      [{ activation: 'many' }, /activation: /],
    ] as const;
    for (const [over, expected] of wrong) {
      const found = read(over);
      assert.ok(typeof found === 'string', JSON.stringify(over));
      assert.match(found, expected);
    }
    assert.match(String(readTrigger(new Map())), /found no service/);
  });
});
