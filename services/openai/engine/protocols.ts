/** The services of the .proto files. `npm run build` copies them beside the compiled program. */
import { fileURLToPath } from 'node:url';
import { loadSync, type ServiceDefinition } from '@grpc/proto-loader';

function service<Method extends string>(file: string, name: string): Pick<ServiceDefinition, Method> {
  const path = fileURLToPath(new URL(`../proto/${file}`, import.meta.url));
  const found = loadSync(path, { longs: Number, enums: String, arrays: false, oneofs: false })[name];
  if (found === undefined || 'format' in found) throw new Error(`${file}: ${name} is not defined`);
  return found as Pick<ServiceDefinition, Method>;
}

export const engineService = () =>
  service<'Generate' | 'GetModelInfo' | 'GetTokenizer'>('vllm-engine.proto', 'vllm.grpc.engine.VllmEngine');

export const healthService = () => service<'Check' | 'Watch'>('health.proto', 'grpc.health.v1.Health');
