import assert from 'node:assert/strict';
import { CallDeltas } from '../../../../sidecar/core/history/call-deltas.js';

const totals = (calls: number, failed = 0, kind = 'outbound a') => ({
  kind,
  calls,
  failed,
  times: [calls, 0],
});

describe('calls between two readings', () => {
  it('are the difference of counters, none at the first reading, and all of a kind that is new', () => {
    const deltas = new CallDeltas();
    assert.deepEqual(deltas.since([totals(1_000, 5)]), []);
    const [known, fresh] = deltas.since([totals(1_010, 6), totals(3, 0, 'outbound b')]);
    assert.deepEqual([known!.calls, known!.failed, Array.from(known!.times)], [10, 1, [10, 0]]);
    assert.deepEqual([fresh!.kind, fresh!.calls], ['outbound b', 3]);
  });

  it('count from 0 in a process that has started anew', () => {
    const deltas = new CallDeltas();
    deltas.since([totals(1_000)]);
    assert.equal(deltas.since([totals(4)])[0]!.calls, 4);
  });

  it('are not changed by counters that go on counting', () => {
    const times = [1, 0];
    const deltas = new CallDeltas();
    deltas.since([{ kind: 'k', calls: 1, failed: 0, times }]);
    times[0] = 5;
    assert.deepEqual(Array.from(deltas.since([{ kind: 'k', calls: 5, failed: 0, times }])[0]!.times), [4, 0]);
  });
});
