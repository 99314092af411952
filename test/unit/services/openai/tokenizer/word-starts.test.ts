import assert from 'node:assert/strict';
import fc from 'fast-check';
import { mayCutAtWords, wordsOf } from '../../../../../services/openai/tokenizer/word-starts.js';
import { runs } from '../../../../kit/mocha/effort.js';

/** Byte-pair encoding by its definition: the first merge of the list that is anywhere, at its first place. */
function encode(text: string, merges: readonly (readonly [string, string])[]): string[] {
  const tokens = [...text];
  for (let merged = true; merged; ) {
    merged = false;
    for (const [left, right] of merges) {
      const at = tokens.findIndex((token, i) => token === left && tokens[i + 1] === right);
      if (at < 0) continue;
      tokens.splice(at, 2, left + right);
      merged = true;
      break;
    }
  }
  return tokens;
}

describe('a text without a pre-tokenizer', () => {
  it('is cut in front of each run of spaces', () => {
    assert.deepEqual([...wordsOf('▁one▁two▁▁▁three▁')], ['▁one', '▁two', '▁▁▁three', '▁']);
    assert.deepEqual([...wordsOf('▁▁')], ['▁▁']);
    assert.deepEqual([...wordsOf('one')], ['one']);
  });

  it('may be cut unless a merge joins a word with the space behind it, or its ends are marked', () => {
    const merges = ['▁ a', '▁ ▁', 'a b', '▁▁ ▁▁', '▁a b'];
    assert.equal(mayCutAtWords({ type: 'BPE', merges }), true);
    assert.equal(mayCutAtWords({ type: 'BPE', merges: [['▁', 'a']] }), true);
    assert.equal(mayCutAtWords({ type: 'BPE', merges: [...merges, 'b ▁'] }), false);
    assert.equal(mayCutAtWords({ type: 'BPE', merges: [['b', '▁a']] }), false);
    assert.equal(mayCutAtWords({ type: 'BPE', merges, ignore_merges: true }), false);
    assert.equal(mayCutAtWords({ type: 'BPE', merges, end_of_word_suffix: '</w>' }), false);
    assert.equal(mayCutAtWords({ type: 'Unigram' }), false);
    assert.equal(mayCutAtWords({}), false);
  });

  it('has the same tokens when it is cut', () => {
    const part = fc.constantFrom('▁', '▁▁', 'a', 'b', 'ab', '▁a', '▁▁a', 'ba');
    const merge = fc
      .tuple(part, part)
      .filter(([left, right]) => mayCutAtWords({ type: 'BPE', merges: [[left, right]] }));
    const text = fc
      .array(fc.constantFrom('▁', 'a', 'b'), { maxLength: 24 })
      .map((letters) => letters.join(''));
    fc.assert(
      fc.property(fc.array(merge, { maxLength: 12 }), text, (merges, whole) => {
        const cut = [...wordsOf(whole)].flatMap((word) => encode(word, merges));
        assert.deepEqual(cut, encode(whole, merges));
      }),
      { numRuns: runs(200) },
    );
  });
});
