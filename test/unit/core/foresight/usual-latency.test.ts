import assert from 'node:assert/strict';
import { UsualLatency } from '../../../../sidecar/core/foresight/usual-latency.js';
import { likeMeasured } from '../../../kit/core/foresight.js';
import { seeded } from '../../../kit/time/seeded-random.js';

/** Forty calls a second. */
function learn(usual: UsualLatency, fromMs: number, seconds: number, latencyMs: () => number): number {
  for (let call = 0; call < seconds * 40; call += 1) usual.learn(Math.log(latencyMs()), fromMs + call * 25);
  return fromMs + seconds * 1_000;
}

describe('what is usual', () => {
  it('is not known before 200 calls and 20 s', () => {
    const usual = new UsualLatency(1, 0);
    learn(usual, 0, 6, () => 5);
    assert.equal(usual.isKnown(19_000), false);
    assert.equal(usual.isKnown(20_000), true);
    const rare = new UsualLatency(1, 0);
    learn(rare, 0, 4, () => 5);
    assert.equal(rare.isKnown(60_000), false);
  });

  it('is the median and the 99th percentile, within a tenth', () => {
    const usual = new UsualLatency(1, 0);
    const end = learn(
      usual,
      0,
      60,
      likeMeasured(seeded(1), () => 8, 0.5, 0),
    );
    assert.ok(usual.isKnown(end));
    const off = (ln: number, expected: number): number => Math.abs(Math.exp(ln) / expected - 1);
    assert.ok(off(usual.medianLn, 8) < 0.1);
    assert.ok(off(usual.p99Ln, 8 * Math.exp(0.5 * 2.326)) < 0.1);
  });

  it('follows within some ten minutes, and hours later still', () => {
    const usual = new UsualLatency(1, 0);
    let now = learn(usual, 0, 600, () => 10);
    now = learn(usual, now, 60, () => 20);
    usual.isKnown(now);
    assert.ok(Math.exp(usual.medianLn) < 12);
    now = learn(usual, now, 1_200, () => 20);
    usual.isKnown(now);
    assert.ok(Math.exp(usual.medianLn) > 18);
    now = learn(usual, now + 48 * 3_600_000, 60, () => 40);
    usual.isKnown(now);
    assert.ok(Math.exp(usual.medianLn) > 36);
    assert.ok(Math.exp(usual.p99Ln) < 46);
  });

  it('is learnt anew after weeks without a call', () => {
    const usual = new UsualLatency(1, 0);
    let now = learn(usual, 0, 60, () => 10);
    now = learn(usual, now + 30 * 24 * 3_600_000, 60, () => 40);
    assert.ok(usual.isKnown(now));
    assert.ok(Math.abs(Math.exp(usual.medianLn) / 40 - 1) < 0.1);
    assert.ok(Math.abs(Math.exp(usual.p99Ln) / 40 - 1) < 0.1);
  });

  it('takes any latency', () => {
    const usual = new UsualLatency(1, 0);
    for (const ms of [0.0001, 1e9]) usual.learn(Math.log(ms), 0);
    learn(usual, 0, 30, () => 0.01);
    assert.ok(usual.isKnown(30_000));
    assert.ok(Math.exp(usual.medianLn) < 0.012);
  });
});
