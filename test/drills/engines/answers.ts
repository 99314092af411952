/** Greedy answers that come through the mesh, compared with those of a run in which nothing failed. */
import type { GenerateRequest } from '../../../proto/vllm-service.js';
import { EngineStream } from '../../kit/engines/engine-client.js';
import type { TestClient } from '../../kit/service/model-server.js';

const PROMPTS = 8;
const PROMPT_TOKENS = 48;
/** Every vocabulary here has more. */
const VOCABULARY = 4_000;
export const ANSWER_TOKENS = 1_500;

export class TimedAnswer extends EngineStream {
  /** Monotonic ms. */
  readonly timesMs: number[] = [];

  constructor(
    client: TestClient,
    readonly prompt: number,
    requestId: string,
    maxTokens = ANSWER_TOKENS,
  ) {
    super(client, requestFor(prompt, requestId, maxTokens));
    this.stream.on('data', () => this.timesMs.push(performance.now()));
  }

  /** The longest time between two messages, ms. @param sinceMs when it ended, at the earliest. */
  gapMs(sinceMs = 0): number {
    let longest = 0;
    for (let i = 1; i < this.timesMs.length; i++)
      if (this.timesMs[i]! > sinceMs) longest = Math.max(longest, this.timesMs[i]! - this.timesMs[i - 1]!);
    return longest;
  }
}

export function requestFor(prompt: number, requestId: string, maxTokens: number): GenerateRequest {
  const input_ids = Array.from(
    { length: PROMPT_TOKENS },
    (_, i) => 3 + ((prompt * 131 + i * 17) % VOCABULARY),
  );
  return {
    request_id: requestId,
    tokenized: { input_ids },
    sampling_params: { temperature: 0, max_tokens: maxTokens, ignore_eos: true },
    stream: true,
  };
}

export interface Tally {
  answers: number;
  lost: number;
  /** Ended well, with tokens missing, repeated or changed. */
  wrong: number;
  /** Tokens of these. */
  missing: number;
  doubled: number;
  /** Why, once each. */
  readonly problems: Set<string>;
}

export const newTally = (): Tally => ({
  ...{ answers: 0, lost: 0, wrong: 0, missing: 0, doubled: 0 },
  problems: new Set(),
});

/** Tokens that have to follow as expected for it to be known how many are missing, or there twice. */
const SURE_TOKENS = 8;

/** Of an answer that is not as expected: how many tokens are missing where the first other one stands, or are there twice. 0 and 0: others came. */
export function seamOf(
  expected: readonly number[],
  ids: readonly number[],
): { readonly missing: number; readonly doubled: number } {
  const found = expected.findIndex((id, i) => id !== ids[i]);
  const at = found < 0 ? expected.length : found;
  const rest = ids.slice(at, at + SURE_TOKENS);
  const goesOnAt = (from: number): boolean =>
    from >= 0 && rest.length > 0 && rest.every((id, i) => id === expected[from + i]);
  if (rest.length === 0) return { missing: expected.length - at, doubled: 0 };
  for (let n = 1; n <= expected.length; n++) {
    if (goesOnAt(at - n)) return { missing: 0, doubled: n };
    if (goesOnAt(at + n)) return { missing: n, doubled: 0 };
  }
  return { missing: 0, doubled: 0 };
}

/** Asks for answers, and knows what they have to be. */
export class AnswerSource {
  private readonly expected: (readonly number[])[] = [];
  private asked = 0;

  constructor(private readonly client: TestClient) {}

  /** Asks for each prompt twice, before anything fails: engines whose answers differ prove nothing. */
  async learn(): Promise<void> {
    const [first, again] = [await this.allAnswers(), await this.allAnswers()];
    for (const [prompt, ids] of first.entries()) {
      if (ids.join(' ') !== again[prompt]!.join(' '))
        throw new Error(`two undisturbed answers to prompt ${prompt} differ`);
      if (new Set(ids).size < ANSWER_TOKENS / 8)
        throw new Error(`the answer to prompt ${prompt} repeats itself`);
      this.expected.push(ids);
    }
  }

  private async allAnswers(): Promise<(readonly number[])[]> {
    const answers = Array.from({ length: PROMPTS }, (_, prompt) => this.ask(prompt));
    for (const answer of answers) {
      const error = await answer.ended;
      if (error !== undefined) throw new Error(`an undisturbed answer failed: ${error.message}`);
    }
    return answers.map(({ ids }) => ids);
  }

  ask(prompt = this.asked % PROMPTS, maxTokens = ANSWER_TOKENS): TimedAnswer {
    return new TimedAnswer(this.client, prompt, `drill-${process.pid}-${this.asked++}`, maxTokens);
  }

  async judge(answer: TimedAnswer, tally: Tally): Promise<void> {
    const error = await answer.ended;
    tally.answers++;
    if (error !== undefined) {
      tally.lost++;
      tally.problems.add(`lost: ${error.code} ${error.details}`);
      return;
    }
    const expected = this.expected[answer.prompt]!;
    const at = expected.findIndex((id, i) => id !== answer.ids[i]);
    if (at < 0 && answer.ids.length === expected.length) return;
    tally.wrong++;
    const { missing, doubled } = seamOf(expected, answer.ids);
    tally.missing += missing;
    tally.doubled += doubled;
    tally.problems.add(
      `wrong: ${answer.ids.length} of ${expected.length} tokens, the first other one is ${at}`,
    );
  }
}
