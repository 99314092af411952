/** Bounds the work of encoding one prompt. */

/** A word of so many characters takes byte-pair encoding about a second, and one of a million more than a minute. */
export const LONGEST_PIECE = 32_768;
/** Longer ones than this are slow, and may be so many characters together. */
const LONG_PIECE = 512;
export const LONG_PIECES_TOGETHER = 4 * LONGEST_PIECE;
/** Shorter pieces are not cut: the model remembers their tokens. */
const SHORT_PIECE = 64;

/** A prompt that is not encoded to its end: it is too long. */
export class PromptTooLong extends Error {
  constructor(
    message: string,
    /** OpenAI's name for it; undefined: there is none. */
    readonly code?: string,
  ) {
    super(message);
  }
}

/** The model of a tokenizer: gets what the text was cut into. */
export interface PieceModel {
  encode(pieces: string[]): string[];
}

export interface EncodingBounds {
  /** Of prompt and answer together; 0: not known. */
  readonly maxTokens: number;
  /** Characters of a text that one token can stand for, at most. */
  readonly charactersOfToken: number;
  /** Cuts a piece without a change of its tokens; undefined: nothing can be cut. */
  readonly cut: ((piece: string) => Iterable<string>) | undefined;
}

/**
 * Stands between a tokenizer and its model. The tokenizer cuts a text into pieces in linear time, each by its own rules; the model takes its time
 * for long pieces. So a text that is certainly longer than the context of the model is not cut at
 * all, and an encoding ends at the first piece that is too long, and as soon as it has more tokens than the context.
 */
export class BoundedEncoding {
  private tokens = 0;
  private longPieces = 0;

  /** Takes the place of `model.encode`. */
  constructor(
    model: PieceModel,
    private readonly bounds: EncodingBounds,
  ) {
    const encode = model.encode.bind(model);
    model.encode = (pieces) => {
      const tokens: string[] = [];
      for (const piece of this.bounded(pieces))
        for (const token of this.counted(encode([piece]))) tokens.push(token);
      return tokens;
    };
  }

  /** Before each prompt. Throws if its text has more characters than the tokens of the context can stand for. */
  begin(text: string): void {
    this.tokens = 0;
    this.longPieces = 0;
    const { maxTokens, charactersOfToken } = this.bounds;
    if (maxTokens > 0 && text.length > maxTokens * charactersOfToken) throw this.beyondContext();
  }

  private *bounded(pieces: readonly string[]): Generator<string, void, undefined> {
    const { cut } = this.bounds;
    for (const whole of pieces)
      for (const piece of cut === undefined || whole.length <= SHORT_PIECE ? [whole] : cut(whole)) {
        this.requireShort(piece);
        yield piece;
      }
  }

  private requireShort({ length }: string): void {
    if (length <= LONG_PIECE) return;
    this.longPieces += length;
    if (length > LONGEST_PIECE)
      throw new PromptTooLong(
        `The prompt has more than ${LONGEST_PIECE} letters, digits, signs or spaces that the model's tokenizer does not cut; expected words.`,
      );
    if (this.longPieces > LONG_PIECES_TOGETHER)
      throw new PromptTooLong(
        `The prompt has more than ${LONG_PIECES_TOGETHER} characters in words of more than ${LONG_PIECE} each; expected shorter words.`,
      );
  }

  private counted(tokens: readonly string[]): readonly string[] {
    const { maxTokens } = this.bounds;
    this.tokens += tokens.length;
    if (maxTokens === 0 || this.tokens <= maxTokens) return tokens;
    throw this.beyondContext();
  }

  private beyondContext(): PromptTooLong {
    return new PromptTooLong(
      `The model has a context of ${this.bounds.maxTokens} tokens; the prompt has more.`,
      'context_length_exceeded',
    );
  }
}
