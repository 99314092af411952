/** Text in HTML and SVG: everything is escaped where it is written, unless it is markup that was made here. */

import { escapeHtml } from '../../../../admin/escape.js';

/** Markup that needs no escaping. */
export class Markup {
  constructor(readonly text: string) {}

  toString(): string {
    return this.text;
  }
}

/** A value between the strings of {@link html}: markup as it is, a list one after another, nothing for undefined. */
export type Piece = Markup | string | number | undefined | readonly Piece[];

/** Template tag that makes markup: what stands between its strings is escaped, for text and for attributes in double quotes. */
export function html(strings: TemplateStringsArray, ...values: readonly Piece[]): Markup {
  return new Markup(strings.reduce((text, next, i) => text + written(values[i - 1]) + next));
}

function written(value: Piece): string {
  if (value === undefined) return '';
  if (value instanceof Markup) return value.text;
  if (typeof value === 'object') return value.map(written).join('');
  return escapeHtml(String(value));
}
