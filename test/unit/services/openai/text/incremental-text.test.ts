import assert from 'node:assert/strict';
import fc from 'fast-check';
import { IncrementalText } from '../../../../../services/openai/text/incremental-text.js';
import { runs } from '../../../../kit/mocha/effort.js';

/** Tokens of 1 to 7 bytes, cut anywhere: token n is the nth piece. */
const decoderOf =
  (pieces: readonly Uint8Array[], decoder = new TextDecoder('utf-8', { ignoreBOM: true })) =>
  (ids: readonly number[]): string =>
    decoder.decode(Buffer.concat(ids.map((id) => pieces[id]!)));

/** The same, and like SentencePiece without a space that begins the text. */
const strippingDecoderOf = (pieces: readonly Uint8Array[]) => {
  const decode = decoderOf(pieces);
  return (ids: readonly number[]): string => decode(ids).replace(/^ /, '');
};

/** `bytes` in pieces of the lengths that come in turn. */
function cut(bytes: Uint8Array, lengths: readonly number[]): Uint8Array[] {
  const pieces: Uint8Array[] = [];
  for (let at = 0, turn = 0; at < bytes.length; turn++) {
    const length = lengths[turn % lengths.length]!;
    pieces.push(bytes.subarray(at, at + length));
    at += length;
  }
  return pieces;
}

/** Texts of the answer when its tokens come in groups of these sizes. */
function textsOf(
  pieces: readonly Uint8Array[],
  groups: readonly number[],
  decode = decoderOf(pieces),
): string[] {
  const text = new IncrementalText(decode);
  const texts: string[] = [];
  for (let at = 0, turn = 0; at < pieces.length; turn++) {
    const size = groups[turn % groups.length]!;
    texts.push(text.push(pieces.slice(at, at + size).map((_, index) => at + index)));
    at += size;
  }
  return [...texts, text.end()];
}

const TEXTS = fc.string({
  unit: fc.constantFrom('a', ' ', 'é', '中', '👩‍🚀', '😀', '\ufeff', '\ufffd', '\n'),
  maxLength: 200,
});
const LENGTHS = fc.array(fc.integer({ min: 1, max: 7 }), { minLength: 1, maxLength: 12 });
const GROUPS = fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 5 });

describe('incremental text', () => {
  it('is together what all tokens are decoded to at once, whatever cuts characters apart', () =>
    fc.assert(
      fc.property(TEXTS, LENGTHS, GROUPS, (text, lengths, groups) => {
        assert.equal(textsOf(cut(Buffer.from(text), lengths), groups).join(''), text);
      }),
      { numRuns: runs(500) },
    ));

  it('is the same for bytes that are no text', () =>
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), LENGTHS, GROUPS, (bytes, lengths, groups) => {
        const pieces = cut(bytes, lengths);
        const whole = decoderOf(pieces)(pieces.map((_, id) => id));
        assert.equal(textsOf(pieces, groups).join(''), whole);
      }),
      { numRuns: runs(500) },
    ));

  it('removes a space at the beginning of an answer only, with a decoder that removes one each time', () =>
    fc.assert(
      fc.property(TEXTS, LENGTHS, GROUPS, (text, lengths, groups) => {
        const pieces = cut(Buffer.from(text), lengths);
        const whole = text.replace(/^ /, '');
        assert.equal(textsOf(pieces, groups, strippingDecoderOf(pieces)).join(''), whole);
      }),
      { numRuns: runs(500) },
    ));

  it('holds back an incomplete character, and nothing else', () => {
    const pieces = [...Buffer.from('a😀b')].map((byte) => Uint8Array.of(byte));
    assert.deepEqual(textsOf(pieces, [1]), ['a', '', '', '', '😀', 'b', '']);
  });

  it('ends with a replacement character if a character stays incomplete', () => {
    assert.deepEqual(textsOf([Buffer.from('a'), Uint8Array.of(0xf0, 0x9f)], [1]), ['a', '', '\ufffd']);
  });

  it('decodes a bounded window at each step, however long the answer is', () => {
    const pieces = [...Buffer.from('中'.repeat(2_000))].map((byte) => Uint8Array.of(byte));
    const decode = decoderOf(pieces);
    let longest = 0;
    const texts = textsOf(pieces, [1], (ids) => {
      longest = Math.max(longest, ids.length);
      return decode(ids);
    });
    assert.equal(texts.join(''), '中'.repeat(2_000));
    assert.ok(longest <= 21, `${longest} tokens`);
  });
});
