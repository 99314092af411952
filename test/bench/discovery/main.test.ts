import assert from 'node:assert/strict';
import { afterTest } from '../../kit/mocha/after-test.js';
import { describeMachine } from '../relay/machine.js';
import { type Spread, spreadOf } from '../relay/results.js';
import { LoopMeter } from './loop.js';
import type { DiscoveryReport, SizeResult } from './main.js';
import { barsOf, renderDiscovery } from './table.js';

const always = (value: number): Spread => spreadOf([value]);

function size(endpoints: number, stallMs: number, pickNs: number): SizeResult {
  return {
    endpoints,
    bytes: endpoints * 1930,
    first: { appliedMs: always(20), stallMs: always(stallMs), ownMs: always(stallMs / 2) },
    change: { appliedMs: always(10), stallMs: always(stallMs / 2), ownMs: always(stallMs / 4) },
    memoryMb: 40,
    pickNs,
  };
}

function report(stallMs: number, pickNs: number, p99Us: number, problem = ''): DiscoveryReport {
  const many = { allMs: 100, memoryMb: 10, readsPerSecondAtRest: 0, changeMs: 1 };
  const loop = { stallMs: 2, ownMs: 1, cpu: 0.1, rssMb: 100, applied: 5 };
  return {
    machine: describeMachine(),
    runs: 1,
    idleStallMs: 1.2,
    sizes: [size(1, 1, 20), size(10_000, stallMs, pickNs)],
    churn: [{ ...loop, endpoints: 10_000, seconds: 5, changes: 83, reads: 5, mbPerSecond: 19.3 }],
    many: { upstreams: 100, endpointsEach: 10, stallMs: 3, ownMs: 2, ...many },
    live: {
      endpoints: 1_000,
      ratePerSecond: 500,
      quietP99Us: spreadOf([900, 1_000, 1_100]),
      quietUpperUs: 1_100,
      churnP99Us: always(p99Us),
      quietP50Us: always(500),
      churnP50Us: always(500),
      changes: 333,
      calls: 20_000,
      problem,
    },
  };
}

const results = (of: DiscoveryReport): boolean[] => barsOf(of).map(({ holds }) => holds);

describe('the discovery benchmark', () => {
  it('passes what keeps to the bars', () => {
    assert.deepEqual(results(report(10, 30, 1_100)), [true, true, true, true]);
    assert.doesNotMatch(renderDiscovery(report(10, 30, 1_100)), /MISSED|INVALID|NOT QUIET/);
  });

  it('says which bar is missed', () => {
    assert.deepEqual(results(report(10.1, 30, 1_100)), [false, true, true, true]);
    assert.deepEqual(results(report(20.2, 31, 1_101)), [false, false, false, false]);
    const missed = /MISSED {2}a pick, slowest ÷ fastest size: 1\.55 \(from 2 endpoints on: 1\.00\)/;
    assert.match(renderDiscovery(report(10, 31, 1_100)), missed);
  });

  it('gives no figure of live traffic that failed', () => {
    const failed = report(1, 20, 900, '3 × status 14');
    assert.deepEqual(results(failed), [true, true, true, false]);
    assert.match(renderDiscovery(failed), /live traffic: INVALID: 3 × status 14/);
  });

  it('judges our own CPU time when the machine is not quiet', () => {
    const noisy = { ...report(19, 30, 1_100), idleStallMs: 9 };
    assert.deepEqual(results(noisy), [true, true, true, true]);
    assert.match(renderDiscovery(noisy), /at most 10 ms of own CPU, as the machine is not quiet/);
    assert.deepEqual(results({ ...report(21, 30, 1_100), idleStallMs: 9 }), [false, true, true, true]);
  });

  it('says when the machine is not quiet', () => {
    const noisy = renderDiscovery({ ...report(1, 20, 900), idleStallMs: 9 });
    assert.match(noisy, /9\.0 ms here: THIS MACHINE IS NOT QUIET/);
  });

  it('sees the event loop stand still', async () => {
    const meter = new LoopMeter();
    afterTest(() => meter.close());
    await new Promise((resolve) => setTimeout(resolve, 20));
    meter.reset();
    const untilMs = performance.now() + 60;
    while (performance.now() < untilMs);
    await new Promise((resolve) => setTimeout(resolve, 20));
    const { stallMs, ownMs } = meter.read();
    assert.ok(stallMs >= 50, `${stallMs} ms`);
    assert.ok(ownMs > 1 && ownMs <= stallMs, `${ownMs} ms`);
  });
});
