import { LogThrottle } from '../../../runtime/log/logger.js';
import type { AgentReader } from '../client/response.js';
import { BlockingQuery } from './blocking-query.js';
import type { ConsulDeps, QuerySpec, QueryStatus, Source } from './query-spec.js';
import { isAgentFault } from './response-reader.js';

/** One use of a query. */
export interface Watch {
  status(): QueryStatus;
  /** Abandons the outstanding read and reads afresh, at most about once a second in the long run. */
  reread(why: string): void;
  /** Ends this use; the query ends with its last one. */
  close(): void;
}

type Listener<T> = (value: T, from: Source) => void;

interface Shared {
  // A key stands for one query, so the type is the same for each use of it.
  readonly query: BlockingQuery<unknown>;
  readonly listeners: Set<Listener<unknown>>;
}

/** The same problem is logged once in this time. */
const LOG_PERIOD_MS = 30_000;
/** The reads that waited for the agent's return are spread over this long. */
const RETURN_SPREAD_MS = 500;

/**
 * Every blocking query of the sidecar, one for each key however many users it has. A late user gets the last value at
 * once. When one query finds the agent back, the others that wait for it retry soon; when one finds it away, or its state gone, the others
 * ask without an index next.
 */
export class QueryRegistry {
  private readonly shared = new Map<string, Shared>();
  private readonly throttle: LogThrottle;

  constructor(
    private readonly agent: AgentReader,
    private readonly deps: ConsulDeps,
  ) {
    this.throttle = new LogThrottle(deps.clock, LOG_PERIOD_MS);
  }

  /** @param onValue called for every new value, synchronously with the last one when one is known already. */
  watch<T>(spec: QuerySpec<T>, onValue: (value: T, from: Source) => void): Watch {
    const shared = this.shared.get(spec.key) ?? this.begin(spec);
    // A listener of its own for each user, should one function be given twice.
    const listener: Listener<unknown> = (value, from) => this.tell(spec.name, onValue, value as T, from);
    shared.listeners.add(listener);
    const known = shared.query.value();
    if (known !== undefined) listener(known.value, known.from);
    return {
      status: () => shared.query.status(),
      reread: (why) => {
        if (!shared.listeners.has(listener)) return;
        this.deps.logger.debug({ query: spec.name, why }, 'what Consul said is doubted, and read again');
        shared.query.reread();
      },
      close: () => {
        if (!shared.listeners.delete(listener) || shared.listeners.size > 0) return;
        shared.query.close();
        if (this.shared.get(spec.key) === shared) this.shared.delete(spec.key);
      },
    };
  }

  /** How each query stands, in the order of their first use. */
  statuses(): readonly QueryStatus[] {
    return [...this.shared.values()].map(({ query }) => query.status());
  }

  /** Ends every query; no user is notified after it. */
  close(): void {
    for (const { query, listeners } of this.shared.values()) {
      listeners.clear();
      query.close();
    }
    this.shared.clear();
  }

  private begin<T>(spec: QuerySpec<T>): Shared {
    const listeners = new Set<Listener<unknown>>();
    const query = new BlockingQuery<T>(spec, this.agent, this.deps, {
      value: (value, from) => {
        for (const listener of [...listeners]) if (listeners.has(listener)) listener(value, from);
      },
      problem: (problem, error) => this.warn(spec.name, problem, error),
      answered: () => this.answered(spec.name),
      lost: () => {
        for (const { query: each } of this.shared.values()) if (each !== query) each.forgetIndex();
      },
    });
    const shared: Shared = { query: query as BlockingQuery<unknown>, listeners };
    this.shared.set(spec.key, shared);
    query.start();
    return shared;
  }

  private tell<T>(name: string, onValue: Listener<T>, value: T, from: Source): void {
    try {
      onValue(value, from);
    } catch (error) {
      this.deps.logger.error({ query: name, error }, 'a user of what Consul answered failed');
    }
  }

  /** An agent that is away is one piece of news, however many queries meet it; a refusal concerns its query. */
  private warn(name: string, problem: string, error: unknown): void {
    const held = this.throttle.pass(isAgentFault(error) ? problem : `${name}: ${problem}`);
    const fields = { query: name, problem, held };
    if (held >= 0) this.deps.logger.warn(fields, 'Consul cannot be read; what is known stays in use');
  }

  private answered(name: string): void {
    const held = this.throttle.pass('answered');
    if (held >= 0) this.deps.logger.info({ query: name, held }, 'Consul can be read again');
    for (const { query } of this.shared.values()) query.retrySoon(RETURN_SPREAD_MS);
  }
}
