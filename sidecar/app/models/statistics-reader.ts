import { decodeStatistics, MODEL_STATISTICS, type ModelStatistics } from '../../codec/statistics.js';
import { addCounts, StatisticsTotal } from '../../core/models/statistics-total.js';
import { type ModelClient, openModelClient } from '../../health/model/grpc-client.js';
import { getOrInsert } from '../../runtime/get-or-insert.js';
import type { Timer } from '../../runtime/time/timers.js';
import type { AppContext } from '../context.js';
import type { ModelHost } from '../model-host.js';

/** How often model servers are asked. */
const INTERVAL_MS = 5_000;
/** A server that runs an inference answers after it. */
const TIMEOUT_MS = 2_000;
const MAX_ANSWER_BYTES = 1024 * 1024;
/**
 * Counts of so many versions that no process serves any more are kept; then those that were served longest ago are dropped, from
 * all processes at once: a sum that lost a part of itself would look like a restart. A version that is served again later counts
 * from 0, as after a restart of the sidecar, which rates of Prometheus expect.
 */
const MOST_ENDED = 32;

interface Known {
  readonly total: StatisticsTotal;
  lastInferenceMs: number;
}

/** What one model server has said. */
interface Source {
  /** A connection of its own: an answer waits for the run under way, and must not hold up a probe. */
  readonly client: ModelClient;
  /** By version and name. */
  readonly models: Map<string, Known & { readonly name: string; readonly version: string }>;
  /** Those in its last answer. */
  served: ReadonlySet<string>;
  memoryBytes: number;
  /** It does not know the method: it is not asked again. */
  refusedBy: string;
}

/** Memory of a model process. */
export interface ProcessMemory {
  readonly host: ModelHost;
  readonly bytes: number;
}

/**
 * The statistics of models, read from their processes (ModelStatistics) every 5 s and added up over instances and restarts.
 * A process that does not answer keeps its last counts; one that does not know the method is left alone.
 */
export class StatisticsReader {
  private readonly sources = new Map<ModelHost, Source>();
  /** Of model servers that are gone. */
  private readonly ended = new Map<string, ModelStatistics>();
  /** All versions of which there are counts, the one that was last served at the end. */
  private readonly lastServed = new Set<string>();
  private timer: Timer | undefined;
  private reading: Promise<void> | undefined;

  constructor(
    private readonly hosts: () => readonly ModelHost[],
    private readonly context: AppContext,
  ) {}

  start(): void {
    const { timers } = this.context.deps;
    this.timer = timers.every(INTERVAL_MS, () => void this.read(), { unref: true });
  }

  stop(): void {
    this.timer?.cancel();
    for (const { client } of this.sources.values()) client.close();
  }

  /** Asks every process that serves. Never rejects; resolves within 2 s. */
  read(): Promise<void> {
    this.reading ??= this.readAll().finally(() => {
      this.reading = undefined;
    });
    return this.reading;
  }

  private async readAll(): Promise<void> {
    const hosts = this.hosts();
    for (const [host, source] of this.sources) if (!hosts.includes(host)) this.fold(host, source);
    await Promise.all(hosts.map((host) => this.readOne(host)));
    this.dropEnded();
  }

  /** One question to one process; whatever comes of it, the counts that are known stay. */
  private async readOne(host: ModelHost): Promise<void> {
    const { state, pid, restarts } = host.report();
    const process = `${pid}/${restarts}`;
    const source = getOrInsert(this.sources, host, () => ({
      client: openModelClient(host.address, this.context.deps),
      models: new Map(),
      served: new Set<string>(),
      memoryBytes: 0,
      refusedBy: '',
    }));
    if (state !== 'ready' || source.refusedBy === process) return;
    const options = { timeoutMs: TIMEOUT_MS, maxBytes: MAX_ANSWER_BYTES };
    const answer = await source.client.call(MODEL_STATISTICS, Buffer.alloc(0), options);
    if (answer.kind === 'status') source.refusedBy = process;
    if (answer.kind !== 'message') return;
    try {
      this.take(source, process, decodeStatistics(answer.message));
    } catch {
      source.refusedBy = process;
    }
  }

  /** Takes over an answer: counts of each version, and the memory of the process as a whole. */
  private take(source: Source, process: string, models: readonly ModelStatistics[]): void {
    source.memoryBytes = models.reduce((sum, { memoryBytes }) => sum + memoryBytes, 0);
    source.served = new Set(models.map(({ name, version }) => keyOf(name, version)));
    for (const { name, version, counts, lastInferenceMs } of models) {
      const key = keyOf(name, version);
      this.lastServed.delete(key);
      this.lastServed.add(key);
      const known = getOrInsert(source.models, key, () => ({
        ...{ name, version, total: new StatisticsTotal(), lastInferenceMs },
      }));
      known.total.take(process, counts);
      known.lastInferenceMs = Math.max(known.lastInferenceMs, lastInferenceMs);
    }
  }

  /** Leaves {@link MOST_ENDED} of the versions that no process serves. One that does not answer serves what it did. */
  private dropEnded(): void {
    const sources = [...this.sources.values()];
    const served = new Set(sources.flatMap((source) => [...source.served]));
    const ended = [...this.lastServed].filter((key) => !served.has(key));
    for (const key of ended.slice(0, Math.max(0, ended.length - MOST_ENDED))) {
      this.lastServed.delete(key);
      this.ended.delete(key);
      for (const { models } of sources) models.delete(key);
    }
  }

  /** The server is gone, and its memory; its counts stay. */
  private fold(host: ModelHost, source: Source): void {
    source.client.close();
    this.sources.delete(host);
    for (const each of statisticsOf(source)) add(this.ended, { ...each, memoryBytes: 0 });
  }

  /** Each version of each model. Its memory is that of the processes that serve it now. */
  statistics(): readonly ModelStatistics[] {
    const sum = new Map(this.ended);
    for (const source of this.sources.values()) for (const each of statisticsOf(source)) add(sum, each);
    return [...sum.values()];
  }

  /** The memory of each process that has told it. */
  memory(): readonly ProcessMemory[] {
    const hosts = new Set(this.hosts());
    return [...this.sources].flatMap(([host, { memoryBytes: bytes }]) =>
      bytes > 0 && hosts.has(host) && host.report().pid !== undefined ? [{ host, bytes }] : [],
    );
  }
}

/** The memory of a process counts once, with the first of the models that it serves, as the server tells it. */
function statisticsOf({ models, served, memoryBytes }: Source): ModelStatistics[] {
  const [first] = served;
  return [...models].map(([key, { name, version, total, lastInferenceMs }]) => ({
    ...{ name, version, lastInferenceMs, counts: total.counts },
    memoryBytes: key === first ? memoryBytes : 0,
  }));
}

/** Adds what another process of the same version has counted. */
function add(sum: Map<string, ModelStatistics>, each: ModelStatistics): void {
  const key = keyOf(each.name, each.version);
  const known = sum.get(key);
  if (known === undefined) sum.set(key, each);
  else
    sum.set(key, {
      ...known,
      lastInferenceMs: Math.max(known.lastInferenceMs, each.lastInferenceMs),
      counts: addCounts(known.counts, each.counts),
      memoryBytes: known.memoryBytes + each.memoryBytes,
    });
}

function keyOf(name: string, version: string): string {
  return `${version}/${name}`;
}
