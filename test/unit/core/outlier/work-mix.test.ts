import assert from 'node:assert/strict';
import { type ClassCalls, WorkMix } from '../../../../sidecar/core/outlier/work-mix.js';

const of = (calls: number, medianMs: number): ClassCalls => ({ calls, medianMs });

describe('The work of endpoints by class', () => {
  it('is the same where shares are the same, however much it is and however long it takes there', () => {
    const mix = new WorkMix(
      [
        [of(100, 2), of(10, 20)],
        [of(20, 20), of(2, 200)],
      ],
      2,
    );
    assert.equal(mix.beyondPeers(0, [1]), 0);
    assert.equal(mix.beyondPeers(1, [0]), 0);
  });

  it('counts calls by what one costs, and waiting costs nothing', () => {
    // 100 calls of 2 ms beside 10 of 20 ms: half of the work, though these are slow here for the wait.
    const mix = new WorkMix(
      [
        [of(100, 30), of(100, 2)],
        [of(10, 20), undefined],
      ],
      2,
    );
    assert.equal(mix.beyondPeers(0, [1]), 0.5);
    assert.equal(mix.beyondPeers(1, [0]), 0.5, 'it does more of the other');
  });

  it('is compared with the mean of the peers', () => {
    const row = (...calls: number[]) => calls.map((each) => (each === 0 ? undefined : of(each, 1)));
    const mix = new WorkMix([row(50, 100, 50), row(50, 0, 50)], 3);
    assert.equal(mix.beyondPeers(0, [2]), 0);
    assert.equal(mix.beyondPeers(0, [1, 2]), 0.25);
  });

  it('of an endpoint without calls is no work', () => {
    const mix = new WorkMix([[undefined, of(5, 1)]], 2);
    assert.equal(mix.beyondPeers(0, [1]), 0);
    assert.equal(mix.beyondPeers(1, [0]), 1);
  });
});
