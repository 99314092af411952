import assert from 'node:assert/strict';
import { firstTryMs, ROUND_LIMIT_MS, timeForName } from '../../../../sidecar/core/discovery/round-time.js';

describe('The time of a name within a round of queries', () => {
  it('is what is left, less a margin, where no other name follows', () => {
    assert.equal(timeForName(0, 0), 4_750);
    assert.equal(timeForName(3_000, 0), 1_750);
    assert.equal(timeForName(9_000, 0), 0);
  });

  it('is the rest of the first half, and then a share', () => {
    assert.equal(timeForName(0, 32), 2_500);
    assert.equal(timeForName(1_500, 32), 1_000);
    assert.equal(timeForName(2_500, 7), 250);
  });

  it('leaves half a second to the last name, however many there are and although each takes all its time', () => {
    for (let names = 2; names <= 33; names++) {
      let elapsedMs = 0;
      for (let after = names - 1; after > 0; after--) {
        const ms = timeForName(elapsedMs, after);
        assert.ok(ms >= 50, `${ms} ms for one of ${names} names`);
        elapsedMs += ms;
      }
      const lastMs = timeForName(elapsedMs, 0);
      assert.ok(lastMs > 499.9, `${lastMs} ms for the last of ${names} names`);
      assert.ok(elapsedMs + lastMs < ROUND_LIMIT_MS);
    }
  });

  it('is never negative, also after a pause of the process', () => {
    for (const elapsedMs of [4_500, 4_749, 4_750, 4_800, 60_000])
      for (const after of [0, 1, 32]) {
        const ms = timeForName(elapsedMs, after);
        assert.ok(ms >= 0 && ms <= Math.max(0, 4_750 - elapsedMs), `${ms} ms after ${elapsedMs}`);
      }
  });
});

describe('The time of one server in the first turn', () => {
  it('is what resolv.conf says where all turns of all servers fit into the time', () => {
    assert.equal(firstTryMs(4_750, 1_000, [2]), 1_000);
    assert.equal(firstTryMs(4_750, 500, [2, 2, 2]), 500);
  });

  it('is less where they do not, and turns become longer', () => {
    assert.equal(firstTryMs(4_500, 1_000, [2, 2, 2]), 500);
    assert.equal(firstTryMs(3_100, 30_000, [5]), 100);
    assert.equal(firstTryMs(1_000, 1_000, [1, 2]), 250);
  });
});
