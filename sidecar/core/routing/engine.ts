/** Language-model engines whose gRPC services the sidecar can read. Only vLLM's streams are resumed; the others are experimental. */
export const ENGINE_KINDS = ['vllm', 'sglang', 'trtllm'] as const;
export type EngineKind = (typeof ENGINE_KINDS)[number];
