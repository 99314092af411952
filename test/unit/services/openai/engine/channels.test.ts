import assert from 'node:assert/strict';
import { CALLS_OF_CHANNEL, Channels } from '../../../../../services/openai/engine/channels.js';

describe('connections to an engine', () => {
  let made: number;
  let channels: Channels<number>;
  beforeEach(() => {
    made = 0;
    channels = new Channels(() => made++);
  });
  const take = (calls: number) => Array.from({ length: calls }, () => channels.take());

  it('are one for as many calls as a sidecar takes on it, and another for more', () => {
    const first = take(CALLS_OF_CHANNEL);
    assert.equal(made, 1);
    const [second] = take(1);
    assert.deepEqual([made, second!.channel, channels.all], [2, 1, [0, 1]]);
    first[5]!.release();
    assert.equal(channels.take().channel, 0);
    assert.equal(channels.take().channel, 1);
  });

  it('are used again when their calls are over', () => {
    for (const lease of take(3 * CALLS_OF_CHANNEL)) lease.release();
    take(3 * CALLS_OF_CHANNEL);
    assert.equal(made, 3);
  });
});
