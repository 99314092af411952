import type { ConsulConfig } from '../../../config/model.js';
import type { RuntimeDeps } from '../../../runtime/deps.js';
import type { Logger } from '../../../runtime/log/logger.js';
import type { CacheFile } from '../cache/cache-file.js';

/** Where a value comes from: a read of the agent, or the cache of an earlier process. */
export type Source = 'agent' | 'cache';

/** For answers that do not grow with the fleet. Consul itself takes no entry of more than 0.5 MiB. */
const SMALL_ANSWER_BYTES = 2 * 1024 * 1024;

/** One blocking query: what is read, and what an answer is parsed into. */
export interface QuerySpec<T> {
  /** Unique: path and query. */
  readonly key: string;
  /** For people and metrics: "instances of digits". */
  readonly name: string;
  /** From `/v1` on, its segments percent-encoded. */
  readonly path: string;
  readonly query: Readonly<Record<string, string>>;
  /** Throws on garbage, which counts as a failed read. */
  parse(body: Buffer): T | Promise<T>;
  /**
   * What a 404 means where a thing may not exist, such as a config entry; absent: a failed read. A 404 without an index
   * is not Consul's, and counts as failed all the same.
   */
  absent?(): T;
  /** What is handed on, as from the cache, while the first read has not succeeded. */
  readonly cache?: { load(): T | undefined; save(value: T): void };
  /** A larger answer is refused even where the configuration allows it. Absent: `max_answer`, which it allows. */
  readonly maxBytes?: number;
  /** Between two reads that cannot block, ± 10 %. Default 5 s. */
  readonly pollMs?: number;
}

/** A query whose answers do not grow with the fleet: its path is its key, and it has no parameters, unless `rest` says otherwise. */
export function smallQuery<T>(
  path: string,
  name: string,
  rest: Pick<QuerySpec<T>, 'parse' | 'absent' | 'cache'> & Partial<Pick<QuerySpec<T>, 'key' | 'query'>>,
): QuerySpec<T> {
  return { key: path, name, path, query: {}, maxBytes: SMALL_ANSWER_BYTES, ...rest };
}

/**
 * The cache of a query: a section of the file, where there is one.
 * @param toKept what of a value is kept. Absent: the value is kept elsewhere, once it is in force.
 */
export function cachedIn<T>(
  file: CacheFile | undefined,
  section: string,
  load: (kept: unknown) => T | undefined,
  toKept?: (value: T) => unknown,
): Pick<QuerySpec<T>, 'cache'> {
  if (file === undefined) return {};
  const save = (value: T): void => {
    if (toKept !== undefined) file.save(section, toKept(value));
  };
  return { cache: { load: () => load(file.load(section)), save } };
}

/**
 * `waiting`: nothing known yet. `current`: the last read succeeded. `cached`: only what an earlier process kept is
 * known. `failing`: the last read failed.
 */
export type QueryState = 'waiting' | 'current' | 'cached' | 'failing';

/** How a query stands, for status and metrics. */
export interface QueryStatus {
  readonly name: string;
  readonly state: QueryState;
  /** Inexact beyond 2^53. */
  readonly index: number;
  /** Since the last good answer, which for a query at rest is up to the `wait` ago; Infinity before the first. */
  readonly ageMs: number;
  /** One line. */
  readonly problem?: string;
  readonly answers: number;
  readonly failures: number;
  /** Times the index went backwards. */
  readonly resets: number;
  readonly rereads: number;
  readonly bytes: number;
}

/** What a query reports to its owner. */
export interface QueryEvents<T> {
  /** Called for what is new only. Must not throw. */
  value(value: T, from: Source): void;
  /** A read failed for another reason than the one before it. */
  problem(problem: string, error: unknown): void;
  /** A read succeeded after one that failed. */
  answered(): void;
  /** The agent was away, or an index went backwards: the indexes of all queries may be of a state that is gone. */
  lost(): void;
}

/** What every part of the Consul side needs. */
export interface ConsulDeps extends RuntimeDeps {
  readonly config: ConsulConfig;
  /** Absent: nothing of Consul's answers outlives the process. */
  readonly cache?: CacheFile;
  readonly logger: Logger;
}

/** What a part needs that works for the sidecar's own service, by whose name it asks Consul. */
export interface ServiceDeps extends ConsulDeps {
  readonly service: string;
}
