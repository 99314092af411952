/** Texts of tokenizers that cut nothing before they merge, as Llama 2's: a whole prompt is then one piece. */

/** How such tokenizers write a space: U+2581. */
const SPACE = '▁';

/** What is read of a `tokenizer.json`. */
export interface MergingModel {
  readonly type?: unknown;
  readonly ignore_merges?: unknown;
  readonly end_of_word_suffix?: unknown;
  readonly continuing_subword_suffix?: unknown;
  /** `a b`, or the two apart. */
  readonly merges?: readonly (string | readonly string[])[];
}

/**
 * Whether a text may be cut in front of each word, with the same tokens as without. That is so where no merge joins the end of a word with
 * the space behind it.
 */
export function mayCutAtWords(model: MergingModel): boolean {
  const { type, merges } = model;
  const marksEnds = Boolean(model.end_of_word_suffix) || Boolean(model.continuing_subword_suffix);
  if (type !== 'BPE' || merges === undefined || marksEnds || model.ignore_merges === true) return false;
  return merges.every((merge) => {
    const merged = typeof merge === 'string' ? merge.replace(' ', '') : merge.join('');
    return !/[^▁]▁/.test(merged);
  });
}

/** Cuts in front of each run of spaces, and nowhere within it. */
export function* wordsOf(piece: string): Generator<string, void, undefined> {
  let start = 0;
  for (let at = piece.indexOf(SPACE, 1); at >= 0; at = piece.indexOf(SPACE, at + 1)) {
    if (piece[at - 1] === SPACE) continue;
    yield piece.slice(start, at);
    start = at;
  }
  yield piece.slice(start);
}
