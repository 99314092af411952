/** Answers in the two forms of OpenAI's API, whole and in pieces. */

/** `stop`: the model or a stop string ended it. `length`: the limit of tokens did. */
export type FinishReason = 'stop' | 'length';

export interface Usage {
  readonly promptTokens: number;
  readonly completionTokens: number;
  /** Tokens of the prompt that the engine had in its cache. */
  readonly cachedTokens: number;
}

export interface AnswerHead {
  readonly id: string;
  /** Seconds since 1970. */
  readonly created: number;
  readonly model: string;
  readonly includeUsage: boolean;
}

/** Writes one answer. */
export interface AnswerForm {
  /** Before any text; absent where the form has none. */
  begin(): object | undefined;
  text(text: string): object;
  end(reason: FinishReason): object;
  /** Follows `end` if the client asked for it. */
  usage(usage: Usage): object;
  whole(text: string, reason: FinishReason, usage: Usage): object;
}

export class ChatForm implements AnswerForm {
  constructor(private readonly head: AnswerHead) {}

  begin(): object {
    return this.chunk({ role: 'assistant', content: '' }, null);
  }

  text(content: string): object {
    return this.chunk({ content }, null);
  }

  end(reason: FinishReason): object {
    return this.chunk({}, reason);
  }

  usage(usage: Usage): object {
    return { ...base(this.head, 'chat.completion.chunk'), choices: [], usage: writeUsage(usage) };
  }

  whole(content: string, reason: FinishReason, usage: Usage): object {
    const message = { role: 'assistant', content, refusal: null };
    const choices = [{ index: 0, message, logprobs: null, finish_reason: reason }];
    return { ...base(this.head, 'chat.completion'), choices, usage: writeUsage(usage) };
  }

  private chunk(delta: object, reason: FinishReason | null): object {
    const choices = [{ index: 0, delta, logprobs: null, finish_reason: reason }];
    return { ...base(this.head, 'chat.completion.chunk'), choices, ...noUsageYet(this.head) };
  }
}

export class CompletionForm implements AnswerForm {
  constructor(private readonly head: AnswerHead) {}

  begin(): undefined {
    return undefined;
  }

  text(text: string): object {
    return this.chunk(text, null);
  }

  end(reason: FinishReason): object {
    return this.chunk('', reason);
  }

  usage(usage: Usage): object {
    return { ...base(this.head, 'text_completion'), choices: [], usage: writeUsage(usage) };
  }

  whole(text: string, reason: FinishReason, usage: Usage): object {
    const choices = [{ index: 0, text, logprobs: null, finish_reason: reason }];
    return { ...base(this.head, 'text_completion'), choices, usage: writeUsage(usage) };
  }

  private chunk(text: string, reason: FinishReason | null): object {
    const choices = [{ index: 0, text, logprobs: null, finish_reason: reason }];
    return { ...base(this.head, 'text_completion'), choices, ...noUsageYet(this.head) };
  }
}

const base = ({ id, created, model }: AnswerHead, object: string) => ({ id, object, created, model });

/** With `include_usage`, OpenAI has the field in every piece. */
const noUsageYet = ({ includeUsage }: AnswerHead) => (includeUsage ? { usage: null } : {});

const writeUsage = ({ promptTokens, completionTokens, cachedTokens }: Usage) => ({
  prompt_tokens: promptTokens,
  completion_tokens: completionTokens,
  total_tokens: promptTokens + completionTokens,
  prompt_tokens_details: { cached_tokens: cachedTokens },
});
