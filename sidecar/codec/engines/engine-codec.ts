/** Which field is what in the messages of a language-model engine. A new engine is one such table and a line in engine-codecs.ts. */

/** What is counted of a message that brings tokens. Numbers of fields. */
export interface CountedLayout {
  /** Packed or not. */
  readonly ids: number;
  readonly promptTokens: number;
  readonly cachedTokens: number;
}

/** The messages of which a response has one. */
export interface AnswerLayout {
  /** New tokens. */
  readonly chunk: number;
  /** The end of the answer. */
  readonly complete: number;
  readonly chunkTokens: CountedLayout;
  readonly completeTokens: CountedLayout;
  /** Of `complete`, a string. */
  readonly finishReason: number;
  /** Its values where the engine failed, or gave the answer up: unless its client aborted it, that is no end. */
  readonly failures: ReadonlySet<string>;
}

/** Of a message that brings tokens. */
export interface TokensLayout extends CountedLayout {
  /** Tokens of this message. */
  readonly completionTokens: number;
  /** A message with lists of one entry for each token. */
  readonly logprobs: number;
  /** Which of several sequences; absent or 0: the first. */
  readonly index: number;
}

/** The lists in `TokensLayout.logprobs`. */
export interface LogprobsLayout {
  /** Floats, packed or not. */
  readonly values: number;
  /** Varints, packed or not. */
  readonly ids: number;
  /** Messages. */
  readonly tops: number;
}

/** Of sampling parameters. Fields that are in no list are unknown, and a request that has one is not resumed. */
export interface SamplingLayout {
  /** A float that has to be there and 0: absent, the engine draws by chance. */
  readonly temperature: number;
  readonly maxTokens: number;
  readonly minTokens: number;
  /** How many sequences; absent, 0 or 1: one. */
  readonly n: number;
  /** Floats that have to be absent or 0, by name. Else the engine that goes on counts anew. */
  readonly zero: Readonly<Record<number, string>>;
  /** What an engine that goes on sees from its own first token on, by name. */
  readonly inexact: Readonly<Record<number, string>>;
  /** Ids that end an answer, packed or not. */
  readonly stopTokens: number;
  /** Texts that do, one of `inexact`. */
  readonly stopTexts: number;
  /** The end of the model's own does not end an answer. */
  readonly ignoresEnd: number;
  readonly seed: number;
  /** What may stand here, as it says the same of the rest of an answer. */
  readonly harmless: ReadonlySet<number>;
  /** What may not, by name. */
  readonly refused: Readonly<Record<number, string>>;
}

/** Of the request of `generate`. */
export interface PromptLayout {
  /** A message, with the ids of the prompt in field `ids`. */
  readonly message: number;
  readonly ids: number;
  /** A text in its place; absent: there is none. */
  readonly text?: number;
}

/** How an answer is continued by another engine: it gets the prompt and the tokens so far as its prompt. */
export interface ResumeLayout extends AnswerLayout {
  readonly sampling: number;
  readonly harmless: ReadonlySet<number>;
  readonly refused: Readonly<Record<number, string>>;
  readonly parameters: SamplingLayout;
  readonly chunkTokens: TokensLayout;
  readonly completeTokens: TokensLayout;
  /** Of `complete`: the id that ended the answer, where it is one of a list. */
  readonly matchedToken: number;
  /** Of `complete`: a text that ended it. */
  readonly matchedText: number;
  /** Values of `finishReason`: ended by a token or a text, and by `maxTokens`. */
  readonly ends: { readonly stop: string; readonly length: string };
  readonly logprobs: LogprobsLayout;
}

/** How an engine says a number that holds for as long as it runs, in the response of a unary method with an empty request. */
export interface SaidNumber {
  readonly path: string;
  /** A varint; absent or 0: not known. */
  readonly field: number;
  /** More is not believed. */
  readonly most: number;
}

/** How an engine says what it has to do, in the response of a unary method with an empty request. Numbers of fields, varints. */
export interface LoadsLayout {
  readonly path: string;
  /** Messages, one for each part of the engine. */
  readonly parts: number;
  readonly running: number;
  readonly waiting: number;
  /** Tokens in its cache of keys and values, and how many fit. */
  readonly usedTokens: number;
  readonly mostTokens: number;
}

export interface EngineCodec {
  /** Its name in the configuration. */
  readonly name: string;
  /** Paths of its methods. */
  readonly generate: string;
  readonly abort: string;
  /** Its other methods, which are unary; and those that answer in a stream. */
  readonly queries: readonly string[];
  readonly downloads: readonly string[];
  /** Of the request of `generate`, a string. */
  readonly requestId: number;
  readonly prompt: PromptLayout;
  /** Of the request of `abort`, one string or several. */
  readonly abortedIds: number;
  readonly answer: AnswerLayout;
  /** How `grpc-message` of INTERNAL begins once the engine behind a front has died; empty: not known. Other words are an error of the request. */
  readonly deathWords: string;
  /** How many requests it runs at once; null: it does not say it. */
  readonly slots: SaidNumber | null;
  /** Tokens of prompt and answer together, at most, of each sequence; null: it does not say it. */
  readonly context: SaidNumber | null;
  readonly loads: LoadsLayout | null;
  /** Null: its streams are not resumed. */
  readonly resume: ResumeLayout | null;
}
