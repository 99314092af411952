import type { Clock } from '../../runtime/time/clock.js';
import type { ChainHead } from '../../telemetry/audit/chain.js';
import type { ConsulAgent } from './client/client.js';
import { AgentError } from './client/response.js';

const AUDIT_KEYS = 'outrider/audit/';
/** The end of the process waits for it. */
const REQUEST = { timeoutMs: 2_000, maxBytes: 64 * 1024 };

/** The end of a sidecar's audit log in Consul's key-value store, where the log itself is not: `outrider/audit/INSTANCE`. */
export class AuditHead {
  /** This process has written it. */
  private isOurs = false;

  /** @param host name of this machine: two may have the same instance name by mistake. */
  constructor(
    private readonly agent: ConsulAgent,
    private readonly clock: Clock,
    private readonly host: string,
  ) {}

  /** Rejects with the reason; where a sidecar of another machine has written the key since, that one goes on. */
  async write(instance: string, { n, hash }: ChainHead): Promise<void> {
    const key = `${AUDIT_KEYS}${instance}`;
    // The first one that is found may be of a machine that this instance has moved from.
    const writer = this.isOurs ? await this.writerOf(key) : undefined;
    if (writer !== undefined && writer !== this.host)
      throw new Error(`a sidecar on ${writer} writes ${key} too; set another \`instance\` on each machine`);
    const at = new Date(this.clock.wallNow()).toISOString();
    await this.agent.setKey(key, JSON.stringify({ n, hash, at, host: this.host }), REQUEST);
    this.isOurs = true;
  }

  /** Undefined: there is no such key, or it does not say. */
  private async writerOf(key: string): Promise<string | undefined> {
    try {
      const { body } = await this.agent.get(`/kv/${key}`, { raw: '' }, REQUEST);
      const { host } = JSON.parse(body.toString('utf8')) as { host?: unknown };
      return typeof host === 'string' ? host : undefined;
    } catch (error) {
      if (error instanceof SyntaxError || (error instanceof AgentError && error.status === 404))
        return undefined;
      throw error;
    }
  }
}
