/** What serves the models in the serving benchmark: each is started on core 1, for one folder of models. */

import { join } from 'node:path';
import { MODEL_V8_FLAGS } from '../../../sidecar/runtime/process/v8-tuning.js';
import { prepareMlserver } from '../../kit/interop/mlserver.js';
import { loopback } from '../../kit/interop/programs.js';
import { freePort } from '../../kit/process/free-port.js';
import { packageRoot } from '../../kit/process/package-root.js';
import { startPair } from '../../kit/process/sidecars.js';
import { testFile, tool } from '../../kit/process/tools.js';
import { PROXY_CORE, pin, type Running, scratch, startProcess } from '../subjects/subject.js';
import { networkRequestFor, requestFor, type ServedModel } from './models.js';

const SERVER = join(packageRoot, 'dist/services/model-server/main.js');

/** One way to serve a model over gRPC. */
export interface ServingSubject {
  readonly name: string;
  /** Left out unless it is named. */
  readonly isExtra?: true;
  /** Several processes that wait for each other on one core: one that runs before everything else would starve the next. */
  readonly isSeveral?: true;
  /** One message of ModelInfer, prefix included. */
  readonly request: (model: ServedModel) => Buffer;
  /** Undefined: it cannot be had here, which has been said. `profile`: a folder for CPU profiles. */
  start(model: ServedModel, profile?: string): Promise<Running | undefined>;
}

interface OursOptions {
  readonly profile?: string | undefined;
  /** V8's, after those of every model process. */
  readonly flags?: readonly string[];
}

async function startOurs(
  server: string,
  { directory }: ServedModel,
  { profile, flags: more = [] }: OursOptions = {},
): Promise<Running> {
  const port = await freePort();
  const profiled = profile === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${profile}`];
  const flags = [...MODEL_V8_FLAGS, ...more, ...profiled];
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
async function startPython({ network }: ServedModel): Promise<Running | undefined> {
  const python = await tool('grpcio-onnxruntime');
  if (python === undefined) return undefined;
  const port = await freePort();
  const script = testFile('bench', 'serving', 'grpcio_server.py');
  return startProcess({ command: [python, script, network, String(port)], port, dir: scratch() });
}

async function startMlserver({ name, network }: ServedModel): Promise<Running | undefined> {
  const python = await tool('mlserver');
  if (python === undefined) return undefined;
  const dir = scratch();
  return startProcess({ dir, ...(await prepareMlserver(python, { name, network, directory: dir })) });
}

/** The engine with another young heap, MiB. */
function withYoungHeap(size: number): ServingSubject {
  const flags = [`--max-semi-space-size=${size}`];
  return {
    ...{ name: `engine-${size}`, isExtra: true, request: requestFor },
    start: (model, profile) => startOurs('engine', model, { profile, flags }),
  };
}

/** In the order of the table. Those from Python serve the network alone, and get what our code makes of a request. */
export const SERVING_SUBJECTS: readonly ServingSubject[] = [
  { name: 'engine', request: requestFor, start: (model, profile) => startOurs('engine', model, { profile }) },
  withYoungHeap(16),
  withYoungHeap(64),
  {
    ...{ name: 'grpc-js', request: requestFor },
    start: (model, profile) => startOurs('grpc-js', model, { profile }),
  },
  { name: 'sidecars', isSeveral: true, request: requestFor, start: (model) => startBehindSidecars(model) },
  { name: 'grpcio', request: networkRequestFor, start: startPython },
  { name: 'mlserver', request: networkRequestFor, start: startMlserver },
];

/** The one by whose capacity all are paced. */
export const PACER = 'grpcio';
