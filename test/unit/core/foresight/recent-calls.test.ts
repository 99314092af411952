import assert from 'node:assert/strict';
import { RecentCalls } from '../../../../sidecar/core/foresight/recent-calls.js';

function taken(calls: RecentCalls): [number, number][] {
  const all: [number, number][] = [];
  calls.take((kind, tookMs) => void all.push([kind, tookMs]));
  return all;
}

describe('the calls of the last second', () => {
  it('are given once, in their order', () => {
    const calls = new RecentCalls();
    calls.record(3, 1.5);
    calls.record(0, 2);
    assert.deepEqual(taken(calls), [
      [3, 1.5],
      [0, 2],
    ]);
    assert.deepEqual(taken(calls), []);
  });

  it('are the first 128 of a burst, and of the seconds after it evenly spread ones', () => {
    const calls = new RecentCalls();
    const burst = (): void => {
      for (let i = 0; i < 1_000; i += 1) calls.record(0, i);
    };
    burst();
    assert.deepEqual(taken(calls).at(-1), [0, 127]);
    burst();
    const next = taken(calls).map(([, tookMs]) => tookMs);
    assert.equal(next.length, 125);
    assert.equal(next.at(-1), 999);
    calls.record(0, 1);
    calls.clear();
    assert.deepEqual(taken(calls), []);
  });
});
