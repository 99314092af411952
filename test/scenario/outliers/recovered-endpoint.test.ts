/**
 * An endpoint was slow, and is well again. What is known of it fades while no call goes there, as in Finagle and linkerd, and is dropped after ten
 * seconds without a slow call, where theirs would keep an endpoint that was fifty times as slow away for forty.
 */
import assert from 'node:assert/strict';
import { DetectorPool } from '../../kit/scenario/detector-pool.js';

const MS = 10;
const SLOW_MS = 500;

describe('Scenario: an endpoint that was slow is well again', () => {
  let pool: DetectorPool;

  /** Of 150 calls, those that it gets. */
  const shareOf = (name: string): number => pool.load(150, 5)[name] ?? 0;

  beforeEach(() => {
    pool = new DetectorPool(['a', 'b', 'c'], {
      balance: { kind: 'least-loaded' },
      ejection: { mode: 'observe' },
    });
    pool.works(pool.names, MS);
    pool.load(150, 5);
    pool.works('a', SLOW_MS);
    pool.load(600, 5);
    assert.ok(shareOf('a') < 15, 'it is avoided');
    pool.works('a', MS);
    pool.advance(SLOW_MS);
  });

  it('and has its share within ten seconds without any call', () => {
    pool.advance(10_000);
    const share = shareOf('a');
    assert.ok(share > 35, `${share} of 150`);
  });

  it('and has its share within ten seconds of calls to all of them', () => {
    pool.load(2_000, 5);
    const share = shareOf('a');
    assert.ok(share > 35, `${share} of 150`);
  });

  it('while one that goes on being slow is avoided as long', () => {
    pool.works('a', SLOW_MS);
    pool.load(2_000, 5);
    const share = shareOf('a');
    assert.ok(share < 15, `${share} of 150`);
  });
});
