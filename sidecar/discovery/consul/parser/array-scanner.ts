/** One element of the array, not parsed yet. */
export interface JsonElement {
  readonly bytes: number;
  /** Undefined where it is larger than the limit. */
  readonly text: string | undefined;
}

const SPACE = 0x20;
const QUOTE = 0x22;
const COMMA = 0x2c;
const OPEN = 0x5b;
const BACKSLASH = 0x5c;
const CLOSE = 0x5d;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;

/**
 * The elements of a large JSON array, one after the other, so that the array never exists as a whole: an answer of 19 MB
 * costs its own bytes and one element at a time. Only brackets, strings and commas are read; whether an element is JSON
 * shows when it is parsed. @throws Error where `body` is not an array, or ends too early or too late.
 */
export function* jsonElements(body: Uint8Array, maxBytes: number): Generator<JsonElement> {
  const text = Buffer.from(body.buffer, body.byteOffset, body.byteLength);
  let at = skipSpace(text, 0);
  if (text[at] !== OPEN) throw new Error(`found ${beginning(text, at)}; expected a JSON array`);
  at = skipSpace(text, at + 1);
  if (text[at] === CLOSE) return nothingAfter(text, at + 1);
  for (;;) {
    const end = endOfElement(text, at);
    const bytes = end - at;
    yield { bytes, text: bytes > maxBytes ? undefined : text.toString('utf8', at, end) };
    if (text[end] === CLOSE) return nothingAfter(text, end + 1);
    at = end + 1;
  }
}

/** Index of the comma or bracket after the element that begins at `at`. */
function endOfElement(text: Buffer, at: number): number {
  let depth = 0;
  for (let i = at; i < text.length; i += 1) {
    const byte = text[i]!;
    if (byte === QUOTE) {
      i = endOfString(text, i);
    } else if (byte === OPEN_BRACE || byte === OPEN) {
      depth += 1;
    } else if (byte === CLOSE_BRACE || byte === CLOSE) {
      if (depth === 0) return i;
      depth -= 1;
    } else if (byte === COMMA && depth === 0) {
      return i;
    }
  }
  throw new Error(`found an end after ${text.length} bytes, within an element; expected a JSON array`);
}

/** Index of the closing quote; beyond the end where there is none. */
function endOfString(text: Buffer, at: number): number {
  let i = at + 1;
  while (i < text.length && text[i] !== QUOTE) i += text[i] === BACKSLASH ? 2 : 1;
  return i;
}

/** @throws Error for anything but space after the closing bracket. */
function nothingAfter(text: Buffer, at: number): void {
  const after = skipSpace(text, at);
  if (after < text.length) throw new Error(`found ${beginning(text, after)} after the JSON array`);
}

/** Index of the next byte above 0x20; the length of the text where there is none. */
function skipSpace(text: Buffer, from: number): number {
  let at = from;
  while (at < text.length && text[at]! <= SPACE) at += 1;
  return at;
}

/** The kind of thing only: an answer may hold what is no business of a log. */
function beginning(text: Buffer, at: number): string {
  if (at >= text.length) return 'nothing';
  if (text[at] === OPEN_BRACE) return 'an object';
  if (text[at] === 0x3c) return 'a markup page';
  return 'something else';
}
