/** Requests of OpenAI's API as the one form that the rest of the service works with. */
import { badRequest } from './errors.js';
import { Fields, isIds, isObject, type Range } from './fields.js';
import { type ChatMessage, readMessages } from './messages.js';

export type Prompt =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'ids'; readonly ids: readonly number[] }
  | {
      readonly kind: 'chat';
      readonly messages: readonly ChatMessage[];
      /** More variables for the chat template. */
      readonly variables: Readonly<Record<string, unknown>>;
    };

/** What the engine is told. Absent: the engine's default. */
export interface Sampling {
  readonly maxTokens: number | undefined;
  readonly minTokens: number | undefined;
  readonly temperature: number | undefined;
  readonly topP: number | undefined;
  readonly topK: number | undefined;
  readonly minP: number | undefined;
  readonly seed: number | undefined;
  readonly presencePenalty: number | undefined;
  readonly frequencyPenalty: number | undefined;
  readonly repetitionPenalty: number | undefined;
  readonly stopTokenIds: readonly number[];
  readonly ignoreEos: boolean;
  readonly logitBias: Readonly<Record<string, number>>;
}

export interface Generation {
  readonly model: string;
  readonly prompt: Prompt;
  readonly sampling: Sampling;
  readonly stop: readonly string[];
  readonly stream: boolean;
  readonly includeUsage: boolean;
  /** Groups requests that share a beginning. */
  readonly cacheKey: string | undefined;
}

const MAX_INT32 = 2 ** 31 - 1;
const TOKENS: Range = { min: 1, max: MAX_INT32 };
const PENALTY: Range = { min: -2, max: 2 };
const MAX_STOPS = 16;
const MAX_STOP_LENGTH = 256;
/** OpenAI's default for completions. */
const COMPLETION_TOKENS = 16;

/** The body of `POST /v1/completions`. */
export function readCompletion(body: unknown): Generation {
  const fields = Fields.of(body);
  fields.refuse('logprobs', 'this service returns no log probabilities');
  fields.refuse('best_of', 'one answer is made for each request', (value) => value === 1);
  fields.refuse('echo', 'an answer does not repeat its prompt', (value) => value === false);
  fields.refuse('suffix', 'text is only continued at its end', (value) => value === '');
  return read(fields, {
    prompt: readPrompt(fields),
    maxTokens: fields.integer('max_tokens', TOKENS) ?? COMPLETION_TOKENS,
  });
}

/** The body of `POST /v1/chat/completions`. */
export function readChat(body: unknown): Generation {
  const fields = Fields.of(body);
  fields.refuse('logprobs', 'this service returns no log probabilities', (value) => value === false);
  fields.refuse('top_logprobs', 'this service returns no log probabilities', (value) => value === 0);
  const isEmpty = (value: unknown) => Array.isArray(value) && value.length === 0;
  fields.refuse('tools', 'this service has no tool calls', isEmpty);
  fields.refuse('functions', 'this service has no function calls', isEmpty);
  fields.refuse(
    'tool_choice',
    'this service has no tool calls',
    (value) => value === 'none' || value === 'auto',
  );
  fields.refuse(
    'function_call',
    'this service has no function calls',
    (value) => value === 'none' || value === 'auto',
  );
  fields.refuse('audio', 'this service answers with text only');
  fields.refuse('web_search_options', 'this service does not search the web');
  fields.refuse('modalities', 'this service answers with text only', (value) => {
    return Array.isArray(value) && value.every((each) => each === 'text');
  });
  return read(fields, {
    prompt: {
      kind: 'chat',
      messages: readMessages(fields.value('messages')),
      variables: fields.object('chat_template_kwargs') ?? {},
    },
    maxTokens: fields.integer('max_completion_tokens', TOKENS) ?? fields.integer('max_tokens', TOKENS),
  });
}

function read(fields: Fields, own: { prompt: Prompt; maxTokens: number | undefined }): Generation {
  const model = fields.text('model');
  if (model === undefined) throw badRequest("'model' is missing.", 'model');
  fields.refuse('n', 'one answer is made for each request', (value) => value === 1);
  fields.refuse('response_format', 'this service has no JSON mode; only text', (value) => {
    return isObject(value) && value['type'] === 'text';
  });
  const stream = fields.flag('stream');
  return {
    model,
    prompt: own.prompt,
    sampling: {
      maxTokens: own.maxTokens,
      minTokens: fields.integer('min_tokens', { min: 0, max: MAX_INT32 }),
      temperature: fields.number('temperature', { min: 0, max: 2 }),
      topP: fields.number('top_p', { min: 0, max: 1 }),
      topK: fields.integer('top_k', { min: 0, max: MAX_INT32 }),
      minP: fields.number('min_p', { min: 0, max: 1 }),
      seed: fields.integer('seed', { min: -(2 ** 31), max: MAX_INT32 }),
      presencePenalty: fields.number('presence_penalty', PENALTY),
      frequencyPenalty: fields.number('frequency_penalty', PENALTY),
      repetitionPenalty: fields.number('repetition_penalty', { min: 0.01, max: 100 }),
      stopTokenIds: readStopTokens(fields),
      ignoreEos: fields.flag('ignore_eos'),
      logitBias: readLogitBias(fields),
    },
    stop: readStop(fields),
    stream,
    includeUsage: readStreamOptions(fields, stream),
    cacheKey: fields.text('prompt_cache_key') ?? fields.text('user'),
  };
}

function readPrompt(fields: Fields): Prompt {
  const given = fields.value('prompt');
  const prompt =
    Array.isArray(given) && given.length === 1 && typeof given[0] !== 'number' ? given[0] : given;
  if (typeof prompt === 'string') return { kind: 'text', text: prompt };
  if (isIds(prompt) && prompt.length > 0) return { kind: 'ids', ids: prompt };
  if (prompt === undefined) throw badRequest("'prompt' is missing.", 'prompt');
  if (Array.isArray(prompt) && prompt.length > 1)
    throw badRequest("'prompt' may be one text or one array of token ids, not several.", 'prompt');
  throw badRequest("'prompt' must be a string or an array of token ids.", 'prompt');
}

function readStop(fields: Fields): readonly string[] {
  const given = fields.value('stop');
  if (given === undefined) return [];
  const stops: readonly unknown[] = Array.isArray(given) ? given : [given];
  if (stops.length > MAX_STOPS) throw badRequest(`'stop' may have at most ${MAX_STOPS} strings.`, 'stop');
  for (const stop of stops) {
    // A lone surrogate is in no text.
    if (typeof stop === 'string' && stop !== '' && stop.length <= MAX_STOP_LENGTH && !/\p{Cs}/u.test(stop))
      continue;
    throw badRequest(`Each string of 'stop' must have 1 to ${MAX_STOP_LENGTH} characters.`, 'stop');
  }
  return stops as readonly string[];
}

function readStopTokens(fields: Fields): readonly number[] {
  const ids = fields.value('stop_token_ids') ?? [];
  if (isIds(ids) && ids.length <= 128) return ids;
  throw badRequest("'stop_token_ids' must be an array of at most 128 token ids.", 'stop_token_ids');
}

function readLogitBias(fields: Fields): Readonly<Record<string, number>> {
  const bias = Object.entries(fields.object('logit_bias') ?? {});
  const isRight = ([id, value]: readonly [string, unknown]) =>
    /^\d{1,9}$/.test(id) && typeof value === 'number' && Math.abs(value) <= 100;
  if (bias.length <= 1_024 && bias.every(isRight)) return Object.fromEntries(bias) as Record<string, number>;
  throw badRequest("'logit_bias' must map at most 1024 token ids to numbers from -100 to 100.", 'logit_bias');
}

function readStreamOptions(fields: Fields, stream: boolean): boolean {
  const options = fields.object('stream_options');
  if (options === undefined) return false;
  if (!stream) throw badRequest("'stream_options' needs 'stream': true.", 'stream_options');
  return new Fields(options).flag('include_usage');
}
