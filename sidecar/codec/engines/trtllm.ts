import type { EngineCodec } from './engine-codec.js';

const SERVICE = '/trtllm.TrtllmService/';

/** TensorRT-LLM, experimental: not compared with a real one, so that its streams are not resumed. `complete` has all ids. */
export const TRTLLM: EngineCodec = {
  name: 'trtllm',
  generate: `${SERVICE}Generate`,
  abort: `${SERVICE}Abort`,
  queries: ['HealthCheck', 'GetModelInfo', 'GetServerInfo'].map((name) => `${SERVICE}${name}`),
  downloads: ['GetTokenizer', 'SubscribeKvEvents'].map((name) => `${SERVICE}${name}`),
  requestId: 1,
  prompt: { message: 2, ids: 2 },
  abortedIds: 1,
  answer: {
    chunk: 2,
    complete: 3,
    chunkTokens: { ids: 1, promptTokens: 3, cachedTokens: 5 },
    completeTokens: { ids: 1, promptTokens: 5, cachedTokens: 7 },
    finishReason: 3,
    // Its definition names "stop", "length" and "stop_word"; the engine behind it has this one as well.
    failures: new Set(['cancelled']),
  },
  deathWords: '',
  slots: null,
  context: null,
  loads: null,
  resume: null,
};
