/** What a call costs a language-model engine, in tokens: what is set aside for it, and what it used in the end. */

/** What a request asks for, as far as it says it. */
export interface AskedTokens {
  readonly promptIds: number;
  /** Bytes of a prompt that is a text in place of ids. */
  readonly textBytes: number;
  /** −1: the request does not say it. */
  readonly maxTokens: number;
  /** Answers to the one prompt, at least 1. */
  readonly sequences: number;
}

/** The most that a call may use. */
export interface TokenCost {
  readonly prompt: number;
  readonly output: number;
  /** Answers to the one prompt. */
  readonly sequences: number;
  /** The request could be read; else the numbers are a guess by its length. */
  readonly isRead: boolean;
}

/** What an engine has said of a call so far. */
export interface AnsweredTokens {
  /** Tokens of the prompt, and those of them that were in the engine's cache; 0: it has not said it. */
  readonly prompt: number;
  readonly cached: number;
  readonly output: number;
  /** There may be more tokens than counted. */
  readonly isUnreadable: boolean;
}

/**
 * How a call ended. `unsent`: nothing of it reached the engine. `answered`: well. `failed`: by the engine, also under the status OK. `left`: its caller
 * left or aborted it, or its time was over.
 */
export type CallEnding = 'unsent' | 'answered' | 'failed' | 'left';

/** About one token of a text, or of a request that cannot be read. */
const BYTES_PER_TOKEN = 4;
/** More is counted as this, so that sums stay exact. */
const MOST_TOKENS = 2 ** 40;

/**
 * @param asked null: the request cannot be read.
 * @param bytes of the request.
 * @param defaultMaxTokens what a request counts as that does not say `max_tokens`.
 * @param contextTokens of prompt and answer together, at most: many ask for as much as fits by asking for more. Infinity: not known.
 */
export function costOf(
  asked: AskedTokens | null,
  bytes: number,
  defaultMaxTokens: number,
  contextTokens = Number.POSITIVE_INFINITY,
): TokenCost {
  if (asked === null)
    return {
      prompt: tokensIn(bytes),
      output: Math.min(defaultMaxTokens, contextTokens),
      sequences: 1,
      isRead: false,
    };
  const { promptIds, textBytes, maxTokens, sequences } = asked;
  // How many tokens a text has is not known.
  const left = Math.max(0, contextTokens - promptIds);
  const each = Math.min(left, maxTokens < 0 ? defaultMaxTokens : maxTokens);
  const output = Math.min(MOST_TOKENS, each * sequences);
  return { prompt: promptIds + tokensIn(textBytes), output, sequences, isRead: true };
}

/** All of it. */
export function totalOf({ prompt, output }: TokenCost): number {
  return prompt + output;
}

/**
 * What a call has used. An engine is believed about its prompt only as far as the request is long: a wrong count must not lock a caller
 * out.
 * @param reserved what was set aside for it, which is the whole budget where the request cannot be read.
 */
export function usedTokens(
  cost: TokenCost,
  bytes: number,
  reserved: number,
  got: AnsweredTokens,
  ending: CallEnding,
): number {
  if (ending === 'unsent') return 0;
  // A caller that leaves while its prompt is computed has used it; an engine that fails then has done nothing for it.
  if (isForNothing(got, ending)) return 0;
  if (isEmpty(got) && got.prompt === 0) return ending === 'left' ? cost.prompt : 0;
  const most = cost.isRead ? Math.max(cost.prompt, bytes) : reserved;
  const prompt = got.prompt > 0 ? Math.min(got.prompt, most) : cost.prompt;
  // Of several answers to one prompt all but the first find it cached.
  const cached = cost.sequences > 1 ? 0 : Math.min(got.cached, prompt);
  const output = got.isUnreadable ? Math.max(got.output, cost.output) : got.output;
  return prompt - cached + output;
}

/** Whether the engine failed before its first token, whatever it said of the prompt. */
export function isForNothing(got: AnsweredTokens, ending: CallEnding): boolean {
  return ending === 'failed' && isEmpty(got);
}

function isEmpty({ output, isUnreadable }: AnsweredTokens): boolean {
  return output === 0 && !isUnreadable;
}

function tokensIn(bytes: number): number {
  return Math.ceil(bytes / BYTES_PER_TOKEN);
}
