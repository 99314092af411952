/** The golden block of a model.yaml made anew, in place: every other character stays as it is. */

import { isMap, isNode, isScalar, parseDocument } from 'yaml';

/**
 * The card with its block `golden` replaced by `block`, which is YAML with this key alone; a comment on the line of the
 * key goes with the old block. Throws an Error for a card that is not a map of keys.
 */
export function withGolden(card: string, block: string): string {
  const document = parseDocument(card);
  if (document.errors.length > 0) throw new Error(`model.yaml is not YAML: ${document.errors[0]!.message}`);
  const { contents } = document;
  if (contents === null) return `${card}${block}`;
  if (!isMap(contents)) throw new Error('model.yaml: found no keys, expected a map');
  if (contents.flow) {
    // JSON, for example: there are no lines to replace.
    document.set('golden', goldenIn(block));
    return document.toString();
  }
  const pair = contents.items.find(({ key }) => isScalar(key) && key.value === 'golden');
  const start = isNode(pair?.key) ? pair.key.range?.[0] : undefined;
  if (start === undefined) return `${card}${card.endsWith('\n') ? '' : '\n'}${block}`;
  // The value of a key without one has no range.
  const end = isNode(pair?.value) ? (pair.value.range?.[1] ?? start) : start + 'golden:'.length;
  const rest = card.slice(end);
  const isAtLineStart = card[end - 1] === '\n';
  return `${card.slice(0, start)}${block}${isAtLineStart ? rest : rest.replace(/^[^\n]*\n?/, '')}`;
}

/** The card with this `sha256` in place of the one that it has. */
export function withChecksum(card: string, sum: string): string {
  const document = parseDocument(card);
  const { contents } = document;
  const pair = isMap(contents)
    ? contents.items.find(({ key }) => isScalar(key) && key.value === 'sha256')
    : undefined;
  const [start, end] = (isNode(pair?.value) && pair.value.range) || [];
  if (start === undefined || end === undefined) return card;
  const quote = /["']/.exec(card[start] ?? '')?.[0] ?? '';
  return `${card.slice(0, start)}${quote}${sum}${quote}${card.slice(end)}`;
}

/** What a block `golden` says, as data. */
export function goldenIn(block: string): unknown {
  return parseDocument(block).toJS().golden;
}
