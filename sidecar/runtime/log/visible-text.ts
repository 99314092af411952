/**
 * What a terminal may act on instead of showing it: C0 but tab and line feed, DEL, C1, and the characters that change the
 * direction of text or break lines (Unicode Standard Annex 9).
 */
// biome-ignore lint/suspicious/noControlCharactersInRegex: exactly these
const UNSAFE = /[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g;
/** The same, and what commands of ours write: the colours of `terminal.ts`, and the erasure of a line and of the screen. */
const UNSAFE_OR_OWN =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: exactly these
  /(\x1b\[(?:1|2|22|31|32|33|39)m|\r\x1b\[2K|\x1b\[H\x1b\[2J)|[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g;

/**
 * Text for a terminal or a log: what peers, Consul and models say may hold escape sequences. Each character that a terminal may
 * act on becomes `\u001b` and the like, which is the same text where it stands in JSON.
 */
export function visibleText(text: string): string {
  return text.replace(UNSAFE, escaped);
}

/** The same for the whole output of a command, with its own colours in it. */
export function visibleOutput(text: string): string {
  return text.replace(UNSAFE_OR_OWN, (found, own: string | undefined) => own ?? escaped(found));
}

function escaped(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
}
