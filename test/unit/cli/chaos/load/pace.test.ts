import assert from 'node:assert/strict';
import { evenly, Pace } from '../../../../../sidecar/cli/chaos/load/pace.js';

describe('the pace of a load', () => {
  it('makes up for a late timer, and keeps to its rate', () => {
    const pace = new Pace(evenly(100, 1_000));
    assert.equal(pace.take(999), 0);
    assert.equal(pace.take(1_000), 1);
    assert.equal(pace.take(1_035), 3);
    assert.equal(pace.take(1_039), 0);
  });

  it('of nothing is never due', () => {
    assert.equal(new Pace(evenly(0, 0)).take(1e9), 0);
  });

  it('of listed times has each call due once, late ones together', () => {
    const pace = new Pace([5, 10, 10, 30]);
    assert.deepEqual(
      [4, 5, 9, 20, 30, 99].map((atMs) => pace.take(atMs)),
      [0, 1, 0, 2, 1, 0],
    );
  });
});
