/** What people see of endpoints, each beside its peers. */
import assert from 'node:assert/strict';
import { reportsOf } from '../../../sidecar/app/endpoint-report.js';
import type { DetectorsConfig } from '../../../sidecar/config/model.js';
import { DETECTORS, DetectorPool } from '../../kit/scenario/detector-pool.js';

describe('The latency of an endpoint beside its peers', () => {
  let pool: DetectorPool;
  afterEach(() => pool.close());

  const open = (latency: DetectorsConfig['latency']): void => {
    const { latency: _, ...others } = DETECTORS;
    const detectors = latency === undefined ? others : { ...others, latency };
    pool = new DetectorPool(['a', 'b', 'c'], { ejection: { detectors } });
    pool.works('a', 40);
    pool.works('b', 10);
    pool.works('c', 10);
  };
  const ratios = (): (number | undefined)[] => {
    const now = pool.clock.now();
    return reportsOf(pool.out.cluster, now).map(({ latencyRatio }) => latencyRatio);
  };

  it('is what the latency detector judges, once there are calls enough, and gone with them', () => {
    open({ mode: 'observe', factor: 3, minCalls: 20 });
    pool.load(50, 20);
    assert.deepEqual(ratios(), [undefined, undefined, undefined]);
    pool.load(50, 20);
    const [a, b, c] = ratios();
    assert.ok(a! > 3 && a! < 5, `${a}`);
    assert.ok(b! < 1 && c! < 1, `${b}, ${c}: the slow one is a peer of theirs`);
    pool.load(100, 20);
    assert.match(pool.endpoint('a').ejection.why, /[34]\.\d times that of its peers/);
    pool.advance(11_000);
    assert.deepEqual(ratios(), [undefined, undefined, undefined]);
  });

  it('is nothing while it is ejected, and its peers are not measured by it', () => {
    open({ mode: 'enforce', factor: 3, minCalls: 20 });
    pool.load(150, 20);
    assert.equal(pool.report('a').state, 'ejected');
    const [a, b, c] = ratios();
    assert.equal(a, undefined);
    assert.ok(b! > 0.9 && c! > 0.9, `${b}, ${c}`);
  });

  it('is nothing where the detector is off', () => {
    for (const latency of [undefined, { mode: 'off', factor: 3, minCalls: 20 } as const]) {
      open(latency);
      pool.load(100, 20);
      assert.deepEqual(ratios(), [undefined, undefined, undefined]);
      assert.ok(reportsOf(pool.out.cluster, 0).every((report) => !('latencyRatio' in report)));
      if (latency === undefined) pool.close();
    }
  });
});
