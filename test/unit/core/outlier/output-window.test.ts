import assert from 'node:assert/strict';
import { LATEST, OUTPUT_BUCKET_MS, OutputWindow } from '../../../../sidecar/core/outlier/output-window.js';

describe('window of inspected responses', () => {
  it('counts the invalid ones of the latest twenty, and of fewer none', () => {
    const window = new OutputWindow();
    for (let i = 0; i < LATEST - 1; i++) window.fault(0);
    assert.equal(window.latestFaults, 0);
    window.fault(0);
    assert.equal(window.latestFaults, LATEST);
    for (let i = 1; i <= LATEST; i++) {
      window.success(0);
      assert.equal(window.latestFaults, LATEST - i);
    }
    assert.deepEqual([window.faults, window.successes], [LATEST, LATEST]);
  });

  it('forgets all when it is cleared, as by a pause of a minute', () => {
    for (const forget of [
      (window: OutputWindow) => window.clear(),
      (window: OutputWindow) => window.moveTo(10 * OUTPUT_BUCKET_MS),
    ]) {
      const window = new OutputWindow();
      for (let i = 0; i < LATEST; i++) window.fault(0);
      forget(window);
      assert.deepEqual([window.latestFaults, window.calls], [0, 0]);
    }
  });
});
