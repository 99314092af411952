import { createRequire } from 'node:module';
import type { RE2JS } from 're2js';
import type { Pattern, PatternFault } from '../core/routing/route-match.js';

/** Longer expressions are refused. */
const MAX_PATTERN_CHARS = 1024;
/** Instructions of the compiled program, as re2js counts them. */
const MAX_STEPS = 1000;
/** Longer texts are not judged. */
export const MAX_TEXT_CHARS = 4096;
/**
 * Instructions × characters; a text beyond it is not judged. A text that makes a new state of the engine's DFA with
 * every character costs some 0.08 µs for each: one match takes 20 ms on average then, and 40 ms at most were measured.
 */
const MAX_WORK = 250_000;

type Engine = typeof RE2JS;
let engine: Engine | undefined;

/** Loaded with the first expression (some 10 ms and 5 MB), so that a mesh without expressions pays nothing. */
function load(): Engine {
  engine ??= (createRequire(import.meta.url)('re2js') as { readonly RE2JS: Engine }).RE2JS;
  return engine;
}

/**
 * An expression of RE2 (https://github.com/google/re2/wiki/Syntax), the language of Go and Envoy, which whole texts must
 * match; on re2js, of which this is the only importer. Rules come from a registry and texts from callers, and
 * JavaScript's own engine may take exponential time over either; this one takes time linear in the text (decision 54). Its
 * cache of states takes up to 8 MB.
 */
export class Re2Pattern implements Pattern {
  /** Private to the language, so that comparisons do not see it: patterns of one source are equal. */
  readonly #re2: RE2JS;
  readonly #maxChars: number;

  constructor(
    readonly source: string,
    re2: RE2JS,
  ) {
    this.#re2 = re2;
    this.#maxChars = Math.min(MAX_TEXT_CHARS, Math.floor(MAX_WORK / re2.programSize()));
  }

  /** Undefined: the text is too long to judge (over 4096 characters, or over the bound on the work of a match). */
  test(text: string): boolean | undefined {
    return text.length > this.#maxChars ? undefined : this.#re2.testExact(text);
  }
}

/**
 * Compiles an expression of a rule, or says what in it is not taken, in the words of RE2. Unicode classes (`\pL`) and
 * literals beyond ASCII are refused: header values are compared as bytes, one character each, where Envoy decodes UTF-8.
 */
export function compileRe2(source: string): Re2Pattern | PatternFault {
  if (source.length > MAX_PATTERN_CHARS) return { fault: `longer than ${MAX_PATTERN_CHARS} characters` };
  const foreign = /[^\0-\x7f]/u.exec(source);
  if (foreign !== null) return { fault: `a character outside ASCII at character ${foreign.index + 1}` };
  const RE2 = load();
  try {
    const re2 = RE2.compile(source, RE2.DISABLE_UNICODE_GROUPS);
    const steps = re2.programSize();
    return steps > MAX_STEPS
      ? { fault: `${steps} steps; expected at most ${MAX_STEPS}` }
      : new Re2Pattern(source, re2);
  } catch (error) {
    return { fault: faultOf(error as Error) };
  }
}

/** "error parsing regexp: missing closing ): `(a`" becomes "missing closing ) at "(a"". */
function faultOf({ message }: Error): string {
  return message
    .replace(/^error parsing regexp: /, '')
    .replace(/: `(.*)`$/s, (_, part: string) => ` at ${JSON.stringify(part.slice(0, 40))}`);
}
