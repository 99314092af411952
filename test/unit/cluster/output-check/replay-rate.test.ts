import assert from 'node:assert/strict';
import { ReplayRate } from '../../../../sidecar/cluster/output-check/replay-rate.js';

const MIB = 1024 * 1024;

describe('The rate of questions to peers', () => {
  it('is 16 MiB a second, whatever their size', () => {
    for (const bytes of [10_000, 588_000, 4 * MIB]) {
      const rate = new ReplayRate();
      let sent = 0;
      for (let now = 0; now < 10_000; now++)
        while (rate.isOpen(now)) {
          rate.take(bytes, now);
          sent += bytes;
        }
      assert.ok(sent >= 160 * MIB && sent <= 176 * MIB + bytes, `${bytes}: ${sent}`);
    }
  });

  it('is not saved up', () => {
    const rate = new ReplayRate();
    rate.take(16 * MIB, 0);
    assert.equal(rate.isOpen(0), false);
    rate.take(16 * MIB, 3_600_000);
    assert.equal(rate.isOpen(3_600_000), false);
  });
});
