import assert from 'node:assert/strict';
import { bitsPerByteOfNgrams } from '../../../../../services/tokens/training/ngrams.js';

describe('the baseline of counted bytes', () => {
  it('is the formula of Witten and Bell, on a text of three bytes', () => {
    // Without context: a twice, b once, two kinds: P(a) = (2 + 2/256) / 5, P(b) = (1 + 2/256) / 5.
    const text = Buffer.from('aab');
    const a = (2 + 2 / 256) / 5;
    const b = (1 + 2 / 256) / 5;
    const expected = -(2 * Math.log2(a) + Math.log2(b)) / 3;
    assert.ok(Math.abs(bitsPerByteOfNgrams(text, text, 0) - expected) < 1e-12);
    // After an a: an a once, a b once.
    const [aa, ab] = [(1 + 2 * a) / 4, (1 + 2 * b) / 4];
    const paired = -(Math.log2(a) + Math.log2(aa) + Math.log2(ab)) / 3;
    assert.ok(Math.abs(bitsPerByteOfNgrams(text, text, 1) - paired) < 1e-12);
  });

  it('needs fewer bits with a longer context where that tells more, and falls back where it was never seen', () => {
    const training = Buffer.from('abcabdabcabd'.repeat(50));
    const text = Buffer.from('abcabdabcabd');
    const bits = [0, 1, 2, 3].map((length) => bitsPerByteOfNgrams(training, text, length));
    assert.ok(bits[0]! > bits[1]! && bits[2]! > bits[3]!, bits.join(' '));
    assert.ok(bitsPerByteOfNgrams(training, Buffer.from('zzz'), 2) > 8);
  });
});
