import { present } from '../../../config/present.js';
import {
  afterAnswer,
  FRESH,
  isSuspect,
  ReadBucket,
  readBackoffMs,
  readTimeout,
  SLACK_MS,
  SUSPECT_WAIT_MS,
} from '../../../core/discovery/blocking-index.js';
import type { Timer } from '../../../runtime/time/timers.js';
import { AgentError, type AgentReader, type Answer } from '../client/response.js';
import type { ConsulDeps, QueryEvents, QuerySpec, QueryState, QueryStatus, Source } from './query-spec.js';
import {
  fingerprintOf,
  indexOf,
  isAbsence,
  isAgentFault,
  isUnanswered,
  problemOf,
  readValue,
} from './response-reader.js';

/** The cached value is used after this when the first read has not ended. */
const CACHE_AFTER_MS = 2_000;
const POLL_MS = 5_000;
/** A read that began so long ago has come to the agent. */
const SENT_MS = 1_000;

interface Reading {
  /** 0: it does not block. */
  readonly asked: bigint;
  readonly beganMs: number;
  readonly abort: AbortController;
}

/**
 * One blocking query that is kept up: it reads one answer after another, hands on what changed, and keeps the last
 * value through every fault of the agent. The rules are in core/discovery/blocking-index.ts. After any failure the
 * next read does not block: an agent that comes back with an empty state counts its indexes from the start, and a
 * read that waits for an old, high one would sleep through everything new.
 */
export class BlockingQuery<T> {
  private index = FRESH;
  private fingerprint: string | undefined;
  private latest: { readonly value: T; readonly from: Source } | undefined;
  private problem: string | undefined;
  private failuresInARow = 0;
  /** The last read failed for a reason that concerns every query alike. */
  private isAgentAway = false;
  private lastGoodMs: number | undefined;
  private readonly counts = { answers: 0, failures: 0, resets: 0, rereads: 0, bytes: 0 };
  private readonly bucket: ReadBucket;
  private nextRead: Timer | undefined;
  private cacheTimer: Timer | undefined;
  /** The read under way; another one in its place means that this one is void. */
  private reading: Reading | undefined;
  /** The next read goes to the leader, so that a lagging server cannot confirm what is doubted. */
  private isDoubted = false;
  private isSuspect = false;
  private isClosed = false;

  constructor(
    private readonly spec: QuerySpec<T>,
    private readonly agent: AgentReader,
    private readonly deps: ConsulDeps,
    private readonly events: QueryEvents<T>,
  ) {
    this.bucket = new ReadBucket(deps.clock.now());
  }

  /** Makes the first read, which does not block. */
  start(): void {
    if (this.spec.cache !== undefined)
      this.cacheTimer = this.deps.timers.after(CACHE_AFTER_MS, () => this.useCache());
    void this.read();
  }

  /** The last value handed on. */
  value(): { readonly value: T; readonly from: Source } | undefined {
    return this.latest;
  }

  /** How the query stands, read at scrape time. */
  status(): QueryStatus {
    return {
      name: this.spec.name,
      state: this.state(),
      index: Number(this.index),
      ageMs: this.deps.clock.now() - (this.lastGoodMs ?? Number.NEGATIVE_INFINITY),
      ...present('problem', this.problem),
      ...this.counts,
    };
  }

  /**
   * Connections contradict the last value: the outstanding read is given up and a fresh one made, at the leader, as soon as the
   * bucket allows. A fresh read that is under way is let finish, so that steady doubt cannot starve it.
   */
  reread(): void {
    if (this.isClosed) return;
    this.counts.rereads += 1;
    if (this.reading?.asked === FRESH) return;
    this.abandon();
    this.index = FRESH;
    this.isDoubted = true;
    this.schedule(0);
  }

  /** The agent is known to answer again: a query that waits for its return does not wait much longer. */
  retrySoon(withinMs: number): void {
    if (this.isClosed || !this.isAgentAway || this.reading !== undefined) return;
    this.schedule(withinMs * this.deps.random());
  }

  /**
   * What the index counts may be gone: the next read does not block. A read that the agent holds already ends by itself then; one that has
   * just been sent may come to the new state with the index of the old one, and be held until that is reached.
   */
  forgetIndex(): void {
    if (this.isClosed || this.index === FRESH) return;
    const { reading } = this;
    if (reading !== undefined && this.deps.clock.now() - reading.beganMs >= SENT_MS) return;
    this.index = FRESH;
    if (reading === undefined) return;
    this.abandon();
    this.schedule(0);
  }

  /** Abandons the read under way; no event follows. */
  close(): void {
    this.isClosed = true;
    this.abandon();
    this.nextRead?.cancel();
    this.cacheTimer?.cancel();
  }

  private state(): QueryState {
    if (this.latest?.from === 'cache') return 'cached';
    if (this.problem !== undefined) return 'failing';
    return this.latest === undefined ? 'waiting' : 'current';
  }

  private schedule(delayMs: number): void {
    this.nextRead?.cancel();
    this.nextRead = undefined;
    const dueMs = Math.max(delayMs, this.bucket.delayMs(this.deps.clock.now()));
    if (dueMs > 0) this.nextRead = this.deps.timers.after(dueMs, () => void this.read());
    else void this.read();
  }

  private async read(): Promise<void> {
    this.nextRead = undefined;
    const beganMs = this.deps.clock.now();
    const reading: Reading = { asked: this.index, beganMs, abort: new AbortController() };
    this.reading = reading;
    this.bucket.take(beganMs);
    try {
      const answer = await this.ask(reading.asked, reading.abort.signal);
      if (this.reading === reading) await this.handleAnswer(answer, reading);
    } catch (error) {
      if (this.reading === reading) this.fail(error);
    }
  }

  private async ask(asked: bigint, signal: AbortSignal): Promise<Answer> {
    const { maxAnswerBytes } = this.deps.config;
    const { query, timeoutMs } = this.nextQuery(asked);
    this.isDoubted = false;
    try {
      const maxBytes = Math.min(maxAnswerBytes, this.spec.maxBytes ?? maxAnswerBytes);
      return await this.agent.get(this.spec.path, query, { timeoutMs, maxBytes, signal });
    } catch (error) {
      const answer = error instanceof AgentError ? error.answer : undefined;
      if (this.spec.absent === undefined || answer === undefined || !isAbsence(answer)) throw error;
      return answer;
    }
  }

  /**
   * The query string and the timeout in ms of the next read. What the agent answers by itself, under /agent, has no
   * consistency mode; a doubted value is read at the leader, so that a lagging server cannot confirm it.
   */
  private nextQuery(asked: bigint): { readonly query: Record<string, string>; readonly timeoutMs: number } {
    const { config, random } = this.deps;
    const query: Record<string, string> = { ...this.spec.query };
    const isOwn = this.spec.path.startsWith('/agent/');
    if (config.stale && !this.isDoubted && !isOwn && !('consistent' in query)) query['stale'] = '';
    if (asked === FRESH) return { query, timeoutMs: SLACK_MS };
    const longestMs = this.isSuspect ? Math.min(config.waitMs, SUSPECT_WAIT_MS) : config.waitMs;
    const { waitMs, timeoutMs } = readTimeout(longestMs, SLACK_MS, random);
    return { query: { ...query, index: String(asked), wait: `${waitMs}ms` }, timeoutMs };
  }

  private async handleAnswer(answer: Answer, reading: Reading): Promise<void> {
    this.counts.bytes += answer.body.length;
    const { next, news, reset, poll } = afterAnswer(reading.asked, indexOf(answer));
    if (reset) {
      this.counts.resets += 1;
      this.events.lost();
    }
    const nowMs = this.deps.clock.now();
    const print = reset ? undefined : fingerprintOf(answer);
    // Rights of the token change what is in an answer, and not its index.
    const isChange = print === undefined ? news : print !== this.fingerprint;
    this.isSuspect = isSuspect(this.isSuspect, {
      isBlocking: reading.asked !== FRESH,
      isChange,
      isReset: reset,
      tookMs: nowMs - reading.beganMs,
      isBucketEmpty: this.bucket.delayMs(nowMs) > 0,
    });
    if (isChange) {
      const value = await readValue(answer, this.spec, this.deps.timers);
      if (this.reading !== reading) return;
      this.fingerprint = print;
      this.accept(value);
      // A listener may have closed or doubted the query.
      if (this.reading !== reading) return;
    }
    this.index = this.mayBeGone(reading, news, isChange) ? FRESH : next;
    this.succeed();
    this.schedule(poll ? this.pollMs() : 0);
  }

  /**
   * Consul 1.8 answers a read that waited for a config entry, when the entry is deleted, with the entry as it was and a
   * new index. Only a read that does not block says that it is gone.
   */
  private mayBeGone({ asked }: Reading, news: boolean, isChange: boolean): boolean {
    return this.spec.absent !== undefined && asked !== FRESH && news && !isChange;
  }

  private accept(value: T): void {
    this.latest = { value, from: 'agent' };
    this.events.value(value, 'agent');
    try {
      this.spec.cache?.save(value);
    } catch (error) {
      this.deps.logger.warn({ query: this.spec.name, error }, 'what Consul answered could not be kept');
    }
  }

  private succeed(): void {
    const wasFailing = this.problem !== undefined;
    this.reading = undefined;
    this.cacheTimer?.cancel();
    this.counts.answers += 1;
    this.lastGoodMs = this.deps.clock.now();
    this.problem = undefined;
    this.failuresInARow = 0;
    this.isAgentAway = false;
    if (!wasFailing) return;
    this.bucket.returned(this.lastGoodMs);
    this.events.answered();
  }

  private fail(error: unknown): void {
    this.reading = undefined;
    this.counts.failures += 1;
    this.failuresInARow += 1;
    this.isAgentAway = isAgentFault(error);
    this.index = FRESH;
    const problem = problemOf(error);
    const isOther = problem !== this.problem;
    this.problem = problem;
    this.useCache();
    if (isOther) this.events.problem(problem, error);
    if (this.isAgentAway) this.events.lost();
    if (!this.isClosed)
      this.schedule(readBackoffMs(this.failuresInARow, isUnanswered(error), this.deps.random));
  }

  /** Once, and only while nothing better is known. */
  private useCache(): void {
    const { cache } = this.spec;
    this.cacheTimer?.cancel();
    if (cache === undefined || this.cacheTimer === undefined || this.latest !== undefined) return;
    this.cacheTimer = undefined;
    let value: T | undefined;
    try {
      value = cache.load();
    } catch (error) {
      this.deps.logger.warn({ query: this.spec.name, error }, 'what was kept of Consul cannot be used');
    }
    if (value === undefined) return;
    this.latest = { value, from: 'cache' };
    this.events.value(value, 'cache');
  }

  private pollMs(): number {
    return (this.spec.pollMs ?? POLL_MS) * (0.9 + 0.2 * this.deps.random());
  }

  private abandon(): void {
    const { reading } = this;
    this.reading = undefined;
    reading?.abort.abort();
  }
}
