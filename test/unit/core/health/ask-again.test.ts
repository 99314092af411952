import assert from 'node:assert/strict';
import { askAgainMs, spread } from '../../../../sidecar/core/health/ask-again.js';
import { Status } from '../../../../sidecar/core/outcome/status.js';

describe('an endpoint that gave no answer', () => {
  it('is asked again after twice as long each time, a minute at most', () => {
    const waits = [0, 1, 2, 5, 6, 2_000].map((failures) => askAgainMs(failures, -1));
    assert.deepEqual(waits, [1_000, 2_000, 4_000, 32_000, 60_000, 60_000]);
  });

  it('is asked again after a minute where it refuses the question or does not know it', () => {
    assert.equal(askAgainMs(0, Status.UNIMPLEMENTED), 60_000);
    assert.equal(askAgainMs(0, Status.PERMISSION_DENIED), 60_000);
    assert.equal(askAgainMs(0, Status.UNAVAILABLE), 1_000);
  });

  it('is not asked by all callers at the same time', () => {
    assert.deepEqual(
      [0, 0.5].map((chance) => spread(1_000, () => chance)),
      [1_000, 1_100],
    );
  });
});
