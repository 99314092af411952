/**
 * A model service: listens first, then loads, so that health can say why it is not ready.
 * Start order: listen, load each model, SERVING as a whole once each is ready or has failed and one at least is ready, or one is loaded later.
 * Stop order: NOT_SERVING, no new call, what is in flight finishes, memory back.
 */

import { Upstreams } from './code/upstream.js';
import { Model, type ModelDeps } from './models/model.js';
import { ModelTable } from './models/model-table.js';
import { chooseModels, findModels } from './models/repository.js';
import { RepositoryControl } from './models/repository-control.js';
import { ServedVersions } from './models/version-policy.js';
import type { ServedMethod } from './protocol/call.js';
import { HealthTable } from './protocol/health.js';
import { servedMethods } from './protocol/methods.js';
import { type ControlMode, findModel, type Serving } from './protocol/serving.js';
import type { QueueCounters } from './runs/ledger.js';
import { InferenceQueue } from './runs/queue.js';
import type { RunLog } from './runs/run-log.js';
import type { ListenAddress } from './transport/listen.js';
import { startRest } from './transport/rest/server.js';
import { DEFAULT_SERVER, type ServerName, transportOf } from './transport/servers.js';
import type { Transport } from './transport/transport.js';

const DEFAULT_UNREAD_MS = 30_000;
/** Sixteen of the largest messages. */
const DEFAULT_MEMORY_BYTES = 1024 * 1024 * 1024;

/** What is served, where, and by which clocks. */
export interface ModelServerOptions {
  readonly modelsDirectory: string;
  /** Names of the models to serve; default: every model of the directory. */
  readonly only?: readonly string[];
  readonly listen: ListenAddress;
  /** What carries the calls. Default: `DEFAULT_SERVER`. */
  readonly server?: ServerName;
  /** Where the REST half of the protocol is served. Default: nowhere. */
  readonly rest?: ListenAddress | undefined;
  /** Hosts that the REST half is known by, beside IP addresses, localhost and the host that it listens on. Default: none. */
  readonly restHosts?: readonly string[];
  /** Whether models are loaded and unloaded on command. Default: `none`. */
  readonly control?: ControlMode | undefined;
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
  /**
   * A model that is unloaded, or replaced, ends a stream when nothing has been read of it for so long, ms. Default: 30,000.
   */
  readonly unreadMs?: number;
  /** What calls may hold in all, of each of the two listeners. Default: 1 GiB. */
  readonly memoryBytes?: number | undefined;
  /** Where the addresses of upstreams and the version policy stand. Default: nothing is known. */
  readonly environment?: Readonly<Record<string, string | undefined>>;
}

/** A server that listens; its models may still be loading. */
export interface ModelServer {
  /** As a client dials it: `host:port` or `unix:/path`. */
  readonly target: string;
  /** The same of the REST half; undefined where it is not served. */
  readonly restTarget: string | undefined;
  /** Resolves when every model is ready or has failed. */
  readonly loaded: Promise<void>;
  readonly models: ModelTable;
  readonly health: HealthTable;
  readonly counters: QueueCounters;
  /** Bytes of requests and responses that are held now. */
  heldBytes(): number;
  /** Resolves when calls in flight have finished; calling it twice is the same stop. */
  stop(): Promise<void>;
  /** Ends what is still in flight. */
  abort(): void;
}

/** Rejects with RepositoryError, or with an Error that says why the address cannot be listened on. */
export async function startModelServer(options: ModelServerOptions): Promise<ModelServer> {
  const { modelsDirectory, wallNow, runNow, log } = options;
  const found = chooseModels(modelsDirectory, findModels(modelsDirectory), options.only ?? []);
  const upstreams = new Upstreams(options.environment ?? {});
  const deps: ModelDeps = { wallNow, runNow, upstream: (name) => upstreams.get(name), log };
  const models = new ModelTable(found.map((f) => new Model(f, deps)));
  const health = new HealthTable();
  for (const name of ['', ...models.names()]) health.set(name, 'NOT_SERVING');
  const queue = new InferenceQueue({ wallNow, runNow, log: options.runLog });
  const drained = (model: Model) => queue.drained(model, options.unreadMs ?? DEFAULT_UNREAD_MS);
  let isStarted = false;
  const repository = new RepositoryControl({
    modelsDirectory,
    models,
    newModel: (f) => new Model(f, deps),
    changed: ({ name }, isServed) => {
      health.set(name, isServed ? 'SERVING' : 'NOT_SERVING');
      if (isServed && isStarted) health.set('', 'SERVING');
      // A server without a model is not ready, however it came to be so.
      if (!models.all().some(({ state }) => state === 'ready')) health.set('', 'NOT_SERVING');
    },
    drained,
    log,
  });
  const { version, control = 'none', restHosts: hosts = [] } = options;
  const served = new ServedVersions(modelsDirectory, options.environment?.['OUTRIDER_MODEL_VERSIONS']);
  const serving: Serving = { version, models, health, queue, repository, control, served, runNow };
  const watches = new Set<() => void>();
  let stopping: Promise<void> | undefined;
  const methods = servedMethods(serving, (end) => {
    // Calls may still come while a GOAWAY is on its way to their caller.
    if (stopping !== undefined) end();
    else watches.add(end);
    return () => watches.delete(end);
  });
  const start = await transportOf(options.server ?? DEFAULT_SERVER);
  const memoryBytes = options.memoryBytes ?? DEFAULT_MEMORY_BYTES;
  const transport = await start(methods, options.listen, { log, memoryBytes });
  const rest =
    options.rest &&
    (await serveRest(serving, { methods, listen: options.rest, memoryBytes, hosts, beside: transport }));

  const loaded = loadAll(serving, { ...options, repository }, () => stopping !== undefined).then(() => {
    isStarted = true;
  });
  const stop = async () => {
    health.stop();
    for (const end of watches) end();
    await Promise.all([transport.stop(), rest?.stop()]);
    await loaded;
    // The run of a call whose caller has gone may be under way still.
    await Promise.all(models.all().map((model) => drained(model).then(() => model.release())));
    await repository.allReleased();
    upstreams.close();
  };
  return {
    target: transport.target,
    restTarget: rest?.target,
    loaded,
    models,
    health,
    counters: queue.counters,
    heldBytes: () => transport.heldBytes() + (rest?.heldBytes() ?? 0),
    stop: () => {
      stopping ??= stop();
      return stopping;
    },
    abort: () => {
      transport.abort();
      rest?.abort();
    },
  };
}

interface RestOptions {
  readonly methods: readonly ServedMethod[];
  readonly listen: ListenAddress;
  readonly memoryBytes: number;
  readonly hosts: readonly string[];
  /** Ended where REST cannot be served. */
  readonly beside: Transport;
}

async function serveRest(
  serving: Serving,
  { methods, listen, memoryBytes, hosts, beside }: RestOptions,
): Promise<Transport> {
  try {
    const inputsOf = (name: string, version: string) => findModel(serving, name, version).inputs;
    return await startRest({ methods, memoryBytes, hosts, inputsOf }, listen);
  } catch (error) {
    beside.abort();
    throw error;
  }
}

async function loadAll(
  { models, health }: Serving,
  options: ModelServerOptions & { readonly repository: RepositoryControl },
  stopped: () => boolean,
): Promise<void> {
  const all = models.all();
  if (all.length === 0) {
    options.log(
      `no model in ${options.modelsDirectory}: not ready; expected ${options.modelsDirectory}/<name>/1/model.onnx`,
    );
  }
  for (const model of all) {
    if (stopped()) return;
    const startedMs = options.wallNow();
    await options.repository.loadFirst(model);
    if (!models.has(model)) continue; // unloaded, or replaced, meanwhile
    const what = model.version === '' ? model.name : `${model.name} version ${model.version}`;
    if (model.state === 'ready') {
      options.log(`${what}: ready in ${Math.round(options.wallNow() - startedMs)} ms, golden input matched`);
    } else {
      options.log(`${what}: NOT READY: ${model.why}`);
    }
  }
  const served = models.all();
  const ready = served.filter((model) => model.state === 'ready').length;
  // What can be served is served: a model that is not ready says so under its own name.
  if (ready > 0) health.set('', 'SERVING');
  if (ready < served.length) options.log(`serving ${ready} of ${served.length} models`);
}
