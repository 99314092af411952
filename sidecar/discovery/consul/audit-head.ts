import type { Clock } from '../../runtime/time/clock.js';
import type { ChainHead } from '../../telemetry/audit/chain.js';
import type { ConsulAgent } from './client/client.js';
import { AgentError } from './client/response.js';

/** Below it are the keys of a service. */
const prefixOf = (service: string): string => `outrider/audit/${service}/`;
/** The end of the process waits for it. */
const REQUEST = { timeoutMs: 2_000, maxBytes: 64 * 1024 };

/** Whose log it is, and the machine: two may have the same instance name by mistake. */
export interface AuditedSidecar {
  readonly service: string;
  readonly instance: string;
  readonly host: string;
}

/**
 * The end of a sidecar's audit log in Consul's key-value store, where the log itself is not: `outrider/audit/SERVICE/INSTANCE`. Below the
 * service, because a token may write all keys of its service and of no other (`outrider consul policy`).
 */
export class AuditHead {
  /** This process has written it. */
  private isOurs = false;
  private readonly key: string;
  private readonly host: string;

  constructor(
    private readonly agent: ConsulAgent,
    private readonly clock: Clock,
    { service, instance, host }: AuditedSidecar,
  ) {
    this.key = `${prefixOf(service)}${instance}`;
    this.host = host;
  }

  /** Rejects with the reason; where a sidecar of another machine has written the key since, that one goes on. */
  async write({ n, hash }: ChainHead): Promise<void> {
    const { key } = this;
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
