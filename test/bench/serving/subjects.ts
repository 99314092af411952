/** What serves the models in the serving benchmark: each is started on core 1, for one folder of models. */

import { join } from 'node:path';
import { MODEL_HEAP_FLAGS } from '../../../sidecar/runtime/process/v8-tuning.js';
import { freePort, loopback } from '../../kit/interop/programs.js';
import { packageRoot } from '../../kit/process/package-root.js';
import { startPair } from '../../kit/process/sidecars.js';
import { testFile, tool } from '../../kit/process/tools.js';
import { PROXY_CORE, pin, type Running, scratch, startProcess } from '../subjects/subject.js';
import type { ServedModel } from './models.js';

const SERVER = join(packageRoot, 'dist/services/model-server/main.js');

/** One way to serve a model over gRPC. */
export interface ServingSubject {
  readonly name: string;
  serves(model: ServedModel): boolean;
  /** Undefined: it cannot be had here, which has been said. `profile`: a folder for CPU profiles. */
  start(model: ServedModel, profile?: string): Promise<Running | undefined>;
}

async function startOurs(server: string, { directory }: ServedModel, profile?: string): Promise<Running> {
  const port = await freePort();
  const profiled = profile === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${profile}`];
  const flags = [...MODEL_HEAP_FLAGS, ...profiled];
  const args = ['--models', directory, '--listen', `127.0.0.1:${port}`, '--server', server];
  return startProcess({ command: [process.execPath, ...flags, SERVER, ...args], port, dir: scratch() });
}

/** Two sidecars with mutual TLS before the engine; all three share the core. */
async function startBehindSidecars(model: ServedModel): Promise<Running> {
  const inner = await startOurs('engine', model);
  const pair = await startPair({ local: loopback(inner.port) });
  const sidecars = [pair.caller.pid, pair.service.pid];
  for (const pid of sidecars) pin(pid, PROXY_CORE);
  await pair.ready();
  if (pair.target.kind !== 'tcp') throw new Error('the load speaks TCP');
  return {
    port: pair.target.port,
    readyMs: inner.readyMs,
    pids: () => [...inner.pids(), ...sidecars],
    lastWords: () => inner.lastWords(),
    stop: async () => {
      await pair.close();
      await inner.stop();
    },
  };
}

/** Python's grpc.aio over onnxruntime: the plainest server of such a model. */
async function startPython({ directory, network }: ServedModel): Promise<Running | undefined> {
  const python = await tool('grpcio-onnxruntime');
  if (python === undefined || network === undefined) return undefined;
  const port = await freePort();
  const script = testFile('bench', 'serving', 'grpcio_server.py');
  return startProcess({
    command: [python, script, join(directory, network), String(port)],
    port,
    dir: scratch(),
  });
}

/** In the order of the table. */
export const SERVING_SUBJECTS: readonly ServingSubject[] = [
  { name: 'engine', serves: () => true, start: (model, profile) => startOurs('engine', model, profile) },
  { name: 'grpc-js', serves: () => true, start: (model, profile) => startOurs('grpc-js', model, profile) },
  { name: 'sidecars', serves: () => true, start: (model) => startBehindSidecars(model) },
  { name: 'grpcio', serves: ({ network }) => network !== undefined, start: (model) => startPython(model) },
];
