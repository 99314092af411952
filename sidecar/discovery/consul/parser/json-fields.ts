/** Fields of decoded JSON of which nothing is known: each is asked for by the type it should have, and is empty when it has another. */

export type Json = Readonly<Record<string, unknown>>;

export function objectIn(value: unknown, field: string): Json | undefined {
  const found = fieldIn(value, field);
  return typeof found === 'object' && found !== null && !Array.isArray(found) ? (found as Json) : undefined;
}

export function textIn(value: unknown, field: string): string {
  const found = fieldIn(value, field);
  return typeof found === 'string' ? found : '';
}

export function listIn(value: unknown, field: string): readonly unknown[] {
  const found = fieldIn(value, field);
  return Array.isArray(found) ? found : [];
}

/** Of whatever type; undefined where there is none of its own. */
export function fieldIn(value: unknown, field: string): unknown {
  if (typeof value !== 'object' || value === null || !Object.hasOwn(value, field)) return undefined;
  return (value as Json)[field];
}

/** Whether there is more than what Go writes where nobody has said anything; a zero may be somebody's wish. */
export function isSet(value: unknown): boolean {
  if (value === undefined || value === null || value === '' || value === false) return false;
  return typeof value !== 'object' || Object.keys(value).length > 0;
}

const MAX_QUOTED = 80;
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for.
const CONTROLS = /[\u0000-\u001f\u007f-\u009f\u2028\u2029]+/g;

/** Foreign text in one line of bounded length. */
export function oneLine(text: string, max: number): string {
  const line = text
    .slice(0, max * 4)
    .replaceAll(CONTROLS, ' ')
    .trim();
  return line.length > max ? `${line.slice(0, max - 1)}…` : line;
}

/** The same between quotes, for messages about it. */
export function quote(text: string): string {
  return `"${oneLine(text, MAX_QUOTED)}"`;
}
