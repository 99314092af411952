import assert from 'node:assert/strict';
import { partsOf } from '../../../../../services/tokens/training/gru.js';
import { learn, type Recipe } from '../../../../../services/tokens/training/learn.js';

const recipe: Recipe = {
  seed: 1,
  embedding: 4,
  units: 16,
  epochs: 30,
  streams: 4,
  steps: 8,
  rate: 0.02,
  warmUp: 5,
  norm: 1,
};
/** 0 1 2 3 0 1 2 3 …: the token before says all. */
const tokens = Uint8Array.from({ length: 400 }, (_, i) => i % 4);

describe('learning a text', () => {
  it('gives the same bits each time, and others with another seed', () => {
    const bitsOf = (seed: number) =>
      partsOf(learn(tokens, 4, { ...recipe, epochs: 2, seed })).map(({ data }) => [...data]);
    assert.deepEqual(bitsOf(1), bitsOf(1));
    assert.notDeepEqual(bitsOf(1), bitsOf(2));
  });

  it('brings a text that repeats itself from two bits a token to less than a twentieth of one', () => {
    const told: number[] = [];
    learn(tokens, 4, recipe, (done, all, bits) => {
      assert.equal(all, 30 * Math.floor(99 / 8));
      assert.equal(done, told.push(bits));
    });
    assert.ok(told[0]! > 1.5, String(told[0]));
    assert.ok(told.at(-1)! < 0.05, String(told.at(-1)));
  });

  it('says when the text is too short', () => {
    assert.throws(() => learn(tokens.subarray(0, 20), 4, recipe), /found 20 tokens, expected 33 at least/);
  });
});
