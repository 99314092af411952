/**
 * What the configuration knows of method patterns beyond their form (which core/routing/method.ts decides): which methods
 * are certainly streams, and which pattern leaves nothing for another.
 */

/** A route that calls one of these unary would hold its messages back. */
export const STREAMING_METHODS: readonly string[] = [
  '/inference.GRPCInferenceService/ModelStreamInfer',
  '/grpc.health.v1.Health/Watch',
  '/grpc.reflection.v1.ServerReflection/ServerReflectionInfo',
  '/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo',
];

/** True when every method that `pattern` matches is also matched by `by`. */
export function isCovered(pattern: string, by: string): boolean {
  if (by === '*' || by === pattern) return true;
  return by.endsWith('/*') && pattern.startsWith(by.slice(0, -1));
}
