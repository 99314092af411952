/**
 * An agent in memory that answers when the test says so. Reads that the client gives up end as cancelled, and those that
 * outlive their timeout on the manual clock, as timed out.
 */
import assert from 'node:assert/strict';
import type { ConsulConfig } from '../../../sidecar/config/model.js';
import { present } from '../../../sidecar/config/present.js';
import { CacheFile } from '../../../sidecar/discovery/consul/cache/cache-file.js';
import {
  AgentError,
  type AgentReader,
  type Answer,
  type GetOptions,
  type Query,
} from '../../../sidecar/discovery/consul/client/response.js';
import { QueryRegistry } from '../../../sidecar/discovery/consul/query/query-registry.js';
import type { ConsulDeps } from '../../../sidecar/discovery/consul/query/query-spec.js';
import { createLogger } from '../../../sidecar/runtime/log/logger.js';
import type { Random } from '../../../sidecar/runtime/random.js';
import { ManualClock } from '../time/manual-clock.js';
import { constant } from '../time/seeded-random.js';

export const CONFIG: ConsulConfig = {
  tls: {},
  stale: true,
  waitMs: 300_000,
  graceMs: 60_000,
  maxAnswerBytes: 1024 * 1024,
  intentions: true,
  locality: { region: 'region', zone: 'zone' },
  rules: true,
};

/** An index in the header; `undefined`: no such header. */
export function answerOf(index: bigint | number | undefined, body: unknown, status = 200): Answer {
  return {
    status,
    index: index === undefined ? undefined : Number(index),
    body: Buffer.from(typeof body === 'string' ? body : JSON.stringify(body)),
    headers: index === undefined ? {} : { 'x-consul-index': String(index) },
  };
}

export class Read {
  isOpen = true;
  readonly atMs: number;
  private settle!: { resolve: (answer: Answer) => void; reject: (error: unknown) => void };
  readonly outcome = new Promise<Answer>((resolve, reject) => {
    this.settle = { resolve, reject };
  });

  constructor(
    readonly path: string,
    readonly query: Query,
    readonly options: GetOptions,
    private readonly clock: ManualClock,
  ) {
    this.atMs = clock.now();
    const timer = clock.after(options.timeoutMs, () => this.fail('timeout', 'no answer'));
    const abort = () => this.fail('cancelled', 'cancelled');
    options.signal?.addEventListener('abort', abort);
    void this.outcome
      .catch(() => {})
      .then(() => {
        timer.cancel();
        options.signal?.removeEventListener('abort', abort);
      });
  }

  /** The index it blocks on; undefined: it does not. */
  get index(): string | undefined {
    return this.query['index'];
  }

  answer(index: bigint | number | undefined, body: unknown): Promise<void> {
    return this.give(answerOf(index, body));
  }

  /** An answer with headers of its own. */
  async give(answer: Answer): Promise<void> {
    assert.ok(this.isOpen, 'the read is over');
    this.isOpen = false;
    this.settle.resolve(answer);
    await this.clock.settle();
  }

  async refuse(status: number, said: string, index?: number): Promise<void> {
    await this.break('status', `${status} ${said}`, status, answerOf(index, said, status));
  }

  async break(
    fault: AgentError['fault'],
    message: string = fault,
    status?: number,
    answer?: Answer,
  ): Promise<void> {
    assert.ok(this.isOpen, 'the read is over');
    this.fail(fault, message, status, answer);
    await this.clock.settle();
  }

  private fail(fault: AgentError['fault'], message: string, status?: number, answer?: Answer): void {
    if (!this.isOpen) return;
    this.isOpen = false;
    this.settle.reject(new AgentError(fault, message, status, answer));
  }
}

export class ScriptedAgent implements AgentReader {
  readonly reads: Read[] = [];
  /** Answers each read by itself, when set. */
  onRead: ((read: Read) => void) | undefined;

  constructor(private readonly clock: ManualClock) {}

  get(path: string, query: Query, options: GetOptions): Promise<Answer> {
    const read = new Read(path, query, options, this.clock);
    this.reads.push(read);
    this.onRead?.(read);
    return read.outcome;
  }

  /** Reads that wait for an answer. */
  get open(): Read[] {
    return this.reads.filter(({ isOpen }) => isOpen);
  }

  /** The only read that waits for an answer. */
  get one(): Read {
    return this.at();
  }

  /** The only read that waits for an answer; with a path, the only one of it. */
  at(path?: string): Read {
    const open = this.open.filter((read) => path === undefined || read.path === path);
    assert.equal(open.length, 1, `${open.length} reads of ${path ?? 'any path'} are open`);
    return open[0]!;
  }
}

export type Kit = ReturnType<typeof kit>;

/** Queries of a scripted agent, with a cache where `config` names one. @param random default: always one half. */
export function kit(config: Partial<ConsulConfig> = {}, random: Random = constant(0.5)) {
  const clock = new ManualClock();
  const log: Record<string, unknown>[] = [];
  const destination = { write: (line: string) => void log.push(JSON.parse(line)) };
  const logger = createLogger({ level: 'info', destination });
  const cache = config.cache && CacheFile.open(config.cache.dir, logger, clock);
  const all = { ...CONFIG, ...config };
  const deps: ConsulDeps = { config: all, clock, timers: clock, random, logger, ...present('cache', cache) };
  const agent = new ScriptedAgent(clock);
  const watches = new QueryRegistry(agent, deps);
  /** Messages of the problems that were logged as warnings. */
  const problems = () => log.filter(({ level }) => level === 'warn').map(({ problem }) => problem);
  /** Time passes until the next read begins. */
  const nextRead = async (): Promise<void> => {
    while (agent.open.length === 0) await clock.settle(clock.nextDueMs() - clock.now());
  };
  const close = (): void => {
    watches.close();
    cache?.close();
  };
  return { clock, agent, deps, log, watches, problems, nextRead, at: agent.at.bind(agent), close };
}
