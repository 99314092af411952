import assert from 'node:assert/strict';
import { tokenizerFiles } from '../../../../../services/engine/tokenizer.js';
import {
  charactersOfToken,
  type TextTokenizer,
} from '../../../../../services/openai/tokenizer/text-bound.js';

describe('the characters of a token', () => {
  const vocab = { a: 0, '▁word': 1 };
  const of = (more: TextTokenizer) => charactersOfToken({ model: { type: 'BPE', vocab }, ...more });

  it('are those of the longest, added ones included', () => {
    assert.equal(of({}), 5);
    assert.equal(of({ added_tokens: [{ content: '<|begin|>' }] }), 9);
    const fake = JSON.parse(tokenizerFiles()['tokenizer.json']!.toString()) as TextTokenizer;
    assert.equal(charactersOfToken(fake), 64);
  });

  it('are more where characters are composed', () => {
    assert.equal(of({ normalizer: { type: 'NFC' } }), 20);
    const spaces = { type: 'Replace', pattern: { String: ' ' }, content: '▁' };
    const normalizers = [{ type: 'Prepend' }, spaces];
    assert.equal(of({ normalizer: { type: 'Sequence', normalizers } }), 5);
  });

  it('are without bound where characters are left out, or unknown ones are one token', () => {
    for (const more of [
      { normalizer: { type: 'Strip' } },
      { normalizer: { type: 'Replace', pattern: { String: '  ' }, content: ' ' } },
      { normalizer: { type: 'Replace', pattern: {}, content: ' ' } },
      { normalizer: { type: 'Sequence', normalizers: [{ type: 'NFC' }, { type: 'Precompiled' }] } },
      { model: { type: 'BPE', vocab, fuse_unk: true } },
      { model: { type: 'WordPiece', vocab } },
    ])
      assert.equal(of(more), Number.POSITIVE_INFINITY, JSON.stringify(more));
  });
});
