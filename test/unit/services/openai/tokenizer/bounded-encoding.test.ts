import assert from 'node:assert/strict';
import {
  BoundedEncoding,
  type EncodingBounds,
  LONG_PIECES_TOGETHER,
  LONGEST_PIECE,
  type PieceModel,
  PromptTooLong,
} from '../../../../../services/openai/tokenizer/bounded-encoding.js';
import { wordsOf } from '../../../../../services/openai/tokenizer/word-starts.js';

describe('a bounded encoding', () => {
  let seen: string[];
  let model: PieceModel;
  let encoding: BoundedEncoding;

  /** A token for each ten characters. */
  const start = (bounds: Partial<EncodingBounds> = {}) => {
    seen = [];
    model = {
      encode: (pieces) => {
        seen.push(...pieces);
        return pieces.flatMap((piece) => piece.match(/.{1,10}/gs) ?? []);
      },
    };
    encoding = new BoundedEncoding(model, {
      ...{ maxTokens: 0, charactersOfToken: Number.POSITIVE_INFINITY, cut: undefined },
      ...bounds,
    });
  };

  it('has the tokens of the model', () => {
    start();
    assert.deepEqual(model.encode(['one', ' two three four']), ['one', ' two three', ' four']);
  });

  it('refuses what the tokenizer does not cut, of whatever kind, before the model gets it', () => {
    start();
    for (const letter of ['a', '7', '=', ' ', '\n', 'é', '字']) {
      encoding.begin('');
      model.encode([letter.repeat(LONGEST_PIECE)]);
      seen = [];
      const long = letter.repeat(LONGEST_PIECE + 1);
      assert.throws(
        () => model.encode(['ab', long, 'cd']),
        /more than 32768 letters, digits, signs or spaces/,
      );
      assert.deepEqual(seen, ['ab']);
    }
  });

  it('refuses many long words, also of several calls, and none of a new prompt', () => {
    start();
    const word = 'x'.repeat(LONGEST_PIECE);
    for (let sum = 0; sum < LONG_PIECES_TOGETHER; sum += word.length)
      model.encode([word, ...Array(100).fill('short')]);
    assert.throws(() => model.encode([word]), PromptTooLong);
    encoding.begin('');
    model.encode([word]);
  });

  it('ends as soon as it has more tokens than the context', () => {
    start({ maxTokens: 5 });
    model.encode(['a', 'b', 'c']);
    assert.throws(() => model.encode(['d', 'e', 'f', 'g', 'h']), {
      code: 'context_length_exceeded',
      message: 'The model has a context of 5 tokens; the prompt has more.',
    });
    assert.equal(seen.at(-1), 'f');
    encoding.begin('');
    model.encode(['a', 'b', 'c', 'd', 'e']);
  });

  it('does not begin a text with more characters than the tokens of the context can stand for', () => {
    start({ maxTokens: 5, charactersOfToken: 10 });
    encoding.begin('x'.repeat(50));
    assert.throws(() => encoding.begin('x'.repeat(51)), { code: 'context_length_exceeded' });
    start({ maxTokens: 0, charactersOfToken: 10 });
    encoding.begin('x'.repeat(51));
  });

  it('cuts a piece where that changes no token, and bounds the parts', () => {
    start({ cut: wordsOf });
    model.encode(['▁word'.repeat(LONGEST_PIECE)]);
    assert.equal(seen.length, LONGEST_PIECE);
    assert.throws(() => model.encode(['▁'.repeat(LONGEST_PIECE + 1)]), PromptTooLong);
  });
});
