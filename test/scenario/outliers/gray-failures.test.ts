/**
 * Endpoints that are not dead: they fail every other call, are slower than their peers, say that they are full, or worked
 * well until a moment ago. Each is found out by the detector for it, or left alone, by the written rules.
 */

import assert from 'node:assert/strict';
import { setHealthy } from '../../../sidecar/cluster/endpoint-health.js';
import { findingsOf } from '../../kit/core/ejections.js';
import { DETECTORS, DetectorPool } from '../../kit/scenario/detector-pool.js';

describe('Scenario: gray failures', () => {
  it('fails two of three calls, never five in a row: out within two seconds, and the reason is shown', () => {
    const pool = new DetectorPool();
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
      const pool = new DetectorPool();
      pool.fails('b', 2);
      pool.load(30, everyMs);
      pool.advance(1_010);
      assert.equal(pool.report('b').state, 'ejected', `every ${everyMs} ms`);
    }
  });

  it('failed before a silence longer than the window: it is forgotten', () => {
    const pool = new DetectorPool();
    pool.fails('b', 2);
    pool.load(12);
    pool.works('b');
    pool.advance(11_000);
    pool.load(60);
    assert.deepEqual(pool.states, ['eligible', 'eligible', 'eligible']);
    assert.equal(pool.report('b').successRatio, 1);
  });

  it('comes back with a clean slate: three new faults are three, though its window was full of them', () => {
    const pool = new DetectorPool();
    pool.fails('b', 3);
    pool.load(200);
    assert.equal(pool.report('b').state, 'ejected');
    pool.works('b');
    pool.advance(30_000);
    pool.load(6);
    assert.equal(pool.report('b').state, 'eligible');
    pool.fails('b');
    pool.load(9, 100);
    const { consecutiveFaults, state } = pool.report('b');
    assert.deepEqual([consecutiveFaults, state], [3, 'eligible']);
  });

  it('is six times slower than its peers: it alone is ejected', () => {
    const pool = new DetectorPool();
    pool.works(['a', 'c'], 10);
    pool.works('b', 60);
    pool.load(150, 20);
    assert.deepEqual(pool.states, ['eligible', 'ejected', 'eligible']);
    const why = /^median latency \d+\.\d ms over \d+ calls, \d\.\d times that of its peers$/;
    assert.match(pool.report('b').why, why);
  });

  it('is slow because the sidecar stood still: none is ejected', () => {
    const pool = new DetectorPool();
    pool.works('b', 60);
    pool.fails('c', 2);
    pool.hasStalled = true;
    pool.load(150, 20);
    assert.deepEqual(pool.states, ['eligible', 'eligible', 'eligible']);
  });

  it('is slow in what had piled up while the sidecar stood still: none is ejected', () => {
    const pool = new DetectorPool();
    pool.load(90, 20);
    // A look was due meanwhile, and comes before anything is read.
    pool.advance(pool.out.cluster.sweep!.dueMs - pool.clock.now() - 1);
    pool.hasStalled = true;
    pool.advance(6);
    pool.works('b', 60);
    pool.load(100, 3);
    pool.works('b');
    pool.advance(600);
    // It is so long ago that results count again, and the next look is near.
    pool.hasStalled = false;
    pool.load(150, 20);
    assert.deepEqual(pool.states, ['eligible', 'eligible', 'eligible']);
  });

  it('says that it is full: less for it, no ejection, and its share back when it is not', () => {
    const pool = new DetectorPool();
    pool.fails('b', 0, 8);
    pool.load(300);
    assert.equal(pool.report('b').state, 'eligible');
    assert.ok(pool.report('b').share! < 0.2);
    const few = pool.load(200)['8'] ?? 0;
    assert.ok(few < 20, `${few} of 200`);
    pool.works('b');
    pool.advance(12_000);
    const { b = 0 } = pool.load(90);
    assert.ok(b >= 29, `${b} of 90`);
  });

  it('all fail alike: traffic goes on to those that may not be ejected, and it is counted', () => {
    const pool = new DetectorPool();
    for (const name of pool.names) pool.fails(name, 2);
    const { a = 0, b = 0, c = 0 } = pool.load(300);
    assert.ok(a + b + c > 100);
    assert.equal(pool.states.filter((state) => state === 'ejected').length, 1);
    const { overCap, lastEligible } = findingsOf(pool.out.cluster.ejections);
    assert.ok(overCap + lastEligible > 0);
  });

  it('observes only: it is counted with its detector, and nothing is ejected', () => {
    const successRatio = { ...DETECTORS.successRatio!, mode: 'observe' } as const;
    const pool = new DetectorPool(['a', 'b', 'c'], { ejection: { detectors: { successRatio } } });
    pool.fails('b', 2);
    pool.load(300);
    assert.deepEqual(pool.states, ['eligible', 'eligible', 'eligible']);
    const { observed, overCap, lastEligible } = findingsOf(pool.out.cluster.ejections);
    assert.deepEqual({ observed, overCap, lastEligible }, { observed: 1, overCap: 0, lastEligible: 0 });
  });

  it('passes its checks while its calls fail: calls are believed', () => {
    const pool = new DetectorPool();
    pool.fails('b');
    for (let i = 0; i < 20; i++) {
      pool.load(10);
      setHealthy(pool.out.cluster, pool.endpoint('b'), true, '');
    }
    assert.equal(pool.report('b').state, 'ejected');
    assert.equal(pool.endpoint('b').ejection.ejections, 1);
  });

  it('fails its checks now and then: out and back with them, on the connection it has', () => {
    const pool = new DetectorPool();
    for (let i = 0; i < 5; i++) {
      setHealthy(pool.out.cluster, pool.endpoint('b'), false, 'NOT_SERVING');
      assert.equal(pool.load(10)['b'], undefined);
      setHealthy(pool.out.cluster, pool.endpoint('b'), true, '');
      assert.ok(pool.load(9)['b']! >= 2);
    }
    assert.equal(pool.backend('b').peers.length, 1);
    assert.equal(pool.endpoint('b').ejection.ejections, 0);
  });
});
