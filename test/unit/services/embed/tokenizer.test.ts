import assert from 'node:assert/strict';
import fc from 'fast-check';
import { WordPieceTokenizer } from '../../../../services/embed/tokenizer.js';
import { anyCharacter } from '../../../kit/config/any-character.js';

const PIECES = [
  ...['[PAD]', '[UNK]', '[CLS]', '[SEP]'],
  ...[
    'un',
    '##aff',
    '##able',
    'cafe',
    'a',
    '##a',
    ',',
    '!',
    '$',
    '[',
    ']',
    'sep',
    '中',
    '文',
    'の',
    '東',
    '##京',
  ],
];

describe('the WordPiece tokenizer', () => {
  const tokenizer = new WordPieceTokenizer(`${PIECES.join('\n')}\n`, 256);
  const piecesOf = (text: string): string[] => {
    const { ids } = tokenizer.encode(text);
    const pieces = ids.map((id) => PIECES[id]!);
    assert.deepEqual([pieces[0], pieces.at(-1)], ['[CLS]', '[SEP]']);
    return pieces.slice(1, -1);
  };

  it('cuts no word apart in a text of many parts, and looks at no more of it than it takes', () => {
    const far = (spaces: number) => `${' '.repeat(spaces)}unaffable`;
    for (const spaces of [0, 4090, 4095, 4096, 65_530, 65_536, 200_000])
      assert.deepEqual(piecesOf(`a${far(spaces)} a`), [
        ...(spaces === 0 ? ['[UNK]'] : ['a', 'un', '##aff', '##able']),
        'a',
      ]);
    let taken = 0;
    // Its parts are slices, which a text that counts them makes.
    const text = Object.assign(new String('a '.repeat(1_000_000)), {
      slice: (start: number, end: number) => {
        taken = Math.max(taken, end);
        return 'a '.repeat(1_000_000).slice(start, end);
      },
    });
    assert.equal(tokenizer.encode(text as unknown as string).isTruncated, true);
    assert.ok(taken < 100_000, `${taken} of ${text.length}`);
  });

  for (const [what, text, pieces] of [
    ['cuts words into the longest pieces there are', 'unaffable', ['un', '##aff', '##able']],
    ['takes a word that cannot be put together as unknown, whole', 'unaffablex un', ['[UNK]', 'un']],
    ['drops capitals and accents', 'CAFÉ cafe\u0301', ['cafe', 'cafe']],
    ['ends words at punctuation, and at the symbols of ASCII', 'a,a!$a', ['a', ',', 'a', '!', '$', 'a']],
    ['ends words at any white space', 'a\ta\n\u00a0a\u3000a', ['a', 'a', 'a', 'a']],
    [
      'lets Chinese characters stand alone, and Japanese kana not',
      '中文東京の',
      ['中', '文', '東', '[UNK]', 'の'],
    ],
    ['drops control and format characters', 'u\u0000n\u200b\u00adaff\ufffdable', ['un', '##aff', '##able']],
    ['takes special tokens in a text as characters', '[SEP]', ['[', 'sep', ']']],
    ['has no piece for a text of nothing', ' \n\u0007 ', []],
    ['takes a word of more than 100 characters as unknown', `${'a'.repeat(101)} a`, ['[UNK]', 'a']],
  ] as const) {
    it(what, () => assert.deepEqual(piecesOf(text), pieces));
  }

  it('cuts a word of 100 characters', () => {
    assert.equal(piecesOf('a'.repeat(100)).length, 100);
  });

  it('counts a character outside the basic plane as one', () => {
    assert.deepEqual(piecesOf('𝒜'.repeat(100)), ['[UNK]']);
  });

  it('ends a text at its limit, special tokens among it, and says so', () => {
    const short = new WordPieceTokenizer(PIECES.join('\n'), 6);
    assert.deepEqual(short.encode('a a a a'), { ids: [2, 8, 8, 8, 8, 3], isTruncated: false });
    assert.deepEqual(short.encode('a a a a a'), { ids: [2, 8, 8, 8, 8, 3], isTruncated: true });
    assert.deepEqual(short.encode('a a a unaffable'), { ids: [2, 8, 8, 8, 4, 3], isTruncated: true });
  });

  it('gives numbers of its vocabulary for any text, lone surrogates among it, and no more than its limit', () => {
    const text = fc.oneof(
      fc.string({ unit: anyCharacter, maxLength: 600 }),
      fc.string({ unit: 'grapheme', maxLength: 600 }),
      fc.array(fc.integer({ min: 0, max: 0xffff })).map((units) => String.fromCharCode(...units)),
      fc
        .array(fc.constantFrom('una', 'able', 'caf\u0301', '中', '\ud800', ',', ' ', '##a'))
        .map((parts) => parts.join('')),
    );
    fc.assert(
      fc.property(text, (any) => {
        const { ids, isTruncated } = tokenizer.encode(any);
        assert.ok(ids.every((id) => Number.isInteger(id) && id > 0 && id < PIECES.length));
        assert.ok(ids.length >= 2 && ids.length <= 256 && (ids.length === 256 || !isTruncated));
      }),
    );
  });

  it('reads vocabularies with line ends of either kind', () => {
    assert.deepEqual(new WordPieceTokenizer(PIECES.join('\r\n'), 6).encode('cafe').ids, [2, 7, 3]);
  });

  it('refuses a vocabulary without its special tokens', () => {
    assert.throws(() => new WordPieceTokenizer('[CLS]\n[UNK]', 6), {
      message: 'the vocabulary has no [SEP]',
    });
  });
});
