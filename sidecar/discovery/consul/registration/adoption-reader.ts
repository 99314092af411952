import type { AdoptedProxy, ConsulConfig } from '../../../config/model.js';
import {
  AgentError,
  type AgentReader,
  type Answer,
  type GetOptions,
  type Query,
} from '../client/response.js';
import { proxiesOf, readAdoptedProxy } from './adopted-proxy.js';
import { hasServers, NotThere, ServersAway } from './adoption-faults.js';

/** Which registration: by its id, or by the service that it is the one proxy of. */
export type AdoptConfig = NonNullable<ConsulConfig['adopt']>;

/** The registration as the agent has it. */
export interface AdoptionReading {
  readonly proxy: AdoptedProxy;
  /** Of this state of it, as the agent tells it; undefined: the next read cannot be held open. */
  readonly hash: string | undefined;
  /** The answer of the agent: JSON. */
  readonly body: Buffer;
}

/** A registration that has been read before: the agent answers when it has another hash. */
export interface KnownAdoption {
  readonly id: string;
  readonly hash: string;
}

/** How the agent is asked. */
export interface AdoptionReaderOptions {
  /** How long the agent holds a read open while nothing changes, ms. Agents hold none longer than ten minutes. */
  readonly waitMs: number;
  /** Ends what is under way. */
  readonly signal: AbortSignal;
}

/** The agent is on this machine: an answer that takes longer does not come. */
const TIMEOUT_MS = 5_000;
const MAX_BYTES = 4 * 1024 * 1024;
/** Agents do not hold a read longer, and add up to a sixteenth. */
const MAX_WAIT_MS = 600_000;
const WAIT_SLACK = 17 / 16;

/**
 * Asks the agent for the registration of one proxy: finds it, holds the read open where its state is known, and says in the error
 * why it is not there.
 */
export class AdoptionReader {
  private readonly waitMs: number;

  constructor(
    private readonly wanted: AdoptConfig,
    private readonly agent: AgentReader,
    private readonly options: AdoptionReaderOptions,
  ) {
    this.waitMs = Math.min(options.waitMs, MAX_WAIT_MS);
  }

  /**
   * The registration, at once, or where it is known when it has changed.
   * @throws NotThere, ServersAway, AgentError, or an Error of one line for a registration that is no proxy of a service.
   */
  async read(known?: KnownAdoption): Promise<AdoptionReading> {
    const id = this.wanted.proxy ?? known?.id ?? (await this.findProxy());
    const { body, headers } = await this.ask(id, known);
    const proxy = readAdoptedProxy(body);
    if (typeof proxy === 'string') throw new Error(proxy);
    return { proxy, hash: headers['x-consul-contenthash'], body };
  }

  private async ask(id: string, known: KnownAdoption | undefined): Promise<Answer> {
    const { waitMs } = this;
    const query: Query = known === undefined ? {} : { hash: known.hash, wait: `${Math.round(waitMs)}ms` };
    const timeoutMs = known === undefined ? TIMEOUT_MS : waitMs * WAIT_SLACK + TIMEOUT_MS;
    try {
      return await this.get(`/agent/service/${encodeURIComponent(id)}`, query, timeoutMs);
    } catch (error) {
      if (!(error instanceof AgentError) || error.status !== 404) throw error;
      throw new NotThere(
        `the agent has no registration ${JSON.stringify(id)}; expected a connect-proxy of this id`,
      );
    }
  }

  /**
   * The id of the one proxy of the service. With several the choice would be a guess, and each of them may have a process: Consul's
   * own `-sidecar-for` refuses too.
   */
  private async findProxy(): Promise<string> {
    const service = this.wanted.sidecarFor ?? '';
    const { body } = await this.get('/agent/services', {}, TIMEOUT_MS);
    const [id, ...others] = proxiesOf(service, body);
    if (id === undefined && body.toString('utf8').trim() === '{}' && !(await this.hasServers()))
      throw new ServersAway('it lists no service');
    if (id === undefined)
      throw new NotThere(`the agent has no proxy of the service with the id ${JSON.stringify(service)}`);
    if (others.length > 0)
      throw new NotThere(
        `the agent has several proxies of the service with the id ${JSON.stringify(service)}: ${[id, ...others].join(', ')}; expected one of these as adopt.proxy`,
      );
    return id;
  }

  /** @throws ServersAway for a refusal by an agent that cannot know better. */
  private async get(path: string, query: Query, timeoutMs: number): Promise<Answer> {
    try {
      return await this.agent.get(path, query, this.bounds(timeoutMs));
    } catch (error) {
      const isRefusal = error instanceof AgentError && error.status === 403;
      if (isRefusal && !(await this.hasServers())) throw new ServersAway(error.message);
      throw error;
    }
  }

  private hasServers(): Promise<boolean> {
    return hasServers(this.agent, this.bounds(TIMEOUT_MS));
  }

  private bounds(timeoutMs: number): GetOptions {
    return { timeoutMs, maxBytes: MAX_BYTES, signal: this.options.signal };
  }
}
