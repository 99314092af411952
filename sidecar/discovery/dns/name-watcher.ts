import { writeAddress } from '../../config/codecs/address.js';
import type { Address, DnsConfig, EndpointConfig } from '../../config/model.js';
import { type KnownAddresses, type Reading, readAnswers } from '../../core/discovery/dns-answer.js';
import { apply, type Listed, type Registry, reevaluate } from '../../core/discovery/eviction-guard.js';
import { otherName, type SearchResult } from '../../core/discovery/name-search.js';
import { ROUND_LIMIT_MS } from '../../core/discovery/round-time.js';
import type { RuntimeDeps } from '../../runtime/deps.js';
import type { Logger } from '../../runtime/log/logger.js';
import type { Timer } from '../../runtime/time/timers.js';
import type { DnsReport } from '../../telemetry/reports.js';
import { ownEndpoints } from '../endpoint-subset.js';
import type { Uncounted } from '../snapshot.js';
import type { DnsQuery, StartQuery } from './query.js';

/** What the watcher of a name is made with. */
export interface NameDeps extends RuntimeDeps {
  readonly logger: Logger;
  readonly query: StartQuery;
  /** Whether calls or connections to it show that it is served. */
  isAnswering(address: Address): boolean;
}

/** Addresses that are kept of a larger answer; `pool.max_endpoints` then says how many get connections. */
export const MAX_ADDRESSES = 1_000;
/** Between two rounds while no address is known, and at least between two that are asked for early, ms. */
export const QUICK_MS = 1_000;
/** The usual period. */
const NO_HURRY = Number.POSITIVE_INFINITY;
/** When most addresses vanish at once, those that still answer calls are kept this long, ms: as with Consul by default. */
export const GRACE_MS = 60_000;
/** So often it is looked whether those that are kept still answer, ms. */
const REEVALUATE_MS = 1_000;
/** Rounds of sidecars that were started together drift apart. */
const JITTER = 0.1;

/** An address as the guard against sudden losses sees it: DNS lists no health. */
interface ListedAddress extends Listed {
  readonly endpoint: EndpointConfig;
}

/**
 * Follows the addresses of one name, one round of queries at a time. A failed round keeps what was known. Addresses that leave an
 * answer are gone at once, except when most go together: then those that still answer calls stay for a grace time
 * (core/discovery/eviction-guard.ts), as an empty answer is more often a mistake than an empty service.
 */
export class NameWatcher {
  private known: KnownAddresses | undefined;
  private registry: Registry<ListedAddress> | undefined;
  private published: readonly ListedAddress[] | undefined;
  private reading: Reading | undefined;
  /** The name that the addresses are of, where a search list has completed it. */
  private found: string | undefined;
  private problem: string | undefined;
  /** Addresses beyond `MAX_ADDRESSES`. */
  private beyond = 0;
  private answered: { readonly atMs: number; readonly count: number } | undefined;
  private rounds = 0;
  private failures = 0;
  private startedMs = Number.NEGATIVE_INFINITY;
  /** The next period at most, ms. */
  private hurryMs = NO_HURRY;
  /** The round that runs; an answer of any other is late and not read. */
  private running: DnsQuery | undefined;
  private limit: Timer | undefined;
  private next: Timer | undefined;
  private reevaluation: Timer | undefined;
  /** Nothing is asked or told any more, whatever still refers to this. */
  private isClosed = false;
  private readonly seed: number;

  /** Asks at once. @param onEndpoints called with every change, never within this call. */
  constructor(
    private readonly upstream: string,
    private config: DnsConfig,
    private readonly deps: NameDeps,
    private readonly onEndpoints: (endpoints: readonly EndpointConfig[]) => void,
  ) {
    this.seed = Math.floor(deps.random() * 0x1_0000_0000);
    this.ask();
  }

  /** Another name, port or period. The endpoints of the name before serve until there is an answer. */
  update(config: DnsConfig): void {
    if (this.isClosed || JSON.stringify(config) === JSON.stringify(this.config)) return;
    const isOther = questionOf(config) !== questionOf(this.config);
    this.config = config;
    if (isOther) {
      this.known = undefined;
      this.registry = undefined;
      this.reading = undefined;
      this.found = undefined;
      this.answered = undefined;
      this.reevaluation?.cancel();
    }
    this.endRound();
    this.ask();
  }

  /** Connections contradict what is known: the name is asked for now, at most about once a second. */
  doubt(): void {
    if (this.isClosed || this.running !== undefined || this.deps.clock.now() - this.startedMs < QUICK_MS)
      return;
    this.ask();
  }

  /**
   * A change may be near: the name is asked for now, and again after 1 s, 2 s and so on, up to the usual period, as the servers tell of a
   * change late (gRPC resolves anew likewise when a connection is lost).
   */
  hurry(): void {
    if (this.isClosed) return;
    this.hurryMs = QUICK_MS;
    if (this.running !== undefined) return;
    const sinceMs = this.deps.clock.now() - this.startedMs;
    if (sinceMs >= QUICK_MS) return this.ask();
    this.askAfter(QUICK_MS - sinceMs);
  }

  /** Ends the round that runs and every timer. */
  close(): void {
    this.isClosed = true;
    this.endRound();
    this.next?.cancel();
    this.reevaluation?.cancel();
  }

  /** What status, page and metrics show. */
  report(): DnsReport {
    const { upstream, config, answered, problem, rounds, failures } = this;
    const found = otherName(config.name, this.found);
    const kept = this.registry?.guard?.retained.size ?? 0;
    return {
      upstream,
      name: `${config.name}:${config.port}`,
      ...(found === undefined ? {} : { found }),
      state: this.state(kept),
      addresses: answered?.count ?? 0,
      kept,
      ...(answered === undefined ? {} : { ageMs: Math.round(this.deps.clock.now() - answered.atMs) }),
      ...(problem === undefined ? {} : { problem }),
      rounds,
      failures,
    };
  }

  /** What the endpoints do not say of how many replicas there are. */
  uncounted(): Uncounted {
    return { why: undefined, replicas: this.beyond };
  }

  private state(kept: number): DnsReport['state'] {
    if (this.reading?.isFailure === true) return 'failing';
    if (kept > 0) return 'held';
    if (this.reading === undefined) return 'waiting';
    return this.reading.isEmpty ? 'empty' : 'current';
  }

  // ---- rounds ----

  private ask(): void {
    const { clock, timers } = this.deps;
    this.next?.cancel();
    this.startedMs = clock.now();
    const isServing = (this.registry?.members.length ?? 0) > 0;
    const round = this.deps.query(this.config, isServing ? this.found : undefined);
    this.running = round;
    // What one record type has answered by then counts, although the other has not.
    this.limit = timers.after(ROUND_LIMIT_MS, () => round.cancel(), { unref: true });
    void round.result.then((result) => {
      if (this.running === round) this.onResult(result);
    });
  }

  private endRound(): void {
    const { running } = this;
    this.running = undefined;
    this.limit?.cancel();
    running?.cancel();
  }

  private onResult({ answers, found }: SearchResult): void {
    this.running = undefined;
    this.limit?.cancel();
    // What is known of another name stands in for no record type of this one.
    const isOther = found !== undefined && this.found !== undefined && found !== this.found;
    const reading = readAnswers(isOther ? undefined : this.known, answers);
    const nowMs = this.deps.clock.now();
    this.rounds += 1;
    this.reading = reading;
    if (reading.known !== undefined) this.found = found ?? this.found;
    if (reading.isFailure) this.failures += 1;
    if (reading.known !== undefined && reading.known !== this.known) {
      this.known = reading.known;
      const listed = this.listed(reading.known);
      this.replace(apply(this.registry, listed, this.isAnswering, nowMs, GRACE_MS));
      const atMs = reading.isFailure ? (this.answered?.atMs ?? nowMs) : nowMs;
      this.answered = { atMs, count: countOf(reading.known) };
    }
    this.say(reading);
    this.askAfter(this.periodMs() * (1 - JITTER + 2 * JITTER * this.deps.random()));
  }

  private askAfter(delayMs: number): void {
    this.next?.cancel();
    this.next = this.deps.timers.after(delayMs, () => this.ask(), { unref: true });
  }

  /** Until the next round, ms. */
  private periodMs(): number {
    const { refreshMs } = this.config;
    const isWanting = (this.registry?.members.length ?? 0) === 0;
    const periodMs = Math.min(isWanting ? QUICK_MS : this.hurryMs, refreshMs);
    this.hurryMs = periodMs < refreshMs ? 2 * this.hurryMs : NO_HURRY;
    return periodMs;
  }

  // ---- endpoints ----

  private readonly isAnswering = ({ endpoint }: ListedAddress): boolean =>
    this.deps.isAnswering(endpoint.address);

  /** The endpoints of an answer; of too many the ones that the seed chooses, so that each sidecar has others. */
  private listed({ a, aaaa }: KnownAddresses): readonly ListedAddress[] {
    const all = [...a, ...aaaa].map((host): EndpointConfig => {
      const address = { kind: 'tcp', host, port: this.config.port } as const;
      return { address, weight: 1, id: writeAddress(address) };
    });
    const own = ownEndpoints(all, MAX_ADDRESSES, this.seed);
    this.beyond = all.length - own.length;
    return own.map((endpoint) => ({
      key: endpoint.id,
      status: 'passing',
      endpoint,
    }));
  }

  private reevaluate(): void {
    const { registry } = this;
    if (registry?.guard === undefined) return;
    this.replace(reevaluate(registry, this.isAnswering, this.deps.clock.now(), GRACE_MS));
  }

  private replace(after: Registry<ListedAddress>): void {
    const before = this.registry;
    this.registry = after;
    this.sayGuard(before, after);
    this.reevaluation?.cancel();
    if (after.guard !== undefined)
      this.reevaluation = this.deps.timers.after(REEVALUATE_MS, () => this.reevaluate(), { unref: true });
    const { published } = this;
    if (published !== undefined && areSame(published, after.members)) return;
    this.published = after.members;
    const { upstream, config, found } = this;
    const counts = { before: published?.length ?? 0, now: after.members.length };
    const fields = { upstream, name: config.name, ...(found !== undefined && { found }), ...counts };
    this.deps.logger.info(fields, 'DNS has changed the endpoints of an upstream');
    this.onEndpoints(after.members.map(({ endpoint }) => endpoint));
  }

  // ---- log ----

  /** Each change of what is wrong, once. */
  private say({ problem, isFailure, isPartial }: Reading): void {
    const before = this.problem;
    this.problem = problem;
    if (problem === before) return;
    const fields = { upstream: this.upstream, name: this.config.name };
    const { logger } = this.deps;
    if (problem === undefined) logger.info(fields, 'DNS answers again');
    else if (isPartial)
      logger.warn({ ...fields, problem }, 'DNS fails for one record type; the other is followed');
    else if (isFailure) logger.warn({ ...fields, problem }, 'DNS fails; what is known stays in use');
    else logger.warn({ ...fields, problem }, 'DNS has no usable address for an upstream');
  }

  private sayGuard(
    before: Registry<ListedAddress> | undefined,
    { guard, ended }: Registry<unknown & Listed>,
  ) {
    const fields = { upstream: this.upstream, name: this.config.name };
    const { logger } = this.deps;
    if (before?.guard === undefined && guard !== undefined)
      logger.warn(
        { ...fields, kept: guard.retained.size, graceMs: GRACE_MS },
        'DNS took away most addresses at once; those that still answer calls are kept for now',
      );
    if (ended !== undefined) logger.info({ ...fields, ended }, 'addresses are no longer kept against DNS');
  }
}

/** With another one, the addresses before are no answer any more. */
const questionOf = ({ name, port, family, servers }: DnsConfig): string =>
  JSON.stringify([name, port, family, servers]);

function countOf({ a, aaaa }: KnownAddresses): number {
  return a.length + aaaa.length;
}

/** The same places in the same order; all else of an endpoint follows from its place. */
function areSame(before: readonly ListedAddress[], after: readonly ListedAddress[]): boolean {
  return before.length === after.length && before.every(({ key }, i) => key === after[i]?.key);
}
