/** Text of an answer while its tokens arrive. */

/** The text of token ids, decoded as one piece. */
export type Decode = (ids: readonly number[]) => string;

/**
 * Tokens that stay in the window for context. A character of UTF-8 has at most 4 bytes, and a token at least one, so an
 * incomplete character and the one before it are always within these.
 */
const CONTEXT = 10;
/** The window is cut back to `CONTEXT` when it is longer than this. */
const WINDOW = 20;
const REPLACEMENT = '\ufffd';
/** An incomplete character has at most 3 bytes, and each may be decoded as one replacement character. */
const MAX_INCOMPLETE = 3;

/**
 * Decodes token ids step by step. The texts together are the text that all ids have when they are decoded at once.
 *
 * A token may end within a character: its last bytes are then decoded as U+FFFD, and the text waits until more tokens
 * come. A decoder may also treat the first token of a sequence in its own way, such as by removing a space. So each
 * step decodes a window that begins some tokens earlier, and passes on what is new at its end. The window is bounded,
 * so a step costs the same at any length of the answer.
 *
 * Tokens that have no text (special tokens) must be left out by the caller: a window full of them has no context.
 */
export class IncrementalText {
  private window: number[] = [];
  /** Characters of the window's text that have been passed on. */
  private passed = 0;

  constructor(private readonly decode: Decode) {}

  /** The text that `ids` complete; it may be empty. */
  push(ids: readonly number[]): string {
    if (ids.length === 0) return '';
    for (const id of ids) this.window.push(id);
    const text = this.decode(this.window);
    const complete = text.length - incompleteAtEnd(text);
    const fresh = text.slice(this.passed, complete);
    this.passed = Math.max(this.passed, complete);
    if (this.window.length > WINDOW) this.shorten(text.length - this.passed);
    return fresh;
  }

  /** The rest of the text, with U+FFFD for a character that stays incomplete. */
  end(): string {
    const rest = this.decode(this.window).slice(this.passed);
    this.window = [];
    this.passed = 0;
    return rest;
  }

  /** `waiting`: characters at the end of the text that have not been passed on. */
  private shorten(waiting: number): void {
    this.window = this.window.slice(-CONTEXT);
    this.passed = this.decode(this.window).length - waiting;
  }
}

function incompleteAtEnd(text: string): number {
  let count = 0;
  while (count < MAX_INCOMPLETE && text[text.length - 1 - count] === REPLACEMENT) count++;
  return count;
}
