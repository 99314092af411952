import assert from 'node:assert/strict';
import { Cusum } from '../../../../sidecar/core/foresight/cusum.js';
import { averageRunLength, normal } from '../../../kit/core/foresight.js';
import { seeded } from '../../../kit/time/seeded-random.js';

describe('a cumulative sum', () => {
  it('adds what is above the slack, and neither falls below 0 nor rises above its bound', () => {
    const cusum = new Cusum();
    cusum.add(-5, 1, 10);
    assert.equal(cusum.sum, 0);
    cusum.add(3, 1, 10);
    cusum.add(0.5, 1, 10);
    assert.equal(cusum.sum, 1.5);
    cusum.add(100, 1, 10);
    assert.equal(cusum.sum, 10);
    cusum.fade(0.5);
    assert.equal(cusum.sum, 5);
    cusum.clear();
    assert.equal(cusum.sum, 0);
  });

  for (const [shift, name] of [
    [0, 'false alarms'],
    [1, 'delays'],
  ] as const)
    it(`has ${name} as far apart as the formula says`, () => {
      const random = seeded(3);
      const [slack, threshold, runs] = [0.5, 4, 400];
      let observations = 0;
      for (let run = 0; run < runs; run += 1) {
        const cusum = new Cusum();
        do {
          cusum.add(shift + normal(random), slack, 100);
          observations += 1;
        } while (cusum.sum <= threshold);
      }
      const said = averageRunLength(slack, threshold, shift);
      assert.ok(Math.abs(observations / runs / said - 1) < 0.2, `${observations / runs}, not ${said}`);
    });

  it('is expected at the square of its bound where the shift is the slack', () => {
    assert.ok(Math.abs(averageRunLength(1, 4, 1) - 5.166 ** 2) < 1e-6);
  });
});
