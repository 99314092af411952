import assert from 'node:assert/strict';
import { limitOf, limitsWithin, withLimit } from '../../../../sidecar/core/admission/model-limits.js';

const OF_MODEL = { model: 'a', concurrency: 1 };
const OF_VERSION = { model: 'a', version: '2', maxWaiting: 0 };
const LIMITS = [OF_MODEL, OF_VERSION, { model: 'b', maxWaitingBytes: 7 }];
const QUEUE = { concurrency: 4, maxWaiting: 8, maxWaitingBytes: 100, adaptive: { min: 1, max: 9 } };

describe('Limits of single models', () => {
  it('are those of the version before those of the model, wherever they stand', () => {
    for (const limits of [LIMITS, LIMITS.toReversed()]) {
      assert.equal(limitOf(limits, 'a', '2'), OF_VERSION);
      assert.equal(limitOf(limits, 'a', '1'), OF_MODEL);
      assert.equal(limitOf(limits, 'a', ''), OF_MODEL);
      assert.equal(limitOf(limits, 'c', '2'), undefined);
    }
    assert.equal(limitOf([OF_VERSION], 'a', ''), undefined);
  });

  it('are within a queue that does not tell their models or versions apart', () => {
    assert.deepEqual(limitsWithin(LIMITS, '', ''), LIMITS);
    assert.deepEqual(limitsWithin(LIMITS, 'a', ''), [OF_VERSION]);
    assert.deepEqual(limitsWithin(LIMITS, 'a', '2'), []);
    assert.deepEqual(limitsWithin(LIMITS, 'b', ''), []);
  });

  it('replace what they say and leave the rest; a number of calls at once ends the search for one', () => {
    assert.equal(withLimit(QUEUE, undefined), QUEUE);
    assert.deepEqual(withLimit(QUEUE, OF_VERSION), { ...QUEUE, maxWaiting: 0 });
    const { adaptive: _, ...rest } = QUEUE;
    assert.deepEqual(withLimit(QUEUE, OF_MODEL), { ...rest, concurrency: 1 });
  });
});
