/** Answers of vLLM as a scripted endpoint sends them: tokens of a greedy model, put into messages by chance. */
import type { Complete, GenerateRequest, StreamChunk } from '../../../proto/vllm-service.js';
import { chunkOf, completeOf } from '../../../services/engine/engine-core.js';
import { GreedySequence, type Token } from '../../../services/engine/greedy-model.js';
import { grpcMessage } from '../http2/h2-frames.js';
import type { Field } from '../http2/hpack-lite.js';
import { decodeRequest, decodeResponse, encodeRequest, encodeResponse } from './vllm-messages.js';

export const GENERATE = '/vllm.grpc.engine.VllmEngine/Generate';
export const ABORT = '/vllm.grpc.engine.VllmEngine/Abort';

/** What the front of vLLM says with INTERNAL once the core behind it has died (`EngineDeadError`). */
export const CORE_DIED: readonly Field[] = [
  ['grpc-message', 'EngineCore encountered an issue. See stack trace (above) for the root cause.'],
];

/** A request whose answer can be resumed. */
export function aGenerateRequest(over: Partial<GenerateRequest> = {}): GenerateRequest {
  return {
    request_id: 'r-1',
    tokenized: { original_text: 'hello', input_ids: [1, 5, 300, 12_000] },
    sampling_params: { temperature: 0, max_tokens: 20 },
    stream: true,
    ...over,
  };
}

export const framedRequest = (request: GenerateRequest): Buffer => grpcMessage(encodeRequest(request));
export const requestIn = (body: Buffer): GenerateRequest => decodeRequest(body.subarray(5));

/** All tokens of the answer to a request. */
export function tokensFor({ tokenized, sampling_params: sampling }: GenerateRequest): Token[] {
  const sequence = new GreedySequence({
    prompt: tokenized!.input_ids ?? [],
    maxTokens: sampling?.max_tokens ?? 0,
    minTokens: sampling?.min_tokens ?? 0,
    ignoreEnd: sampling?.ignore_eos === true,
    stopTokens: sampling?.stop_token_ids ?? [],
  });
  const tokens: Token[] = [];
  do tokens.push(sequence.next());
  while (tokens.at(-1)!.finish === '');
  return tokens;
}

/** The messages of an answer. @param batch how many tokens the next message has. */
export function messagesFor(request: GenerateRequest, batch: () => number, cached = 0): Buffer[] {
  const tokens = tokensFor(request);
  const messages: Buffer[] = [];
  for (let at = 0; at < tokens.length; ) {
    const some = tokens.slice(at, at + batch());
    at += some.length;
    messages.push(grpcMessage(encodeResponse(chunkOf(request, some, cached))));
    if (at === tokens.length) messages.push(grpcMessage(encodeResponse(completeOf(request, some, cached))));
  }
  return messages;
}

/** What a client of vLLM makes of the messages that it got. */
export interface ReadAnswer {
  readonly ids: number[];
  readonly logprobIds: number[];
  readonly chunks: readonly StreamChunk[];
  readonly complete: Complete | null;
}

export function readAnswer(body: Buffer): ReadAnswer {
  const chunks: StreamChunk[] = [];
  let complete: Complete | null = null;
  for (let at = 0; at + 5 <= body.length; ) {
    const end = at + 5 + body.readUInt32BE(at + 1);
    const message = decodeResponse(body.subarray(at + 5, end));
    if (message.chunk) chunks.push(message.chunk);
    if (message.complete) complete = message.complete;
    at = end;
  }
  const logprobIds = chunks.flatMap(({ output_logprobs: some }) => [...(some?.token_ids ?? [])]);
  return { ids: chunks.flatMap(({ token_ids: ids }) => [...ids]), logprobIds, chunks, complete };
}
