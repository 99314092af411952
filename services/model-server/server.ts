/**
 * The gRPC server of a model service: listens first, then loads, so that health can say why it is not ready.
 * Start order: listen, load each model, SERVING as a whole once one of them at least is ready. Stop order: NOT_SERVING, no new call, what is in flight finishes, memory back.
 */

import {
  Server,
  ServerCredentials,
  type ServiceDefinition,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js';
import { ReflectionService } from '@grpc/reflection';
import { type HealthService, type InferenceService, protocols, small } from '../../proto/load.js';
import { Model } from './models/model.js';
import { chooseModels, findModels } from './models/repository.js';
import * as calls from './protocol/handlers.js';
import { HealthTable } from './protocol/health.js';
import { InferenceQueue, type QueueCounters } from './runs/batch.js';
import type { RunLog } from './runs/run-log.js';
import { type ListenAddress, removeStaleSocket } from './transport/listen.js';

/** 64 MiB of tensors and what surrounds them. */
export const MAX_MESSAGE_BYTES = 65 * 1024 * 1024;

/** What is served, where, and by which clocks. */
export interface ModelServerOptions {
  readonly modelsDirectory: string;
  /** Names of the models to serve; default: every model of the directory. */
  readonly only?: readonly string[];
  readonly listen: ListenAddress;
  /** Reported by ServerMetadata. */
  readonly version: string;
  /** One line for people. */
  readonly log: (line: string) => void;
  /** Epoch ms, the clock of deadlines. */
  readonly wallNow: () => number;
  /** Milliseconds of a monotonic clock, to fractions: how long runs take. */
  readonly runNow: () => number;
  /** What runs is noted there. Default: nowhere. */
  readonly runLog?: RunLog | undefined;
}

/** A server that listens; its models may still be loading. */
export interface ModelServer {
  /** As a client dials it: `host:port` or `unix:/path`. */
  readonly target: string;
  /** Resolves when every model is ready or has failed. */
  readonly loaded: Promise<void>;
  readonly models: ReadonlyMap<string, Model>;
  readonly health: HealthTable;
  readonly counters: QueueCounters;
  /** Resolves when calls in flight have finished; calling it twice is the same stop. */
  stop(): Promise<void>;
  /** Ends what is still in flight. */
  abort(): void;
}

/** Rejects with RepositoryError, or with an Error that says why the address cannot be listened on. */
export async function startModelServer(options: ModelServerOptions): Promise<ModelServer> {
  const { modelsDirectory } = options;
  const found = chooseModels(modelsDirectory, findModels(modelsDirectory), options.only ?? []);
  const models = new Map(found.map((f) => [f.name, new Model(f)]));
  const health = new HealthTable();
  for (const name of ['', ...models.keys()]) health.set(name, 'NOT_SERVING');
  const queue = new InferenceQueue(options.wallNow, options.runNow, options.runLog);
  const serving: calls.Serving = { version: options.version, models, health, queue };
  const watches = new Set<() => void>();
  const server = grpcServer(serving, watches);
  const target = await bind(server, options.listen);

  let stopping: Promise<void> | undefined;
  const loaded = loadAll(serving, options, () => stopping !== undefined);
  const stop = async () => {
    health.stop();
    for (const end of watches) end();
    await new Promise<void>((resolve) => server.tryShutdown(() => resolve()));
    await loaded;
    for (const model of models.values()) await model.release();
  };
  return {
    target,
    loaded,
    models,
    health,
    counters: queue.counters,
    stop: () => {
      stopping ??= stop();
      return stopping;
    },
    abort: () => server.forceShutdown(),
  };
}

async function loadAll(
  serving: calls.Serving,
  options: ModelServerOptions,
  stopped: () => boolean,
): Promise<void> {
  if (serving.models.size === 0) {
    options.log(
      `no model in ${options.modelsDirectory}: not ready; expected ${options.modelsDirectory}/<name>/1/model.onnx`,
    );
  }
  for (const model of serving.models.values()) {
    if (stopped()) return;
    const startedMs = options.wallNow();
    await model.load();
    const what = model.version === '' ? model.name : `${model.name} version ${model.version}`;
    if (model.state === 'ready') {
      serving.health.set(model.name, 'SERVING');
      options.log(`${what}: ready in ${Math.round(options.wallNow() - startedMs)} ms, golden input matched`);
    } else {
      options.log(`${what}: NOT READY: ${model.why}`);
    }
  }
  const all = [...serving.models.values()];
  const ready = all.filter((model) => model.state === 'ready').length;
  // What can be served is served: a model that is not ready says so under its own name.
  if (ready > 0) serving.health.set('', 'SERVING');
  if (ready < all.length) options.log(`serving ${ready} of ${all.length} models`);
}

function grpcServer(serving: calls.Serving, watches: Set<() => void>): Server {
  const server = new Server({
    'grpc.max_receive_message_length': MAX_MESSAGE_BYTES,
    'grpc.max_send_message_length': -1,
    'grpc-node.flow_control_window': 1024 * 1024,
    'grpc.enable_channelz': 0,
  });
  const { inference, health, definitions } = protocols();
  server.addService(undecoded(inference), {
    ServerLive: calls.unary(inference.ServerLive, calls.serverLive),
    ServerReady: calls.unary(inference.ServerReady, calls.serverReady(serving)),
    ModelReady: calls.unary(inference.ModelReady, calls.modelReady(serving)),
    ServerMetadata: calls.unary(inference.ServerMetadata, calls.serverMetadata(serving)),
    ModelMetadata: calls.unary(inference.ModelMetadata, calls.modelMetadata(serving)),
    ModelInfer: calls.unary(inference.ModelInfer, calls.modelInfer(serving)),
  } as unknown as UntypedServiceImplementation);
  server.addService(undecoded(health), {
    Check: calls.unary(health.Check, calls.healthCheck(serving)),
    Watch: calls.healthWatch(health.Watch, serving, (end) => {
      watches.add(end);
      return () => watches.delete(end);
    }),
  } as unknown as UntypedServiceImplementation);
  // Reflection asks for a name; what the library reads and echoes is bounded before it is decoded.
  new ReflectionService(definitions).addToServer({
    addService: (service, implementation) => server.addService(withSmallRequests(service), implementation),
  });
  return server;
}

function withSmallRequests(service: ServiceDefinition): ServiceDefinition {
  return Object.fromEntries(
    Object.entries(service).map(([name, method]) => [
      name,
      { ...method, requestDeserialize: small(method.requestDeserialize) },
    ]),
  );
}

/** The service with requests left as bytes: the handlers decode them. */
function undecoded(service: InferenceService | HealthService): ServiceDefinition {
  return Object.fromEntries(
    Object.entries(service).map(([name, method]) => [
      name,
      { ...method, requestDeserialize: (bytes: Buffer) => bytes },
    ]),
  ) as unknown as ServiceDefinition;
}

async function bind(server: Server, listen: ListenAddress): Promise<string> {
  if (listen.kind === 'unix') await removeStaleSocket(listen.path);
  const address = listen.kind === 'unix' ? `unix:${listen.path}` : `${listen.host}:${listen.port}`;
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync(address, ServerCredentials.createInsecure(), (error, bound) => {
      if (error === null) resolve(bound);
      else reject(new Error(`cannot listen on ${address}: ${systemWords(error.message)}`));
    });
  });
  return listen.kind === 'unix' ? address : `${listen.host}:${port}`;
}

/** The transport wraps what the system said: `No address added … errors: [listen EADDRINUSE: …]`. */
function systemWords(message: string): string {
  return /errors: \[(.*)\]$/.exec(message)?.[1] ?? message;
}
