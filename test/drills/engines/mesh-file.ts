/** Two engines of one kind behind sidecars, as a mesh file. */
import { join } from 'node:path';
import { packageRoot } from '../../kit/process/package-root.js';

export const ENGINES = ['vllm', 'fake'] as const;
export type Engine = (typeof ENGINES)[number];

/** Answers that an engine makes at once. */
export const SLOTS = 8;

/** @param home of the environment that vLLM is installed in (test/kit/process/tools.ts). */
export function meshFile(engine: Engine, home = ''): string {
  const program = engine === 'vllm' ? vllm(home) : fake();
  return `
services:
  chat:
    command: ${JSON.stringify(program.command)}
    engine: vllm
    replicas: 2
    queue: { concurrency: ${SLOTS}, max_waiting: ${SLOTS} }
    model:
      env: ${JSON.stringify(program.env)}
      start_timeout: 10m
      not_serving_timeout: 2s
      restart: { base: 100ms, max: 1s }
caller:
  name: app
  admin: "127.0.0.1:0"
  upstreams:
    chat:
      listen: "127.0.0.1:0"
`;
}

interface Program {
  readonly command: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

function vllm(home: string): Program {
  const options = ['--dtype', 'float32', '--max-model-len', '4096', '--max-num-seqs', String(SLOTS)];
  return {
    command: [
      // `bin/vllm` names the folder that it was installed in, which may have been moved since.
      ...[join(home, 'bin/python'), '-m', 'vllm.entrypoints.cli.main', 'serve', join(home, 'model')],
      ...['--grpc', '--host', '127.0.0.1', '--port', '{port}', ...options],
      ...['--enforce-eager', '--distributed-executor-backend', 'uni'],
    ],
    env: {
      LD_LIBRARY_PATH: join(home, 'stubs'),
      ...{ VLLM_CPU_KVCACHE_SPACE: '1', VLLM_CPU_OMP_THREADS_BIND: 'nobind', OMP_NUM_THREADS: '1' },
      ...{ VLLM_NO_USAGE_STATS: '1', DO_NOT_TRACK: '1', HF_HUB_OFFLINE: '1', TRANSFORMERS_OFFLINE: '1' },
      VLLM_HOST_IP: '127.0.0.1',
      // The default listens on all interfaces.
      SMG_VLLM_SERVICER_KV_EVENTS: '0',
    },
  };
}

function fake(): Program {
  const main = join(packageRoot, 'dist/services/engine/main.js');
  const options = ['--listen', '{address}', '--seed', '{replica}', '--step', '4', '--slots', String(SLOTS)];
  return { command: [process.execPath, main, ...options], env: {} };
}
