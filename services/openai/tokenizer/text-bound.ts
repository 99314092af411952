/** How much text a token can stand for. */

interface Normalizer {
  readonly type?: unknown;
  readonly normalizers?: readonly Normalizer[];
  readonly pattern?: { readonly String?: string };
  readonly content?: string;
}

/** What is read of a `tokenizer.json`. */
export interface TextTokenizer {
  readonly normalizer?: Normalizer | null;
  readonly added_tokens?: readonly { readonly content?: unknown }[];
  readonly model?: { readonly type?: unknown; readonly fuse_unk?: unknown; readonly vocab?: object };
}

/** Characters that become one, at most, where a normalizer composes them (NFC of Greek letters with three marks). */
const COMPOSED = 4;

/**
 * Characters of a text that one token can stand for, at most: a text with more than so many for each token of the context needs not be read.
 * Infinity where that cannot be said: the tokenizer leaves characters out, or has one token for all unknown ones together.
 */
export function charactersOfToken({
  normalizer,
  added_tokens: added = [],
  model = {},
}: TextTokenizer): number {
  const { type, fuse_unk: fusesUnknown, vocab = {} } = model;
  if (type !== 'BPE' || fusesUnknown === true) return Number.POSITIVE_INFINITY;
  let longest = 1;
  for (const token of Object.keys(vocab)) longest = Math.max(longest, token.length);
  for (const { content } of added)
    if (typeof content === 'string') longest = Math.max(longest, content.length);
  return longest * shrinkage(normalizer);
}

function shrinkage(normalizer: Normalizer | null | undefined): number {
  if (normalizer === null || normalizer === undefined) return 1;
  const { type, normalizers = [], pattern, content = '' } = normalizer;
  if (type === 'Sequence') return normalizers.reduce((product, each) => product * shrinkage(each), 1);
  if (type === 'Prepend' || type === 'NFD' || type === 'NFKD') return 1;
  if (type === 'NFC' || type === 'NFKC') return COMPOSED;
  const isNoShorter = pattern?.String !== undefined && content.length >= pattern.String.length;
  return type === 'Replace' && isNoShorter ? 1 : Number.POSITIVE_INFINITY;
}
