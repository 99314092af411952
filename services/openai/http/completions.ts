/** Answers one request for a completion, whole or as a stream of events. */
import { createHash } from 'node:crypto';
import type { FastifyReply } from 'fastify';
import type { AnswerForm, Usage } from '../api/answer-form.js';
import { type ApiError, badRequest } from '../api/errors.js';
import type { Generation } from '../api/request.js';
import { SSE_DONE, sseEvent } from '../api/sse.js';
import { type AnswerEvent, RunningUsage, readAnswer } from '../engine/answer.js';
import type { CallMetadata, EngineClient } from '../engine/engine-client.js';
import { generateRequest } from '../engine/messages.js';
import type { Model } from '../engine/model.js';
import { StopStrings } from '../text/stop-strings.js';
import { drained } from './drained.js';
import type { AnswerTimes } from './metrics.js';
import { onResponseEnd } from './response-end.js';

export interface CompletionOptions {
  /** Of the answer; the engine knows it by this id too. */
  readonly id: string;
  /** Prompts of callers are encoded by turns. */
  readonly caller: string;
  readonly generation: Generation;
  readonly form: AnswerForm;
  readonly model: Model;
  readonly engine: EngineClient;
  /** For the mesh: who calls, and the trace. */
  readonly metadata: CallMetadata;
  readonly reply: FastifyReply;
  readonly now: () => number;
  /** What the client is told of a failure. */
  readonly told: (error: unknown) => ApiError;
  /** Called once, however the answer ends. */
  readonly used: (usage: Usage) => void;
}

/** `failure`: that was told within the stream; `undefined`: the client has gone away. */
export type Completed =
  | { readonly usage: Usage; readonly times: AnswerTimes }
  | { readonly failure: ApiError }
  | undefined;

/**
 * Sends the answer. Throws an `ApiError` if nothing has been sent yet; a failure after that is told within the stream.
 * When the client goes away, the call to the engine is cancelled at once.
 */
export async function complete(options: CompletionOptions): Promise<Completed> {
  const { reply, generation, form, now } = options;
  const gone = new AbortController();
  onResponseEnd(reply.raw, () => gone.abort());
  const times = { begun: now(), firstToken: undefined as number | undefined, ended: 0 };
  const running = new RunningUsage();
  let usage: Usage | undefined;
  const events = answer(options, running, gone.signal);

  async function* observed(): AsyncGenerator<AnswerEvent, void, undefined> {
    for await (const event of events) {
      if (event.kind === 'tokens') times.firstToken ??= now();
      if (event.kind === 'end') usage = event.usage;
      yield event;
    }
  }

  try {
    if (generation.stream) {
      const failure = await stream(observed(), options, gone.signal);
      if (failure !== undefined) return { failure };
    } else await whole(observed(), form, reply);
  } catch (error) {
    // The failure is that of the cancelled call.
    if (gone.signal.aborted) return undefined;
    throw error;
  } finally {
    options.used(running);
  }
  times.ended = now();
  return usage === undefined ? undefined : { usage, times };
}

async function* answer(
  { id, caller, generation, model, engine, metadata }: CompletionOptions,
  usage: RunningUsage,
  signal: AbortSignal,
): AsyncGenerator<AnswerEvent, void, undefined> {
  const ids = await model.prompts.encode(generation.prompt, caller, signal);
  requireRoom(ids.length, generation, model);
  const { sampling, stop, cacheKey } = generation;
  const text = model.answers.answer();
  try {
    const request = generateRequest(id, ids, sampling);
    const key: CallMetadata = cacheKey === undefined ? {} : { 'openai-cache-key': shortHash(cacheKey) };
    yield* readAnswer(engine.generate(request, { ...metadata, ...key }, signal), {
      promptTokens: ids.length,
      usage,
      endTokens: new Set([...sampling.stopTokenIds, ...(sampling.ignoreEos ? [] : model.eosTokens)]),
      text,
      stops: new StopStrings(stop),
      minTokens: sampling.minTokens ?? 0,
    });
  } finally {
    text.close();
  }
}

/** The engine would refuse the request too; OpenAI's clients know this error by its code. */
function requireRoom(promptTokens: number, { sampling, prompt }: Generation, { maxContext }: Model): void {
  const field = prompt.kind === 'chat' ? 'messages' : 'prompt';
  if (promptTokens === 0) throw badRequest('The prompt has no tokens.', field);
  const asked = promptTokens + (sampling.maxTokens ?? 1);
  if (maxContext === 0 || asked <= maxContext) return;
  const message = `The model has a context of ${maxContext} tokens; the request needs ${asked}: ${promptTokens} for the prompt and ${asked - promptTokens} for the answer.`;
  throw badRequest(message, field, 'context_length_exceeded');
}

async function whole(
  events: AsyncIterable<AnswerEvent>,
  form: AnswerForm,
  reply: FastifyReply,
): Promise<void> {
  const parts: string[] = [];
  for await (const event of events) {
    if (event.kind === 'begin') continue;
    parts.push(event.text);
    if (event.kind === 'end') reply.send(form.whole(parts.join(''), event.reason, event.usage));
  }
}

/**
 * The status is sent with the engine's first message: a call that fails at once has the status of its failure. Returns a later failure, which
 * the client has been told.
 */
async function stream(
  events: AsyncIterable<AnswerEvent>,
  { form, generation, reply, told }: CompletionOptions,
  gone: AbortSignal,
): Promise<ApiError | undefined> {
  const { raw } = reply;
  try {
    for await (const event of events) {
      if (!raw.headersSent) beginEvents(reply);
      for (const written of writtenAs(event, form, generation.includeUsage))
        if (!raw.write(written)) await drained(raw, gone);
      // The answer of a client that has gone away is not read on.
      if (gone.aborted) return undefined;
    }
  } catch (error) {
    if (!raw.headersSent || gone.aborted) throw error;
    const failure = told(error);
    raw.end(sseEvent(failure.body));
    return failure;
  }
  raw.end(SSE_DONE);
  return undefined;
}

function beginEvents(reply: FastifyReply): void {
  reply.hijack();
  for (const [name, value] of Object.entries(reply.getHeaders()))
    if (value !== undefined) reply.raw.setHeader(name, value);
  reply.raw.writeHead(200, {
    'content-type': 'text/event-stream; charset=utf-8',
    'cache-control': 'no-cache',
    // nginx would collect the events.
    'x-accel-buffering': 'no',
  });
}

function* writtenAs(event: AnswerEvent, form: AnswerForm, includeUsage: boolean): Generator<string> {
  if (event.kind === 'begin') {
    const first = form.begin();
    if (first !== undefined) yield sseEvent(first);
    return;
  }
  if (event.text !== '') yield sseEvent(form.text(event.text));
  if (event.kind !== 'end') return;
  yield sseEvent(form.end(event.reason));
  if (includeUsage) yield sseEvent(form.usage(event.usage));
}

/** Metadata is ASCII, and logs need no user's name. */
const shortHash = (text: string): string => createHash('sha256').update(text).digest('hex').slice(0, 32);
