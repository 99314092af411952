import type { AdoptedProxy, ConsulConfig } from '../../../config/model.js';
import { isSameExceptNumbers } from '../../../core/health/hysteresis.js';
import { exponentialMs } from '../../../core/retry/backoff.js';
import type { RuntimeDeps } from '../../../runtime/deps.js';
import type { Logger } from '../../../runtime/log/logger.js';
import { messageOf } from '../../../runtime/log/message-of.js';
import type { Environment } from '../../settings-files.js';
import { CacheFile } from '../cache/cache-file.js';
import { ConsulAgent } from '../client/client.js';
import type { AgentReader } from '../client/response.js';
import { agentSettings } from '../client/settings.js';
import { decodeJson } from '../parser/json-fields.js';
import { readAdoptedProxy } from './adopted-proxy.js';
import { isAgentAway, isPassing } from './adoption-faults.js';
import { type AdoptConfig, AdoptionReader } from './adoption-reader.js';

/** What an adoption is made with. */
export interface AdoptionDeps extends RuntimeDeps {
  readonly logger: Logger;
  readonly waitMs: number;
  /** What outlives this process; absent: nothing does. */
  readonly cache?: Pick<CacheFile, 'load' | 'save' | 'flush'> | undefined;
}

/** How the first read waits. */
export interface FirstReadOptions {
  /** How long an agent that is away is waited for, ms. Default: for as long as it takes. */
  readonly agentLimitMs?: number;
  /** Called once, when the first try has failed and more follow. */
  readonly onWaiting?: () => void;
}

/** At the start a registration that the agent does not have yet is waited for so long. */
const START_LIMIT_MS = 30_000;
const RETRY_MS = 1_000;
/** Once it runs: the longest wait after failures in a row. */
const MOST_RETRY_MS = 5_000;

/**
 * The registration that this sidecar is the proxy of, made by something else: read at the start, and followed by reads that the
 * agent holds open. Nothing is written. While it cannot be read, or is gone, what it said last stays in force: calls go on,
 * and the problem is reported.
 */
export class ProxyAdoption {
  /** As last read; what the agent says later and cannot be used is not it. */
  private current: AdoptedProxy | undefined;
  /** Of `current`, as the agent told it; undefined: the next read does not block. */
  private hash: string | undefined;
  /** Of the last read; undefined: it succeeded. */
  private readProblem: string | undefined;
  /** What this process would have to be restarted for. */
  private movedProblem: string | undefined;
  private readonly running = new AbortController();
  private readonly reader: AdoptionReader;

  constructor(
    private readonly wanted: AdoptConfig,
    agent: AgentReader,
    private readonly deps: AdoptionDeps,
    private readonly onClose: () => void = () => {},
  ) {
    this.reader = new AdoptionReader(wanted, agent, { waitMs: deps.waitMs, signal: this.running.signal });
  }

  /** With a client of its own, and the directory of `consul.cache`. @throws Error of one line for settings that cannot be used. */
  static open(
    consul: ConsulConfig,
    adopt: AdoptConfig,
    env: Environment,
    deps: Omit<AdoptionDeps, 'waitMs'>,
  ): ProxyAdoption {
    const agent = new ConsulAgent(agentSettings(consul, env), deps.timers);
    const dir = consul.cache?.dir;
    const cache = dir === undefined ? undefined : CacheFile.open(dir, deps.logger, deps.timers);
    const close = (): void => {
      cache?.flush();
      agent.close();
    };
    return new ProxyAdoption(adopt, agent, { ...deps, waitMs: consul.waitMs, cache }, close);
  }

  /** What the registration says, as last read. @throws Error before `first` has succeeded. */
  get proxy(): AdoptedProxy {
    if (this.current === undefined) throw new Error('consul.adopt: the registration has not been read yet');
    return this.current;
  }

  /** Whether the agent had the registration when last asked. */
  get isHeld(): boolean {
    return this.current !== undefined && this.readProblem === undefined;
  }

  /** What is wrong, in one sentence: it cannot be read or is gone, or it asks for what only a restart can do. */
  get problem(): string | undefined {
    return this.movedProblem ?? this.readProblem;
  }

  /** Reasons against readiness: peers are told of another place or service than this process serves. */
  notReady(): string[] {
    return this.movedProblem === undefined ? [] : [`registration: ${this.movedProblem}`];
  }

  /** What of the registration is not applied. */
  unapplied(): readonly string[] {
    return this.current?.unapplied ?? [];
  }

  /**
   * The registration. An agent that is away is waited for, unless the registration is in the cache; one that answers has 30 s
   * to have the registration, and the rights to read it. @throws Error of one line, at once for a registration that is no proxy.
   */
  async first({
    agentLimitMs = Number.POSITIVE_INFINITY,
    onWaiting,
  }: FirstReadOptions = {}): Promise<AdoptedProxy> {
    const { clock, logger } = this.deps;
    const startMs = clock.now();
    let answeredMs = Number.NaN;
    for (let tries = 1; ; tries++) {
      try {
        this.current = await this.read();
        this.readProblem = undefined;
        this.logUnapplied();
        return this.current;
      } catch (error) {
        const isAway = isAgentAway(error);
        if (isAway) answeredMs = Number.NaN;
        else if (Number.isNaN(answeredMs)) answeredMs = clock.now();
        const untilMs = isAway ? startMs + agentLimitMs : answeredMs + START_LIMIT_MS;
        const problem = `consul.adopt: ${messageOf(error)}`;
        if (!isPassing(error) || this.isClosed || clock.now() >= untilMs) throw new Error(problem);
        const kept = isAway ? this.kept() : undefined;
        if (kept !== undefined) return this.begin(kept, messageOf(error));
        if (this.isNews(problem)) logger.warn({ problem }, 'the adopted registration is waited for');
        this.readProblem = problem;
      }
      if (tries === 1) onWaiting?.();
      await this.pause(RETRY_MS);
    }
  }

  /** With what an earlier process read, until the agent is back. */
  private begin(kept: AdoptedProxy, problem: string): AdoptedProxy {
    this.current = kept;
    this.readProblem = problem;
    const text = 'the adopted registration cannot be read; what an earlier process read is in force';
    this.deps.logger.warn({ problem, id: kept.id }, text);
    this.logUnapplied();
    return kept;
  }

  /** What an earlier process read of the same registration; undefined: nothing that can be used. */
  private kept(): AdoptedProxy | undefined {
    const kept = this.deps.cache?.load(this.section);
    if (kept === undefined) return undefined;
    const proxy = readAdoptedProxy(Buffer.from(JSON.stringify(kept)));
    return typeof proxy === 'string' ? undefined : proxy;
  }

  /** Of the cache file: it is that of this registration alone. */
  private get section(): string {
    const { proxy, sidecarFor } = this.wanted;
    return proxy === undefined ? `registration for ${sidecarFor}` : `registration ${proxy}`;
  }

  /** Calls `onChange` whenever the registration says something else from now on, until `close`. */
  follow(onChange: () => void): void {
    void this.followNow(onChange);
  }

  /** What the process could not take over of the registration; undefined: it serves what the registration says. */
  recordMoved(problem: string | undefined): void {
    if (problem !== undefined && problem !== this.movedProblem)
      this.deps.logger.error(
        { problem },
        'the adopted registration has changed in a way that needs a restart',
      );
    this.movedProblem = problem;
  }

  /** Ends reads and waits; nothing is called any more. */
  close(): void {
    this.running.abort();
    this.onClose();
  }

  private get isClosed(): boolean {
    return this.running.signal.aborted;
  }

  /** Reads one after the other, each held open while nothing changes. Never rejects. */
  private async followNow(onChange: () => void): Promise<void> {
    let failures = 0;
    while (!this.isClosed) {
      const { hash } = this;
      const askedMs = this.deps.clock.now();
      try {
        const proxy = await this.read(hash);
        if (this.isClosed) return;
        failures = 0;
        this.recordRead(proxy, onChange);
        // An agent that does not hold the read open, or answers at once again and again, is asked once a second.
        await this.pause(RETRY_MS - (this.deps.clock.now() - askedMs));
      } catch (error) {
        if (this.isClosed) return;
        this.hash = undefined;
        this.recordFailure(error);
        failures += 1;
        await this.pause(exponentialMs(failures, RETRY_MS, MOST_RETRY_MS));
      }
    }
  }

  /** What has been read is in force from now on, where it differs. */
  private recordRead(proxy: AdoptedProxy, onChange: () => void): void {
    if (this.readProblem !== undefined)
      this.deps.logger.info({ id: proxy.id }, 'the adopted registration is there again');
    this.readProblem = undefined;
    if (JSON.stringify(proxy) === JSON.stringify(this.current)) return;
    this.current = proxy;
    this.deps.logger.info({ id: proxy.id }, 'the adopted registration has changed');
    this.logUnapplied();
    onChange();
  }

  /** One line for each new problem, however often it comes back. */
  private recordFailure(error: unknown): void {
    const problem = messageOf(error);
    if (this.isNews(problem))
      this.deps.logger.warn(
        { problem },
        'the adopted registration cannot be read; what it said stays in force',
      );
    this.readProblem = problem;
  }

  private isNews(problem: string): boolean {
    return this.readProblem === undefined || !isSameExceptNumbers(problem, this.readProblem);
  }

  private logUnapplied(): void {
    for (const part of this.unapplied())
      this.deps.logger.warn({ part }, 'a part of the adopted registration is not applied');
  }

  /** @param hash of what is known: the agent then answers when that changes. */
  private async read(hash?: string): Promise<AdoptedProxy> {
    const known = hash === undefined ? undefined : { id: this.proxy.id, hash };
    const reading = await this.reader.read(known);
    this.hash = reading.hash;
    this.deps.cache?.save(this.section, decodeJson(reading.body.toString('utf8'), 'not JSON'));
    return reading.proxy;
  }

  /** Waits, or until `close`. */
  private pause(delayMs: number): Promise<void> {
    if (delayMs <= 0 || this.isClosed) return Promise.resolve();
    const { signal } = this.running;
    return new Promise((resolve) => {
      const end = (): void => {
        timer.cancel();
        signal.removeEventListener('abort', end);
        resolve();
      };
      const timer = this.deps.timers.after(delayMs, end);
      signal.addEventListener('abort', end);
    });
  }
}
