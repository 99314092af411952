import assert from 'node:assert/strict';
import { LagMeter } from '../../../../../sidecar/cli/chaos/load/lag.js';

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
