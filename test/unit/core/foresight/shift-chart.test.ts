import assert from 'node:assert/strict';
import {
  ShiftChart,
  SLACK_DEVIATIONS,
  THRESHOLD_DEVIATIONS,
} from '../../../../sidecar/core/foresight/shift-chart.js';
import { averageRunLength, normal } from '../../../kit/core/foresight.js';
import { seeded } from '../../../kit/time/seeded-random.js';

const SETTINGS = { leastSlack: 0.14, leastThreshold: 0.6 };

/** After a while in which nothing but noise was seen. */
function settled(noise = 0.02, seed = 1): ShiftChart {
  const chart = new ShiftChart(SETTINGS);
  const random = seeded(seed);
  for (let i = 0; i < 100; i += 1) chart.add(noise * normal(random), 0);
  return chart;
}

/** Observations until the alarm. */
function delay(chart: ShiftChart, observed: () => number, most = 1_000): number {
  for (let i = 1; i <= most; i += 1) {
    chart.add(observed(), 0);
    if (chart.level >= 0.5) return i;
  }
  return Number.POSITIVE_INFINITY;
}

describe('a chart of shifts', () => {
  it('finds a third more within ten observations, and twice as much within three, not sooner', () => {
    assert.ok(delay(settled(), () => Math.log(1.33)) <= 10);
    assert.equal(
      delay(settled(), () => Math.log(2)),
      3,
    );
    assert.equal(
      delay(settled(), () => 10),
      3,
    );
  });

  it('never finds what is below the slack', () => {
    assert.equal(
      delay(settled(), () => Math.log(1.14), 10_000),
      Number.POSITIVE_INFINITY,
    );
  });

  it('has no false alarm in a day of observations, whatever they vary by of themselves', () => {
    assert.ok(averageRunLength(SLACK_DEVIATIONS, THRESHOLD_DEVIATIONS) > 1e7);
    for (const noise of [0.02, 0.3, 1.5]) {
      const random = seeded(2);
      assert.equal(
        delay(settled(noise), () => noise * normal(random), 86_400),
        Number.POSITIVE_INFINITY,
      );
    }
  });

  it('takes longer where they vary more, by their own error too', () => {
    const random = seeded(4);
    assert.ok(delay(settled(0.5), () => Math.log(3) + 0.5 * normal(random)) > 5);
    const chart = settled();
    chart.add(Math.log(2), 2);
    assert.equal(chart.level, 0);
  });

  it('says nothing of the first observations, and forgets in minutes what nothing new supports', () => {
    const chart = new ShiftChart(SETTINGS);
    for (let i = 0; i < 10; i += 1) chart.add(5, 0);
    assert.equal(chart.level, 0);
    const suspicious = settled();
    delay(suspicious, () => 1);
    for (let second = 0; second < 300; second += 1) suspicious.idle();
    assert.ok(suspicious.level < 0.1);
    delay(suspicious, () => 1);
    suspicious.clear();
    assert.equal(suspicious.level, 0);
  });
});
