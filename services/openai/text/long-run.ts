/** Texts that take a tokenizer too long. */

/** A word of so many characters takes byte-pair encoding about a second, and one of a million more than a minute. */
export const LONGEST_RUN = 32_768;

const Kind = { space: 0, digit: 1, letter: 2, other: 3 } as const;

/** Whether more than `longest` letters, digits or other characters follow each other in `text`: what tokenizers read as one word. */
export function hasLongRun(text: string, longest = LONGEST_RUN): boolean {
  let run = 0;
  let last: number = Kind.space;
  for (let i = 0; i < text.length; i++) {
    const kind = kindOf(text.charCodeAt(i));
    run = kind !== Kind.space && kind === last ? run + 1 : 1;
    last = kind;
    if (run > longest && kind !== Kind.space) return true;
  }
  return false;
}

/** Signs and spaces of CJK and of other scripts, at which tokenizers cut. */
const isBreakBeyondAscii = (code: number): boolean =>
  code < 0xc0 || (code >= 0x2000 && code <= 0x206f) || (code >= 0x3000 && code <= 0x303f) || code >= 0xff00;

/** Other characters beyond ASCII count as letters. */
function kindOf(code: number): number {
  if (code <= 32) return Kind.space;
  if (code >= 128 && isBreakBeyondAscii(code)) return Kind.other;
  if (code >= 48 && code <= 57) return Kind.digit;
  const isLetter = (code >= 65 && code <= 90) || (code >= 97 && code <= 122) || code >= 128;
  return isLetter ? Kind.letter : Kind.other;
}
