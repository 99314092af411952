/**
 * Endpoints that are not dead: they fail every other call, are slower than their peers, say that they are full, or worked
 * well until a moment ago. Each is found out by the detector for it, or left alone, by the written rules.
 */

import assert from 'node:assert/strict';
import { setHealthy } from '../../../sidecar/cluster/endpoint-health.js';
import { findingsOf } from '../../kit/core/ejections.js';
import { DETECTORS, DetectorPool } from '../../kit/scenario/detector-pool.js';

describe('Scenario: gray failures', () => {
  let pool: DetectorPool;
  afterEach(() => pool.close());

  it('fails two of three calls, never five in a row: out within two seconds, and the reason is shown', () => {
    pool = new DetectorPool(['a', 'b', 'c']);
    pool.fails('b', 3);
    pool.load(200);
    const { state, why, untilMs } = pool.report('b');
    assert.equal(state, 'ejected');
    assert.match(why, /^success ratio 0\.3\d over \d+ calls in 10 s, last: status 14$/);
    assert.ok(untilMs! > 28_000);
    assert.equal(pool.load(100)['14'], undefined);
  });

  it('fails as much in a burst as in a trickle: the same decision', () => {
    for (const everyMs of [1, 250]) {
      pool = new DetectorPool(['a', 'b', 'c']);
      pool.fails('b', 2);
      pool.load(30, everyMs);
      pool.stack.advance(1_010);
      assert.equal(pool.report('b').state, 'ejected', `every ${everyMs} ms`);
      if (everyMs === 1) pool.close();
    }
  });

  it('failed before a silence longer than the window: it is forgotten', () => {
    pool = new DetectorPool(['a', 'b', 'c'], { ejection: { detectors: DETECTORS } });
    pool.fails('b', 2);
    pool.load(12);
    pool.works('b');
    pool.stack.advance(11_000);
    pool.load(60);
    assert.deepEqual(pool.states, ['eligible', 'eligible', 'eligible']);
    assert.equal(pool.report('b').successRatio, 1);
  });

  it('comes back with a clean slate: three new faults are three, though its window was full of them', () => {
    pool = new DetectorPool(['a', 'b', 'c']);
    pool.fails('b', 3);
    pool.load(200);
    assert.equal(pool.report('b').state, 'ejected');
    pool.works('b');
    pool.stack.advance(30_000);
    pool.load(6);
    assert.equal(pool.report('b').state, 'eligible');
    pool.fails('b');
    pool.load(9, 100);
    assert.equal(pool.report('b').consecutiveFaults, 3);
    assert.equal(pool.report('b').state, 'eligible');
  });

  it('is six times slower than its peers: it alone is ejected', () => {
    pool = new DetectorPool(['a', 'b', 'c']);
    pool.works('a', 10);
    pool.works('b', 60);
    pool.works('c', 10);
    pool.load(150, 20);
    assert.deepEqual(pool.states, ['eligible', 'ejected', 'eligible']);
    assert.match(
      pool.report('b').why,
      /^median latency \d+\.\d ms over \d+ calls, \d\.\d times that of its peers$/,
    );
  });

  it('is slow because the sidecar stood still: none is ejected', () => {
    pool = new DetectorPool(['a', 'b', 'c']);
    pool.works('b', 60);
    pool.fails('c', 2);
    pool.stack.hasStalled = true;
    pool.load(150, 20);
    assert.deepEqual(pool.states, ['eligible', 'eligible', 'eligible']);
  });

  it('is slow in what had piled up while the sidecar stood still: none is ejected', () => {
    pool = new DetectorPool(['a', 'b', 'c']);
    pool.load(90, 20);
    const { stack } = pool;
    // A look was due meanwhile, and comes before anything is read.
    stack.advance(pool.out.cluster.sweep!.dueMs - stack.clock.now() - 1);
    stack.hasStalled = true;
    stack.advance(6);
    pool.works('b', 60);
    pool.load(100, 3);
    pool.works('b');
    stack.advance(600);
    // It is so long ago that results count again, and the next look is near.
    stack.hasStalled = false;
    pool.load(150, 20);
    assert.deepEqual(pool.states, ['eligible', 'eligible', 'eligible']);
  });

  it('says that it is full: less for it, no ejection, and its share back when it is not', () => {
    pool = new DetectorPool(['a', 'b', 'c']);
    pool.fails('b', 0, 8);
    pool.load(300);
    assert.equal(pool.report('b').state, 'eligible');
    assert.ok(pool.report('b').share! < 0.2);
    const few = pool.load(200)['8'] ?? 0;
    assert.ok(few < 20, `${few} of 200`);
    pool.works('b');
    pool.stack.advance(12_000);
    const { b = 0 } = pool.load(90);
    assert.ok(b >= 29, `${b} of 90`);
  });

  it('all fail alike: traffic goes on to those that may not be ejected, and it is counted', () => {
    pool = new DetectorPool(['a', 'b', 'c']);
    for (const name of pool.names) pool.fails(name, 2);
    const found = pool.load(300);
    assert.ok((found['a'] ?? 0) + (found['b'] ?? 0) + (found['c'] ?? 0) > 100);
    assert.equal(pool.states.filter((state) => state === 'ejected').length, 1);
    const { overCap, lastEligible } = findingsOf(pool.out.cluster.ejections);
    assert.ok(overCap + lastEligible > 0);
  });

  it('observes only: it is counted with its detector, and nothing is ejected', () => {
    const successRatio = { ...DETECTORS.successRatio!, mode: 'observe' } as const;
    pool = new DetectorPool(['a', 'b', 'c'], { ejection: { detectors: { successRatio } } });
    pool.fails('b', 2);
    pool.load(300);
    assert.deepEqual(pool.states, ['eligible', 'eligible', 'eligible']);
    const { observed, overCap, lastEligible } = findingsOf(pool.out.cluster.ejections);
    assert.deepEqual({ observed, overCap, lastEligible }, { observed: 1, overCap: 0, lastEligible: 0 });
  });

  it('passes its checks while its calls fail: calls are believed', () => {
    pool = new DetectorPool(['a', 'b', 'c']);
    pool.fails('b');
    for (let i = 0; i < 20; i++) {
      pool.load(10);
      setHealthy(pool.out.cluster, pool.endpoint('b'), true, '');
    }
    assert.equal(pool.report('b').state, 'ejected');
    assert.equal(pool.endpoint('b').ejection.ejections, 1);
  });

  it('fails its checks now and then: out and back with them, on the connection it has', () => {
    pool = new DetectorPool(['a', 'b', 'c']);
    for (let i = 0; i < 5; i++) {
      setHealthy(pool.out.cluster, pool.endpoint('b'), false, 'NOT_SERVING');
      assert.equal(pool.load(10)['b'], undefined);
      setHealthy(pool.out.cluster, pool.endpoint('b'), true, '');
      assert.ok(pool.load(9)['b']! >= 2);
    }
    assert.equal(pool.stack.backend('b').peers.length, 1);
    assert.equal(pool.endpoint('b').ejection.ejections, 0);
  });
});
