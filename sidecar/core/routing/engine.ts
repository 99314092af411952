/** Language-model engines whose gRPC services the sidecar can read. Only vLLM's streams are resumed; the others are experimental. */
export const ENGINE_KINDS = ['vllm', 'sglang', 'trtllm'] as const;
export type EngineKind = (typeof ENGINE_KINDS)[number];

/** The method of each engine whose calls make tokens, a stream. */
export const GENERATE_METHODS: Readonly<Record<EngineKind, string>> = {
  vllm: '/vllm.grpc.engine.VllmEngine/Generate',
  sglang: '/sglang.grpc.scheduler.SglangScheduler/Generate',
  trtllm: '/trtllm.TrtllmService/Generate',
};
