import assert from 'node:assert/strict';
import { FeatureExtractor, normalised } from '../../../../services/langid/features.js';

describe('the features of langid', () => {
  const extractor = new FeatureExtractor({
    unigrams: ['a', ' '],
    bigrams: ['ab', 'zz'],
    trigrams: [' ab'],
    quadgrams: ['abba', 'ab b'],
  });
  const featuresOf = (text: string): number[] => {
    const into = new Float32Array(extractor.size);
    extractor.write(text, into, 0);
    return [...into];
  };

  it('normalise a text to lower-case letters and single spaces', () => {
    assert.equal(normalised('  Well-known, "Ça va?"\n\t42 Żółć! '), ' well known ça va żółć ');
    assert.equal(normalised('नमस्ते'), ' नमस्ते ');
    assert.equal(normalised('1 + 2'), '  ');
  });

  it('are the share of each sequence among those of its length', () => {
    // " abba ": 6 characters, 5 pairs, 4 triples, 3 quadruples.
    assert.deepEqual(featuresOf('Abba'), [2 / 6, 2 / 6, 1 / 5, 0, 1 / 4, 1 / 3, 0].map(Math.fround));
  });

  it('are written where they are told to be, and nowhere else', () => {
    const into = new Float32Array(3 * extractor.size);
    extractor.write('abba', into, extractor.size);
    assert.deepEqual([...into.subarray(extractor.size, 2 * extractor.size)], featuresOf('abba'));
    assert.ok(
      [...into.subarray(0, extractor.size), ...into.subarray(2 * extractor.size)].every((x) => x === 0),
    );
  });

  it('tell whether there is a letter at all', () => {
    const into = new Float32Array(extractor.size);
    assert.equal(extractor.write('a', into, 0), true);
    for (const text of ['', ' ', '42 + 17 = 59', '!?'])
      assert.equal(extractor.write(text, new Float32Array(extractor.size), 0), false, text);
  });
});
