/**
 * How other engines than vLLM say the same: the fake engine makes its answers in the messages of vLLM, and these write them anew. They were
 * written from the definitions of the engines, and not compared with running ones.
 */
import type { ServiceDefinition } from '@grpc/grpc-js';
import {
  type GenerateRequest,
  type GenerateResponse,
  sglangService,
  trtllmService,
} from '../../proto/vllm-service.js';

export const PROTOCOLS = ['vllm', 'sglang', 'trtllm'] as const;
export type Protocol = (typeof PROTOCOLS)[number];

/** Writes the messages of one answer. */
export type ResponseWriter = (response: GenerateResponse) => object;

export interface Dialect {
  readonly service: ServiceDefinition;
  requestOf(message: Record<string, unknown>): GenerateRequest;
  /** One for each answer: what was sent before counts. */
  writer(request: GenerateRequest): ResponseWriter;
  health(problem: string): object;
}

interface Prompt {
  readonly original_text?: string;
  readonly input_ids?: readonly number[];
  readonly input_token_ids?: readonly number[];
}

/** Names without a value are left out. */
function present(fields: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
}

const sglang = (): Dialect => ({
  service: sglangService(),
  requestOf: (message) => {
    const sampling = (message['sampling_params'] ?? {}) as Record<string, never>;
    return {
      request_id: message['request_id'] as string,
      tokenized: message['tokenized'] as Prompt,
      sampling_params: present({
        ...{ temperature: sampling['temperature'], max_tokens: sampling['max_new_tokens'], n: sampling['n'] },
        ...{ min_tokens: sampling['min_new_tokens'], ignore_eos: sampling['ignore_eos'] },
        stop_token_ids: sampling['stop_token_ids'],
      }),
      stream: message['stream'] === true,
    };
  },
  writer: ({ request_id, stream }) => {
    let count = 0;
    return ({ chunk, complete }) => {
      count += chunk?.completion_tokens ?? 0;
      const completion_tokens = stream ? count : complete?.completion_tokens;
      if (chunk) return { request_id, chunk: { ...chunk, completion_tokens } };
      return { request_id, complete: { ...complete, completion_tokens } };
    };
  },
  health: (problem) => ({ healthy: problem === '', message: problem || 'Health' }),
});

const trtllm = (): Dialect => ({
  service: trtllmService(),
  requestOf: (message) => {
    const { original_text = '', input_token_ids = [] } = (message['tokenized'] ?? {}) as Prompt;
    const sampling = (message['sampling_config'] ?? {}) as Record<string, never>;
    return {
      request_id: message['request_id'] as string,
      tokenized: { original_text, input_ids: input_token_ids },
      sampling_params: present({
        ...{ temperature: sampling['temperature'], min_tokens: sampling['min_tokens'] },
        ...{ n: sampling['num_return_sequences'], max_tokens: message['max_tokens'] },
        ...{ ignore_eos: message['ignore_eos'], stop_token_ids: message['stop_token_ids'] },
      }),
      stream: message['streaming'] === true,
    };
  },
  writer: ({ request_id, stream }) => {
    const all: number[] = [];
    return ({ chunk, complete }) => {
      all.push(...(chunk?.token_ids ?? []));
      if (chunk) return { request_id, chunk };
      const output_token_ids = stream ? all : complete!.output_ids;
      return {
        request_id,
        complete: { ...complete, output_token_ids, completion_tokens: output_token_ids.length },
      };
    };
  },
  health: (problem) => ({ status: problem || 'OK' }),
});

export const DIALECTS: Readonly<Record<Exclude<Protocol, 'vllm'>, () => Dialect>> = { sglang, trtllm };
