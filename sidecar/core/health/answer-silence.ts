/** What is seen of the answers of a language-model engine at one moment. Times are monotonic ms. */
export interface AnswersSeen {
  /** When a byte of any of them last came; 0: never. */
  readonly lastByteMs: number;
  /** One has begun to stream, has not ended, and its caller reads: its next token would come, if the engine made one. */
  readonly isAwaited: boolean;
  /** A request that is not answered yet is larger than all that the engine has begun to answer: reading it may take long. */
  readonly isUnusual: boolean;
}

const NOT_YET = -1;
/** So many times as long as its longest silence: what it has come back from is no hang. */
const FACTOR = 3;

/**
 * How long an engine has sent nothing to anybody, though an answer that has begun waits for its next token. A long prompt, a queue, or an answer
 * that is sent in one piece explain why one call waits; of the answers that have begun, each step of the engine brings tokens to some.
 */
export class AnswerSilence {
  private sinceMs = NOT_YET;
  private longestMs = 0;

  /** This process stood still until `nowMs`. */
  stalled(nowMs: number): void {
    if (this.sinceMs !== NOT_YET) this.sinceMs = nowMs;
  }

  /** How long it lasts, ms; 0: nothing is awaited. */
  look({ lastByteMs, isAwaited, isUnusual }: AnswersSeen, nowMs: number): number {
    if (this.sinceMs !== NOT_YET && lastByteMs > this.sinceMs) {
      this.longestMs = Math.max(this.longestMs, lastByteMs - this.sinceMs);
      this.sinceMs = lastByteMs;
    }
    if (!isAwaited || isUnusual) this.sinceMs = NOT_YET;
    else if (this.sinceMs === NOT_YET) this.sinceMs = nowMs;
    return this.sinceMs === NOT_YET ? 0 : nowMs - this.sinceMs;
  }

  /** A silence that is longer is a hang. @param longestRunMs whatever it has come back from */
  limitMs(longestRunMs: number): number {
    return Math.max(longestRunMs, FACTOR * this.longestMs);
  }
}
