import assert from 'node:assert/strict';
import { RetryPause } from '../../../../sidecar/telemetry/otlp/retry-pause.js';

describe('the pause between tries', () => {
  it('doubles up to half a minute, and begins anew after an answer', () => {
    const pause = new RetryPause(() => 0.5);
    const seen = Array.from({ length: 7 }, () => {
      pause.lengthen();
      return pause.ms;
    });
    assert.deepEqual(seen, [1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]);
    pause.end();
    assert.equal(pause.ms, 0);
    pause.lengthen();
    assert.equal(pause.ms, 1_000);
  });

  it('is spread by a fifth, and as long as the collector asks', () => {
    const [short, long] = [new RetryPause(() => 0), new RetryPause(() => 1)];
    short.lengthen();
    long.lengthen();
    assert.deepEqual([short.ms, long.ms], [800, 1_200]);
    short.lengthen(7_000);
    long.lengthen(3_600_000);
    assert.deepEqual([short.ms, long.ms], [7_000, 30_000]);
  });
});
