import assert from 'node:assert/strict';
import { choose, draw } from '../../../../services/tokens/sampling.js';

const any = () => true;

describe('draws', () => {
  it('depend on seed and place alone, and differ with either', () => {
    const seeds = [0n, 1n, -1n, 2n ** 32n, 2n ** 63n - 1n, -(2n ** 63n)];
    const drawn = seeds.flatMap((seed) => [0, 1, 2, 2 ** 31].map((place) => draw(seed, place)));
    assert.equal(new Set(drawn).size, drawn.length);
    assert.equal(draw(7n, 3), draw(7n, 3));
  });

  it('are uniform: of 20,000, each tenth of the range gets 9 to 11 %', () => {
    for (const seed of [0n, 123_456_789_012n]) {
      const tenths = new Array<number>(10).fill(0);
      for (let place = 0; place < 20_000; place++) {
        const at = Math.floor(draw(seed, place) * 10);
        tenths[at] = tenths[at]! + 1;
      }
      assert.ok(
        tenths.every((count) => count > 1800 && count < 2200),
        tenths.join(' '),
      );
    }
  });
});

describe('the choice of a token', () => {
  const logits = Float32Array.of(1, 3, 2, 5);

  it('is the most probable allowed one at temperature 0', () => {
    assert.equal(choose(logits, { temperature: 0, chance: 0.999, isAllowed: any }), 3);
    assert.equal(choose(logits, { temperature: 0, chance: 0, isAllowed: (token) => token !== 3 }), 1);
  });

  it('has the probabilities of the softmax at temperature 1', () => {
    const sum = logits.reduce((total, logit) => total + Math.exp(logit), 0);
    const counts = [0, 0, 0, 0];
    const times = 10_000;
    for (let i = 0; i < times; i++) {
      const token = choose(logits, { temperature: 1, chance: (i + 0.5) / times, isAllowed: any });
      counts[token] = counts[token]! + 1;
    }
    counts.forEach((count, token) => {
      assert.ok(Math.abs(count / times - Math.exp(logits[token]!) / sum) < 0.001);
    });
  });

  it('prefers the probable ones below temperature 1, and never takes one that is not allowed', () => {
    for (let i = 0; i < 100; i++) {
      const chance = (i + 0.5) / 100;
      assert.equal(choose(logits, { temperature: 0.1, chance, isAllowed: any }), 3);
      assert.notEqual(choose(logits, { temperature: 5, chance, isAllowed: (token) => token !== 2 }), 2);
    }
  });

  it('fails when nothing is allowed, or when the network gave no number', () => {
    assert.throws(() => choose(logits, { temperature: 1, chance: 0, isAllowed: () => false }), /no token/);
    const broken = Float32Array.of(1, Number.NaN);
    assert.throws(() => choose(broken, { temperature: 0, chance: 0, isAllowed: any }), /token 1 is not a/);
  });
});
