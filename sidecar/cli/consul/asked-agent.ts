import type { ConsulConfig } from '../../config/model.js';
import { ConsulAgent } from '../../discovery/consul/client/client.js';
import { AgentError, type Answer, type Query } from '../../discovery/consul/client/response.js';
import { agentSettings } from '../../discovery/consul/client/settings.js';
import { systemTimers } from '../../runtime/time/timers.js';
import { CommandFailure, oneLine } from '../failure.js';
import { parsePeerJson } from '../peer-json.js';

const TIMEOUT_MS = 3_000;
const MAX_BYTES = 16 * 1024 * 1024;

/** A Consul agent that a command asks a few questions, with the token and the TLS files of the configuration or the environment. */
export class AskedAgent {
  private constructor(private readonly agent: ConsulAgent) {}

  /**
   * @param address as `CONSUL_HTTP_ADDR` takes it; undefined: that of `said`, else of the environment.
   * @param said the `consul` block of a file.
   * @throws CommandFailure(2) for an address or a file of theirs that makes no sense.
   */
  static open(address: string | undefined, said?: ConsulConfig): AskedAgent {
    const { tls = {}, tokenFile } = said ?? {};
    const config = { address: address ?? said?.address, tls, tokenFile };
    try {
      return new AskedAgent(new ConsulAgent(agentSettings(config, process.env), systemTimers));
    } catch (error) {
      throw new CommandFailure(oneLine(error), 2);
    }
  }

  /** For messages: `http://127.0.0.1:8500`. */
  get where(): string {
    return this.agent.where;
  }

  /** Reads a path below `/v1`. @throws AgentError also for every status but 2xx. */
  get(path: string, query: Query = {}): Promise<Answer> {
    return this.agent.get(path, query, { timeoutMs: TIMEOUT_MS, maxBytes: MAX_BYTES });
  }

  /** The answer as JSON. @throws AgentError, SyntaxError */
  async json(path: string, query: Query = {}): Promise<unknown> {
    return parsePeerJson((await this.get(path, query)).body.toString('utf8'));
  }

  /** The answer as text; empty where there is no such thing (404). @throws AgentError */
  async textIfAny(path: string, query: Query = {}): Promise<string> {
    try {
      return (await this.get(path, query)).body.toString('utf8');
    } catch (error) {
      if (error instanceof AgentError && error.status === 404) return '';
      throw error;
    }
  }

  /** An error of a request in one line that says once which agent it is about. */
  problem(error: unknown): string {
    const why = oneLine(error);
    return why.includes(this.where) ? why : `${this.where}: ${why}`;
  }

  /** The end of a command that can do nothing without the agent, with what to do where none answers. */
  failure(error: unknown): CommandFailure {
    const isAway = error instanceof AgentError && error.fault === 'unreachable';
    const next = isAway ? '; does an agent run there? --consul ADDR or CONSUL_HTTP_ADDR names another' : '';
    return new CommandFailure(`Consul at ${this.problem(error)}${next}`);
  }

  /** Closes the connections. */
  close(): void {
    this.agent.close();
  }
}
