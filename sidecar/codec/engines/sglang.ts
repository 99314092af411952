import type { EngineCodec } from './engine-codec.js';

const SERVICE = '/sglang.grpc.scheduler.SglangScheduler/';

/** SGLang, experimental: not compared with a real one, so that its streams are not resumed. Its counts are cumulative. */
export const SGLANG: EngineCodec = {
  name: 'sglang',
  generate: `${SERVICE}Generate`,
  abort: `${SERVICE}Abort`,
  queries: ['HealthCheck', 'GetModelInfo', 'GetServerInfo', 'GetLoads'].map((name) => `${SERVICE}${name}`),
  downloads: ['GetTokenizer', 'SubscribeKvEvents'].map((name) => `${SERVICE}${name}`),
  requestId: 1,
  prompt: { message: 2, ids: 2 },
  abortedIds: 1,
  answer: {
    chunk: 2,
    complete: 3,
    chunkTokens: { ids: 1, promptTokens: 2, cachedTokens: 4 },
    completeTokens: { ids: 1, promptTokens: 3, cachedTokens: 5 },
    finishReason: 2,
    // An abort that has a status ends with that status (smg-grpc-servicer).
    failures: new Set(['abort']),
  },
  deathWords: '',
  slots: null,
  context: null,
  loads: null,
  resume: null,
};
