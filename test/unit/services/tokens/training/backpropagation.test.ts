import assert from 'node:assert/strict';
import { seededRandom } from '../../../../../services/digits/random.js';
import { Backpropagation } from '../../../../../services/tokens/training/backpropagation.js';
import { initialised, partsOf } from '../../../../../services/tokens/training/gru.js';

const sizes = { vocabulary: 5, embedding: 3, units: 4 };
const streams = 2;
const steps = 6;

describe('backpropagation through time', () => {
  it('gives the gradient that differences of the loss give, for every number of a small network', () => {
    const random = seededRandom(5);
    const net = initialised(sizes, random, Float64Array);
    const tokens = Uint8Array.from({ length: (steps + 1) * streams }, () => Math.floor(random.next() * 5));
    const learner = new Backpropagation(net, streams, steps, Float64Array);
    const lossNow = () => {
      learner.reset();
      return learner.learn(tokens);
    };
    lossNow();
    const gradients = partsOf(learner.gradients).map(({ data }) => data.slice());
    const epsilon = 1e-5;
    let checked = 0;
    partsOf(net).forEach(({ data }, part) => {
      for (let i = 0; i < data.length; i++) {
        const before = data[i]!;
        data[i] = before + epsilon;
        const above = lossNow();
        data[i] = before - epsilon;
        const below = lossNow();
        data[i] = before;
        const difference = (above - below) / (2 * epsilon);
        assert.ok(
          Math.abs(difference - gradients[part]![i]!) < 1e-8,
          `part ${part}, number ${i}: ${gradients[part]![i]} where differences give ${difference}`,
        );
        checked++;
      }
    });
    assert.equal(checked, 5 * 3 + 12 * 3 + 12 + 12 * 4 + 12 + 5 * 4 + 5);
    assert.ok(gradients.every((part) => part.some((value) => Math.abs(value) > 1e-4)));
  });

  it('goes on with the state of the window before, until it is reset', () => {
    const net = initialised(sizes, seededRandom(6), Float64Array);
    const learner = new Backpropagation(net, streams, steps, Float64Array);
    const tokens = new Uint8Array((steps + 1) * streams).fill(2);
    const first = learner.learn(tokens);
    assert.notEqual(learner.learn(tokens), first);
    learner.reset();
    assert.equal(learner.learn(tokens), first);
  });
});
