import assert from 'node:assert/strict';
import fc from 'fast-check';
import { type FeatureConfig, featuresOf, requireKnown } from '../../../../services/filetype/features.js';

const PAD = 256;
const config: FeatureConfig = {
  beg_size: 4,
  mid_size: 0,
  end_size: 3,
  use_inputs_at_offsets: false,
  padding_token: PAD,
  block_size: 8,
  min_file_size_for_dl: 2,
};
const features = (text: string): (string | number)[] | undefined => {
  const found = featuresOf(Buffer.from(text, 'latin1'), config);
  return found && [...found].map((f) => (f === PAD ? PAD : String.fromCharCode(f)));
};

describe('the features of filetype', () => {
  for (const [what, text, expected] of [
    ['are the first and the last bytes', 'abcdefghijkl', [...'abcd', ...'jkl']],
    ['overlap in a short file', 'abcde', [...'abcd', ...'cde']],
    ['are padded behind the first bytes and before the last ones', 'ab', ['a', 'b', PAD, PAD, PAD, 'a', 'b']],
    ['leave white space at either end out', '\t\n abcdefghij\v\f\r ', [...'abcd', ...'hij']],
    ['keep white space within, and behind the first bytes', ' a b ', [...'a b ', ...'a b']],
    [
      'look for what is behind white space in the first block only',
      `${' '.repeat(5)}abcdefgh`,
      ['a', 'b', 'c', PAD, ...'fgh'],
    ],
    [
      'look for what is before white space in the last block only',
      `abcdefgh${' '.repeat(6)}`,
      [...'abcd', PAD, 'g', 'h'],
    ],
    ['may be padding alone at the end', `abcd${' '.repeat(9)}`, [...'abcd', PAD, PAD, PAD]],
  ] as const) {
    it(what, () => assert.deepEqual(features(text), expected));
  }

  it('are none for a file of too little, white space apart', () => {
    for (const text of ['', 'a', '  a', ' '.repeat(50), `${' '.repeat(8)}abcdef`])
      assert.equal(features(text), undefined, JSON.stringify(text));
  });

  it('are so many bytes and padding for any file, in their order', () => {
    const byte = fc.oneof(fc.integer({ min: 0, max: 255 }), fc.constantFrom(0x20, 0x0a));
    fc.assert(
      fc.property(fc.array(byte, { maxLength: 40 }), (bytes) => {
        const found = featuresOf(Uint8Array.from(bytes), config);
        if (found === undefined) return;
        const [begin, end] = [[...found.subarray(0, 4)], [...found.subarray(4)]];
        const kept = (part: number[]): string => part.filter((f) => f !== PAD).join();
        assert.equal(found.length, 7);
        assert.ok(bytes.join().includes(kept(begin)) && bytes.join().includes(kept(end)));
        assert.ok(!begin.slice(begin.indexOf(PAD)).some((f) => f !== PAD) || !begin.includes(PAD));
        assert.ok(!end.slice(0, end.lastIndexOf(PAD) + 1).some((f) => f !== PAD));
      }),
    );
  });

  it('are refused for a network that wants others', () => {
    requireKnown(config);
    for (const change of [{ mid_size: 1 }, { use_inputs_at_offsets: true }, { beg_size: 8 }, { end_size: 9 }])
      assert.throws(() => requireKnown({ ...config, ...change }), /^Error: magika: found mid_size/);
  });
});
