import type { EngineCodec, ResumeLayout } from './engine-codec.js';

const SERVICE = '/vllm.grpc.engine.VllmEngine/';

/** What is harmless was compared with uninterrupted answers of vLLM 0.32.0, greedy. */
const RESUME: ResumeLayout = {
  sampling: 4,
  // stream, data_parallel_rank
  harmless: new Set([5, 9]),
  refused: {
    3: 'text in place of token ids',
    6: 'kv_transfer_params',
    7: 'mm_inputs',
    8: 'kv_transfer_params_json',
    10: 'media_refs',
    11: 'extra_mm_inputs',
  },
  parameters: {
    temperature: 1,
    maxTokens: 8,
    minTokens: 9,
    n: 15,
    zero: { 5: 'frequency_penalty', 6: 'presence_penalty' },
    // top_p, top_k, min_p: of no effect at temperature 0. repetition_penalty: counts the prompt, too. stop_token_ids, three about
    // text, ignore_eos, logprobs, seed, one about text, logit_bias.
    harmless: new Set([2, 3, 4, 7, 11, 12, 13, 14, 22, 24, 25, 26]),
    inexact: { 10: 'stop' },
    stopTokens: 11,
    stopTexts: 10,
    ignoresEnd: 14,
    seed: 24,
    refused: {
      16: 'json_schema',
      17: 'regex',
      18: 'grammar',
      19: 'structural_tag',
      20: 'json_object',
      21: 'choice',
      23: 'prompt_logprobs',
      27: 'truncate_prompt_tokens',
      28: 'grammar_from_first_token',
    },
  },
  chunk: 1,
  complete: 2,
  chunkTokens: { ids: 1, promptTokens: 2, completionTokens: 3, cachedTokens: 4, logprobs: 5, index: 7 },
  completeTokens: { ids: 1, promptTokens: 3, completionTokens: 4, cachedTokens: 5, logprobs: 6, index: 8 },
  finishReason: 2,
  matchedToken: 10,
  matchedText: 11,
  ends: { stop: 'stop', length: 'length' },
  // A front that is told to stop ends all its answers with `abort`, and so does a pause of its scheduler.
  failures: new Set(['abort', 'error']),
  logprobs: { values: 1, ids: 2, tops: 3 },
};

/** vLLM (proto/vllm-engine.proto). */
export const VLLM: EngineCodec = {
  name: 'vllm',
  generate: `${SERVICE}Generate`,
  abort: `${SERVICE}Abort`,
  queries: ['HealthCheck', 'GetModelInfo', 'GetServerInfo', 'GetLoads'].map((name) => `${SERVICE}${name}`),
  downloads: ['GetTokenizer', 'SubscribeKvEvents'].map((name) => `${SERVICE}${name}`),
  requestId: 1,
  prompt: { message: 2, ids: 2, text: 3 },
  abortedIds: 1,
  answer: RESUME,
  // `EngineDeadError`. `EngineGenerateError`, from which vLLM says that it recovers, has no words.
  deathWords: 'EngineCore encountered an issue',
  loads: { path: `${SERVICE}GetLoads`, parts: 4, running: 2, waiting: 3, usedTokens: 5, mostTokens: 6 },
  slots: { path: `${SERVICE}GetServerInfo`, field: 20, most: 10_000 },
  context: { path: `${SERVICE}GetModelInfo`, field: 3, most: 1_000_000_000 },
  resume: RESUME,
};
