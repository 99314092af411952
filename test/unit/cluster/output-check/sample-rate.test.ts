import assert from 'node:assert/strict';
import { SampleRate } from '../../../../sidecar/cluster/output-check/sample-rate.js';
import { Suspects } from '../../../../sidecar/cluster/output-check/suspects.js';

describe('the rate of samples', () => {
  let suspects: Suspects<string>;
  let rate: SampleRate<string>;
  let chance: number;

  beforeEach(() => {
    suspects = new Suspects();
    chance = 0.5;
    rate = new SampleRate(suspects, () => chance);
  });

  /** How many of so many answers at one moment are wanted, and how many of those there is room for. */
  function looked(member: string, answers: number, nowMs: number): [wanted: number, taken: number] {
    let [wanted, taken] = [0, 0];
    for (let i = 0; i < answers; i++) {
      if (!rate.wants(member, nowMs)) continue;
      wanted++;
      if (rate.take(member, nowMs)) taken++;
    }
    return [wanted, taken];
  }

  it('takes ten of a burst whatever the ratio, then one each 100 ms', () => {
    assert.deepEqual(looked('a', 100, 1_000), [10, 10]);
    assert.deepEqual(looked('a', 100, 1_100), [1, 1]);
  });

  it('takes the share of all, up to 40 in a second', () => {
    rate.ratio = 0.6;
    assert.deepEqual(looked('a', 100, 1_000), [100, 40]);
    assert.deepEqual(looked('a', 100, 2_000), [100, 40]);
    chance = 0.7;
    assert.deepEqual(looked('a', 100, 2_000), [0, 0]);
  });

  it('wants each answer of a suspect, and keeps half of a second for suspects', () => {
    suspects.add('bad', 1_000);
    assert.deepEqual(looked('good', 10, 1_000), [10, 10]);
    rate.ratio = 1;
    assert.deepEqual(looked('good', 30, 1_000), [30, 10], 'of 40');
    rate.ratio = 0;
    assert.deepEqual(looked('bad', 30, 1_000), [30, 20]);
  });
});
