import assert from 'node:assert/strict';
import { StreamPace } from '../../../../sidecar/core/stats/stream-pace.js';

describe('StreamPace', () => {
  it('takes one stream of eight', () => {
    const pace = new StreamPace();
    const taken = Array.from({ length: 17 }, () => pace.takes());
    assert.deepEqual(
      taken.flatMap((each, i) => (each ? [i] : [])),
      [0, 8, 16],
    );
  });

  it('is the first sample, and then follows those that come', () => {
    const pace = new StreamPace();
    pace.record(100, 2_000);
    assert.equal(pace.messagesPerSecond, 50);
    for (let i = 0; i < 30; i++) pace.record(10, 1_000);
    assert.ok(pace.messagesPerSecond > 10 && pace.messagesPerSecond < 10.1, `${pace.messagesPerSecond}`);
  });
});
