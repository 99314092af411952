/** A language model that is none: the next token is a function of all tokens before it, as in greedy decoding of a real one. */

/** Ends an answer. */
export const END_OF_SEQUENCE = 2;
export const VOCABULARY = 32_000;
/** One token in so many is the end, by chance. */
const LENGTH = 60;
export const CONTEXT = 131_072;

export interface SequenceOptions {
  readonly prompt: readonly number[];
  /** 0: as many as the context holds. */
  readonly maxTokens: number;
  readonly minTokens: number;
  readonly ignoreEnd: boolean;
  readonly stopTokens: readonly number[];
}

export interface Token {
  readonly id: number;
  /** Empty: more follows. */
  readonly finish: '' | 'stop' | 'length';
  /** The token of `stopTokens` that ended it. */
  readonly matched: number | undefined;
}

/** One sequence, token by token. What ends it is asked in the order of vLLM: the end, a stop token, the length. */
export class GreedySequence {
  produced = 0;
  private state = 0x811c9dc5;
  private readonly limit: number;

  constructor(private readonly options: SequenceOptions) {
    for (const id of options.prompt) this.take(id);
    const room = CONTEXT - options.prompt.length;
    this.limit = options.maxTokens === 0 ? room : Math.min(room, options.maxTokens);
  }

  next(): Token {
    const { stopTokens, ignoreEnd, minTokens } = this.options;
    const mayEnd = this.produced + 1 > minTokens;
    let id = this.draw();
    if (!mayEnd) while (id === END_OF_SEQUENCE || stopTokens.includes(id)) id++;
    this.take(id);
    this.produced++;
    const isStop = mayEnd && stopTokens.includes(id);
    if (mayEnd && !ignoreEnd && id === END_OF_SEQUENCE) return { id, finish: 'stop', matched: undefined };
    if (isStop) return { id, finish: 'stop', matched: id };
    return { id, finish: this.produced >= this.limit ? 'length' : '', matched: undefined };
  }

  private draw(): number {
    const mixed = Math.imul(this.state ^ (this.state >>> 15), 0x2c1b3c6d) >>> 0;
    return mixed % LENGTH === 0 ? END_OF_SEQUENCE : 3 + (mixed % (VOCABULARY - 3));
  }

  /** FNV-1a over whole ids: it depends on all of them and on their order. */
  private take(id: number): void {
    this.state = Math.imul(this.state ^ id, 0x01000193) >>> 0;
    this.state = (this.state ^ (this.state >>> 13)) >>> 0;
  }
}
