import assert from 'node:assert/strict';
import { LagMeter } from '../../../../../sidecar/cli/chaos/load/lag.js';
import { Pace } from '../../../../../sidecar/cli/chaos/load/pace.js';

describe('the pace of a load', () => {
  it('makes up for a late timer, and keeps to its rate', () => {
    const pace = new Pace('digits', 100, 1_000);
    assert.equal(pace.take(999), 0);
    assert.equal(pace.take(1_000), 1);
    assert.equal(pace.take(1_035), 3);
    assert.equal(pace.take(1_039), 0);
  });

  it('of nothing is never due', () => {
    assert.equal(new Pace('long', 0, 0).take(1e9), 0);
  });
});

describe('the lateness of a client', () => {
  it('counts in each interval that it reaches over', () => {
    const meter = new LagMeter(() => 0);
    meter.start();
    meter.stop();
    meter.tick(10);
    meter.tick(21);
    meter.tick(331);
    assert.deepEqual(meter.lags, [300, 300, 300, 300]);
    meter.tick(341);
    assert.equal(meter.lags.at(-1), 300);
    meter.tick(551);
    assert.deepEqual(meter.lags.slice(4), [200, 200]);
  });
});
