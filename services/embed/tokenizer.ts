/**
 * WordPiece, as uncased BERT models are trained with: a text becomes the numbers of the pieces of its words in a
 * vocabulary. Steps: control characters are dropped, Chinese characters stand alone, accents and capitals go, words end at
 * white space and punctuation, and each word is cut greedily into the longest pieces that the vocabulary has.
 *
 * `[SEP]` and the like in a text are characters and no special tokens: a caller cannot end the text before its end.
 */

/** Longer words are unknown. */
const MAX_WORD_CHARACTERS = 100;
/** Pieces that continue a word begin with it in the vocabulary. */
const CONTINUED = '##';

const CONTROL = /[\p{Cc}\p{Cf}\p{Co}\uFFFD]/gu;
/** CJK ideographs, as BERT's own tokenizer has them: Japanese kana and Korean are not among them. */
const IDEOGRAPH =
  /[\u4E00-\u9FFF\u3400-\u4DBF\u{20000}-\u{2A6DF}\u{2A700}-\u{2B73F}\u{2B740}-\u{2B81F}\u{2B920}-\u{2CEAF}\uF900-\uFAFF\u{2F800}-\u{2FA1F}]/gu;
const ACCENT = /\p{Mn}/gu;
/** Punctuation, and what ASCII has beside it: $ + < = > ^ ` | ~ */
const WORD = /[\p{P}$+<=>^`|~]|[^\s\p{P}$+<=>^`|~]+/gu;

/** A part of a text goes on from so many UTF-16 units to the next white space, where no word and no accent is cut apart. */
const PART = 4096;
/** Without white space it ends here: a word as long counts as several unknown ones. */
const LONGEST_PART = 65_536;
const SPACE = /[ \t\n\r]/;

/** The tokens of one text. */
export interface Tokens {
  readonly ids: readonly number[];
  /** The text was longer than the limit, and its end is not among them. */
  readonly isTruncated: boolean;
}

/** A tokenizer with its vocabulary. */
export class WordPieceTokenizer {
  private readonly vocabulary: ReadonlyMap<string, number>;
  private readonly first: number;
  private readonly last: number;
  private readonly unknown: number;

  /**
   * @param vocabulary one piece a line; the number of a piece is that of its line, from 0.
   * @param limit tokens of a text at most, with [CLS] before and [SEP] behind it.
   * Throws an Error when a special token is missing.
   */
  constructor(
    vocabulary: string,
    private readonly limit: number,
  ) {
    const pieces = vocabulary.split(/\r?\n/).map((piece, id) => [piece, id] as const);
    this.vocabulary = new Map(pieces.filter(([piece]) => piece !== ''));
    const special = (piece: string): number => {
      const id = this.vocabulary.get(piece);
      if (id === undefined) throw new Error(`the vocabulary has no ${piece}`);
      return id;
    };
    this.first = special('[CLS]');
    this.last = special('[SEP]');
    this.unknown = special('[UNK]');
  }

  /** The tokens of a text, [CLS] and [SEP] among them. */
  encode(text: string): Tokens {
    const ids = [this.first];
    const most = this.limit - 1;
    for (const word of wordsOf(text)) {
      if (ids.length > most) break;
      ids.push(...this.pieces(word));
    }
    const isTruncated = ids.length > most;
    return { ids: [...ids.slice(0, most), this.last], isTruncated };
  }

  /** A word that cannot be put together from pieces is unknown as a whole. */
  private pieces(word: string): number[] {
    const characters = [...word];
    if (characters.length > MAX_WORD_CHARACTERS) return [this.unknown];
    const ids: number[] = [];
    let start = 0;
    while (start < characters.length) {
      let end = characters.length;
      let id: number | undefined;
      for (; end > start; end--) {
        const piece = characters.slice(start, end).join('');
        id = this.vocabulary.get(start === 0 ? piece : CONTINUED + piece);
        if (id !== undefined) break;
      }
      if (id === undefined) return [this.unknown];
      ids.push(id);
      start = end;
    }
    return ids;
  }
}

/**
 * The words of a text, in order. A text may have 64 MiB, of which the first 256 tokens count: no more of it is looked at than
 * is asked for.
 */
function* wordsOf(text: string): Generator<string> {
  for (let start = 0; start < text.length; ) {
    const space = text.slice(start + PART, start + LONGEST_PART).search(SPACE);
    const end = start + (space < 0 ? LONGEST_PART : PART + space);
    for (const [word] of normalised(text.slice(start, end)).matchAll(WORD)) yield word;
    start = end;
  }
}

function normalised(text: string): string {
  return text
    .replace(/[\t\n\r]/g, ' ')
    .replace(CONTROL, '')
    .replace(IDEOGRAPH, ' $& ')
    .normalize('NFD')
    .replace(ACCENT, '')
    .toLowerCase();
}
