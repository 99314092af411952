/** A decoded JSON object, of which no field is known. */
export type Json = Readonly<Record<string, unknown>>;

/** A JSON text, decoded. @throws Error with this message: V8's own would quote the text, which may hold a private key. */
export function decodeJson(text: string, problem: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new Error(problem);
  }
}

/** Whether a value is an object and no array. */
export function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** A field that is an object; undefined where it has another type. */
export function objectIn(value: unknown, field: string): Json | undefined {
  const found = fieldIn(value, field);
  return isObject(found) ? found : undefined;
}

/** A field that is a string; empty where it has another type. */
export function textIn(value: unknown, field: string): string {
  const found = fieldIn(value, field);
  return typeof found === 'string' ? found : '';
}

/** A field that is an array; empty where it has another type. */
export function listIn(value: unknown, field: string): readonly unknown[] {
  const found = fieldIn(value, field);
  return Array.isArray(found) ? found : [];
}

/** A field of any type; undefined where the value has none of its own. */
export function fieldIn(value: unknown, field: string): unknown {
  if (typeof value !== 'object' || value === null || !Object.hasOwn(value, field)) return undefined;
  return (value as Json)[field];
}

/** Whether a field is set: it differs from what Go writes for an unset one. A zero counts as set. */
export function isSet(value: unknown): boolean {
  if (value === undefined || value === null || value === '' || value === false) return false;
  return typeof value !== 'object' || Object.keys(value).length > 0;
}

/** Characters of foreign text in a message. */
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

/** Foreign text on one line, quoted, for messages. */
export function quote(text: string): string {
  return `"${oneLine(text, MAX_QUOTED)}"`;
}
