/**
 * The gRPC methods whose shape is known without being told: those of the protocols that every model service speaks.
 *
 * The wire does not say whether a method is unary, so an unknown method counts as streaming. That a method is unary
 * says nothing about whether repeating it is harmless: only a route can say that.
 */

const OPEN_INFERENCE = '/inference.GRPCInferenceService';

/** Open Inference Protocol v2, and Check of grpc.health.v1. */
export const UNARY_METHODS: readonly string[] = [
  `${OPEN_INFERENCE}/ModelInfer`,
  `${OPEN_INFERENCE}/ModelMetadata`,
  `${OPEN_INFERENCE}/ModelReady`,
  `${OPEN_INFERENCE}/ServerLive`,
  `${OPEN_INFERENCE}/ServerMetadata`,
  `${OPEN_INFERENCE}/ServerReady`,
  '/grpc.health.v1.Health/Check',
];

/** Known to be streams: a route that calls one of them unary would hold its answers back. */
export const STREAMING_METHODS: readonly string[] = [
  `${OPEN_INFERENCE}/ModelStreamInfer`,
  '/grpc.health.v1.Health/Watch',
  '/grpc.reflection.v1.ServerReflection/ServerReflectionInfo',
  '/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo',
];

/** True when every method that `pattern` matches is also matched by `by`. */
export function isCovered(pattern: string, by: string): boolean {
  if (by === '*' || by === pattern) return true;
  return by.endsWith('/*') && pattern.startsWith(by.slice(0, -1));
}
