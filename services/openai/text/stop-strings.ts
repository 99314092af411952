/** Stop strings, found in a text that arrives in pieces. */

export interface Passed {
  /** What can be passed on now. */
  readonly text: string;
  /** The stop string that ended the answer. */
  readonly stop: string | undefined;
}

/**
 * Ends a text before the first stop string that is complete. If two are complete at the same character, the longer one
 * counts. So the result does not depend on how the text is cut into pieces.
 *
 * A piece may end with the beginning of a stop string; that part waits for the next piece.
 */
export class StopStrings {
  private waiting = '';
  private readonly longest: number;

  constructor(private readonly stops: readonly string[]) {
    this.longest = Math.max(0, ...stops.map((stop) => stop.length));
  }

  /** Nothing can end the text. */
  get isEmpty(): boolean {
    return this.longest === 0;
  }

  /** Not to be called again after it has returned a `stop`. */
  push(piece: string): Passed {
    if (this.longest === 0) return { text: piece, stop: undefined };
    const text = this.waiting + piece;
    const found = this.find(text);
    if (found !== undefined) {
      this.waiting = '';
      return { text: text.slice(0, found.start), stop: found.stop };
    }
    const held = this.beginningAtEnd(text);
    this.waiting = text.slice(text.length - held);
    return { text: text.slice(0, text.length - held), stop: undefined };
  }

  /** The part that still waited when the text ended. */
  end(): string {
    const rest = this.waiting;
    this.waiting = '';
    return rest;
  }

  private find(text: string): { start: number; stop: string } | undefined {
    let found: { start: number; stop: string } | undefined;
    for (const stop of this.stops) {
      const start = text.indexOf(stop);
      if (start < 0) continue;
      const earlier = found === undefined ? -1 : start + stop.length - (found.start + found.stop.length);
      if (found === undefined || earlier < 0 || (earlier === 0 && start < found.start))
        found = { start, stop };
    }
    return found;
  }

  /** Characters at the end of `text` that may be the beginning of a stop string. */
  private beginningAtEnd(text: string): number {
    for (let length = Math.min(text.length, this.longest - 1); length > 0; length--) {
      const end = text.slice(text.length - length);
      if (this.stops.some((stop) => stop.length > length && stop.startsWith(end))) return length;
    }
    return 0;
  }
}
