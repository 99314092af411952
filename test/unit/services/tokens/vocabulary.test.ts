import assert from 'node:assert/strict';
import { UNKNOWN, Vocabulary } from '../../../../services/tokens/vocabulary.js';

describe('the vocabulary of tokens', () => {
  it('has a number for each byte of its text, ascending, and one more for all others', () => {
    const vocabulary = Vocabulary.of('baab—');
    assert.deepEqual([...vocabulary.bytes], [0x61, 0x62, 0x80, 0x94, 0xe2]);
    assert.equal(vocabulary.size, 6);
    assert.deepEqual([...vocabulary.encode('ab—')], [1, 2, 5, 3, 4]);
    assert.deepEqual([...vocabulary.encode('aZ')], [1, UNKNOWN]);
  });

  it('gives bytes back, and none for the unknown', () => {
    const vocabulary = Vocabulary.of('whale');
    for (const byte of Buffer.from('whale'))
      assert.equal(vocabulary.byteOf(vocabulary.encode(String.fromCharCode(byte))[0]!), byte);
    assert.equal(vocabulary.byteOf(UNKNOWN), undefined);
  });

  for (const [what, bytes, message] of [
    ['no byte', [], /found 0 bytes, expected 1 to 255/],
    ['all bytes', Array.from({ length: 256 }, (_, i) => i), /found 256 bytes/],
    ['a byte twice', [7, 7], /ascending/],
    ['descending bytes', [8, 7], /ascending/],
  ] as const) {
    it(`refuses ${what}`, () => {
      assert.throws(() => new Vocabulary(Uint8Array.from(bytes)), message);
    });
  }
});
