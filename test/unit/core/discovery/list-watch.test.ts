import assert from 'node:assert/strict';
import {
  isLongWatch,
  isShortWatch,
  retryAfterMs,
  retryDelayMs,
  watchSeconds,
} from '../../../../sidecar/core/discovery/list-watch.js';

describe('A list and watch', () => {
  it('is tried again ever later, half of the wait by chance, at most 30 s', () => {
    const waits = [1, 2, 3, 6, 7, 400].map((failures) => retryDelayMs(failures, () => 1));
    assert.deepEqual(waits, [800, 1_600, 3_200, 25_600, 30_000, 30_000]);
    assert.equal(
      retryDelayMs(1, () => 0),
      400,
    );
  });

  it('is asked for 4 to 6 minutes', () => {
    assert.deepEqual([watchSeconds(() => 0), watchSeconds(() => 1)], [240, 360]);
  });

  it('has failed where it ended at once and told nothing', () => {
    assert.deepEqual(
      [isShortWatch(999, 0), isShortWatch(999, 1), isShortWatch(1_000, 0)],
      [true, false, false],
    );
  });

  it('has not failed where it was cut after the longest wait between two tries', () => {
    assert.deepEqual([isLongWatch(29_999), isLongWatch(30_000)], [false, true]);
  });

  it('waits as long as the server asks for, within bounds', () => {
    assert.deepEqual(['1', '99999', undefined, 'soon', '-1'].map(retryAfterMs), [
      1_000,
      30_000,
      undefined,
      undefined,
      undefined,
    ]);
  });
});
