import type { EngineCodec } from './engine-codec.js';
import { SGLANG } from './sglang.js';
import { TRTLLM } from './trtllm.js';
import { VLLM } from './vllm.js';

/** The engines by their names in the configuration. */
export const ENGINE_CODECS = {
  vllm: VLLM,
  sglang: SGLANG,
  trtllm: TRTLLM,
} as const satisfies Readonly<Record<string, EngineCodec>>;

export type EngineName = keyof typeof ENGINE_CODECS;
