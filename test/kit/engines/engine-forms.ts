/** The form of what an engine answers, whatever its model: to compare a fake engine with a real one. */
import type { ServiceError } from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { type Method, protoFile } from '../../../proto/load.js';
import type {
  Complete,
  GenerateRequest,
  GenerateResponse,
  StreamChunk,
} from '../../../proto/vllm-service.js';
import { TestClient } from '../service/model-server.js';
import { aGenerateRequest } from './scripted-engine.js';

/** Of one answer: its status, and the names of the fields that its messages have. */
export interface AnswerForm {
  readonly status: number;
  readonly chunk: readonly string[];
  readonly complete: readonly string[];
  readonly finish: string;
  /** Tokens of chunks; of the last one; and those that `complete` has. */
  readonly tokens: number;
  readonly isLastRepeated: boolean;
}

/** Fields that are absent stay absent. */
const Generate = loadSync(protoFile('vllm-engine.proto'), { keepCase: true, longs: Number, defaults: false })[
  'vllm.grpc.engine.VllmEngine'
] as unknown as { readonly Generate: Method<GenerateRequest, GenerateResponse> };

/** Vary with the cache and the batches. */
const UNSTEADY = new Set(['cached_tokens', 'matched_stop']);

const GREEDY = { temperature: 0, max_tokens: 12, ignore_eos: true };
const REQUESTS: Readonly<Record<string, Partial<GenerateRequest>>> = {
  plain: {},
  'with log probabilities': { sampling_params: { ...GREEDY, logprobs: 2 } },
  'without stream': { stream: false },
  'one token': { sampling_params: { ...GREEDY, max_tokens: 1 } },
  'temperature not said': { sampling_params: { max_tokens: 5, ignore_eos: true } },
  'two sequences': { sampling_params: { ...GREEDY, temperature: 0.8, n: 2 } },
  'no ids': { tokenized: { input_ids: [] } },
  'no input': { tokenized: null },
  'an id beyond the vocabulary': { tokenized: { input_ids: [5, 4_000_000] } },
  'more ids than the context holds': { tokenized: { input_ids: Array.from({ length: 200_000 }, () => 7) } },
  'min_tokens over max_tokens': { sampling_params: { ...GREEDY, min_tokens: 20 } },
  'a temperature below 0': { sampling_params: { ...GREEDY, temperature: -1 } },
};

/** @param target `host:port` */
export async function formsOf(target: string): Promise<Record<string, AnswerForm>> {
  const client = new TestClient(target);
  try {
    const forms: Record<string, AnswerForm> = {};
    const ask = (name: string, over: Partial<GenerateRequest>) => {
      const base = {
        request_id: `form-${name}`,
        tokenized: { input_ids: [9, 8, 7] },
        sampling_params: GREEDY,
      };
      return answerTo(client, aGenerateRequest({ ...base, ...over }));
    };
    for (const [name, over] of Object.entries(REQUESTS)) forms[name] = (await ask(name, over)).form;
    const { ids } = await ask('to stop', {});
    const stops = { ...GREEDY, stop_token_ids: [ids[4]!] };
    forms['a stop token'] = (await ask('stop', { sampling_params: stops })).form;
    return forms;
  } finally {
    client.client.close();
  }
}

function answerTo(
  { client }: TestClient,
  request: GenerateRequest,
): Promise<{ readonly form: AnswerForm; readonly ids: readonly number[] }> {
  const { path, requestSerialize, responseDeserialize } = Generate.Generate;
  // The first log probabilities make vLLM compile a function.
  const deadline = Date.now() + 120_000;
  const stream = client.makeServerStreamRequest(path, requestSerialize, responseDeserialize, request, {
    deadline,
  } as never);
  const ids: number[] = [];
  const chunk = new Set<string>();
  const complete = new Set<string>();
  let last: readonly number[] = [];
  let output: readonly number[] = [];
  let finish = '';
  return new Promise((resolve) => {
    const end = (status: number): void => {
      const isLastRepeated = last.length > 0 && last.join(' ') === output.join(' ');
      const form = {
        status,
        chunk: named(chunk),
        complete: named(complete),
        finish,
        tokens: ids.length,
        isLastRepeated,
      };
      resolve({ form, ids });
    };
    stream.on('data', ({ chunk: some, complete: all }: GenerateResponse) => {
      if (some) {
        add(chunk, some);
        last = some.token_ids ?? [];
        ids.push(...last);
      }
      if (all) {
        add(complete, all);
        output = all.output_ids ?? [];
        finish = all.finish_reason;
      }
    });
    stream.on('end', () => end(0));
    stream.on('error', ({ code }: ServiceError) => end(code));
  });
}

function add(names: Set<string>, message: StreamChunk | Complete): void {
  for (const name of Object.keys(message)) if (!UNSTEADY.has(name)) names.add(name);
}

const named = (names: ReadonlySet<string>): string[] => [...names].sort();
