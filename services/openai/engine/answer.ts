/** One answer of the engine as text. */
import type { FinishReason, Usage } from '../api/answer-form.js';
import { ApiError } from '../api/errors.js';
import type { Passed, StopStrings } from '../text/stop-strings.js';
import type { AnswerText } from '../tokenizer/tokenizer-thread.js';
import type { GenerateResponse } from './messages.js';

export type AnswerEvent =
  /** The engine has begun, and the call did not fail. */
  | { readonly kind: 'begin' }
  | { readonly kind: 'tokens'; readonly text: string; readonly count: number }
  | { readonly kind: 'end'; readonly text: string; readonly reason: FinishReason; readonly usage: Usage };

/** What an answer has used so far. The prompt counts from the engine's first message on. */
export class RunningUsage implements Usage {
  promptTokens = 0;
  completionTokens = 0;
  cachedTokens = 0;
}

export interface AnswerOptions {
  readonly promptTokens: number;
  /** Is kept up to date, so that an answer which ends too early is counted as well. */
  readonly usage: RunningUsage;
  /** Tokens that end the answer and are not part of its text. */
  readonly endTokens: ReadonlySet<number>;
  readonly text: AnswerText;
  readonly stops: StopStrings;
  /** Stop strings count only after so many tokens, as in vLLM. */
  readonly minTokens: number;
}

/**
 * The events of an answer: `begin`, some `tokens`, `end`. A stop string ends it early: the call is then cancelled before `end`, however slowly its
 * client reads. Throws an `ApiError` if the engine fails.
 */
export async function* readAnswer(
  messages: AsyncIterable<GenerateResponse>,
  { promptTokens, usage, endTokens, text, stops, minTokens }: AnswerOptions,
): AsyncGenerator<AnswerEvent, void, undefined> {
  let hasBegun = false;
  let last: AnswerEvent | undefined;
  const end = (rest: string, reason: FinishReason): AnswerEvent => ({
    kind: 'end',
    text: rest,
    reason,
    usage: { ...usage },
  });
  const search = (fresh: string): Passed =>
    usage.completionTokens > minTokens ? stops.push(fresh) : { text: fresh, stop: undefined };
  reading: for await (const { chunk, complete } of messages) {
    usage.promptTokens = promptTokens;
    usage.cachedTokens = Math.max(usage.cachedTokens, chunk?.cachedTokens ?? 0, complete?.cachedTokens ?? 0);
    if (!hasBegun) yield { kind: 'begin' };
    hasBegun = true;
    const ids = chunk?.tokenIds ?? [];
    if (ids.length > 0) {
      let said = '';
      // One by one where a stop string may end the answer: tokens behind it are not part of it, however the engine packs its messages.
      for (const part of stops.isEmpty ? [ids] : ids.map((id) => [id])) {
        usage.completionTokens += part.length;
        const passed = search(await text.push(part.filter((id) => !endTokens.has(id))));
        said += passed.text;
        if (passed.stop === undefined) continue;
        last = end(said, 'stop');
        break reading;
      }
      yield { kind: 'tokens', text: said, count: ids.length };
    }
    if (complete !== undefined) {
      const reason = finishReason(complete.finishReason);
      const passed = search(await text.end());
      last = passed.stop === undefined ? end(passed.text + stops.end(), reason) : end(passed.text, 'stop');
      break;
    }
  }
  if (last === undefined) throw failed('The engine ended its answer without saying why.');
  yield last;
}

function finishReason(said: string | undefined): FinishReason {
  if (said === 'stop' || said === 'length') return said;
  throw failed(
    said === 'abort' ? 'The answer was aborted at the engine.' : 'The engine failed within its answer.',
  );
}

const failed = (message: string): ApiError => new ApiError(message, { status: 500, type: 'server_error' });
