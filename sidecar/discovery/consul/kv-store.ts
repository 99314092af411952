import type { Timer, Timers } from '../../runtime/time/timers.js';
import type { ConsulAgent } from './client/client.js';
import { AgentError, type GetOptions } from './client/response.js';

/** A session that is not renewed for this long is over, and with it leadership and what the replica said. Consul takes 10 s at least. */
const SESSION_TTL_S = 15;
const RENEW_MS = 5_000;
const REQUEST: GetOptions = { timeoutMs: 5_000, maxBytes: 1024 * 1024 };

interface KvEntry {
  readonly Value: string | null;
  readonly ModifyIndex: number;
}

/** Whose store it is. */
export interface KvPlace {
  readonly service: string;
  readonly instance: string;
  /** Name of the machine, which tells another sidecar of the same instance name from an earlier process of this one. */
  readonly host: string;
}

/**
 * What the replicas of a service share, in Consul's key-value store below `outrider/rollout/SERVICE/`: `record`, `leader`,
 * `instances/INSTANCE` and `replicas/INSTANCE`. All but the first belong to a session of this process, and go with it. A leader's write is one transaction:
 * the session still has the lock, and the record is still the one of that ModifyIndex.
 */
export class KvStore {
  private readonly prefix: string;
  private readonly instance: string;
  private readonly host: string;
  private session: string | undefined;
  /** While one is asked for: rollouts and recycling may ask at the same time, and share it. */
  private opening: Promise<string> | undefined;
  private isClosed = false;
  private renewal: Timer | undefined;
  private said = '';
  /** The session that has the name of this instance. */
  private claimed: string | undefined;

  constructor(
    private readonly agent: ConsulAgent,
    private readonly timers: Timers,
    { service, instance, host }: KvPlace,
  ) {
    this.instance = instance;
    this.host = host;
    this.prefix = `outrider/rollout/${encodeURIComponent(service)}`;
  }

  /** For messages and for people. */
  get where(): string {
    return `${this.agent.where} ${this.prefix}/record`;
  }

  /** The record with its ModifyIndex; undefined: there is none. */
  async read(): Promise<{ readonly value: unknown; readonly index: string } | undefined> {
    const [entry] = await this.entries(`/kv/${this.prefix}/record`, {});
    return entry && { value: contentOf(entry), index: String(entry.ModifyIndex) };
  }

  /** Stores the record; false where another process was faster, or leads. `index` undefined: none may be there. */
  async write(value: unknown, index: string | undefined, as: 'leader' | 'command'): Promise<boolean> {
    const cas = Number(index ?? 0);
    if (as === 'command') {
      const answer = await this.agent.put(`/kv/${this.prefix}/record`, { cas: String(cas) }, value, REQUEST);
      return isTrue(answer.body);
    }
    if (this.session === undefined) return false;
    const Value = Buffer.from(JSON.stringify(value)).toString('base64');
    const steps = [
      { KV: { Verb: 'check-session', Key: `${this.prefix}/leader`, Session: this.session } },
      { KV: { Verb: 'cas', Key: `${this.prefix}/record`, Value, Index: cas } },
    ];
    try {
      await this.agent.put('/txn', {}, steps, REQUEST);
      return true;
    } catch (error) {
      // 409: one of the two does not hold any more.
      if (error instanceof AgentError && error.status === 409) return false;
      throw error;
    }
  }

  /** The name of this instance goes with the session. Rejects while a sidecar of another machine has it. */
  async claim(): Promise<void> {
    const acquire = await this.openSession();
    if (this.claimed === acquire) return;
    const path = `/kv/${this.prefix}/instances/${encodeURIComponent(this.instance)}`;
    const answer = await this.agent.put(path, { acquire }, { host: this.host }, REQUEST);
    if (isTrue(answer.body)) {
      this.claimed = acquire;
      return;
    }
    const [entry] = await this.entries(path, {});
    const holder = entry && (contentOf(entry) as { host?: unknown } | undefined)?.host;
    // The process before this one, until its session is over.
    if (holder === undefined || holder === this.host) return;
    throw new Error(
      `a sidecar on ${String(holder)} has the instance name ${this.instance} too; set another \`instance\` on each machine`,
    );
  }

  /** Acquires the lock of the leader with the session of this process. */
  lead(): Promise<boolean> {
    return this.take('leader');
  }

  /** Releases it; where this process does not have it, nothing happens. */
  resign(): Promise<void> {
    return this.give('leader');
  }

  /** Acquires a lock of this name, which goes with the session. */
  async take(lock: string): Promise<boolean> {
    const acquire = await this.openSession();
    const answer = await this.agent.put(`/kv/${this.prefix}/${lock}`, { acquire }, this.instance, REQUEST);
    return isTrue(answer.body);
  }

  /** Releases it; where this process does not have it, nothing happens. */
  async give(lock: string): Promise<void> {
    if (this.session === undefined) return;
    await this.agent.put(`/kv/${this.prefix}/${lock}`, { release: this.session }, this.instance, REQUEST);
  }

  /** Writes what this replica says of itself, where that has changed. */
  async announce(facts: unknown): Promise<void> {
    const text = JSON.stringify(facts);
    const acquire = await this.openSession();
    if (text === this.said) return;
    const path = `/kv/${this.prefix}/replicas/${encodeURIComponent(this.instance)}`;
    const answer = await this.agent.put(path, { acquire }, facts, REQUEST);
    // A key of the process before this one stays its own until its session is over.
    if (isTrue(answer.body)) this.said = text;
  }

  /** What the replicas have said whose sessions live. */
  async received(): Promise<readonly unknown[]> {
    const entries = await this.entries(`/kv/${this.prefix}/replicas/`, { recurse: '' });
    return entries.map(contentOf);
  }

  /** Ends the session, and with it leadership and what the replica has said. */
  async close(): Promise<void> {
    this.isClosed = true;
    this.renewal?.cancel();
    const { session } = this;
    this.session = undefined;
    if (session !== undefined) await this.agent.put(`/session/destroy/${session}`, {}, undefined, REQUEST);
  }

  /** The session of this process; a new one where the last is over. */
  private async openSession(): Promise<string> {
    // A look that was under way at the end must not lead, or have a lock, for as long as the process drains.
    if (this.isClosed) throw new Error('this sidecar takes no part any more');
    if (this.session !== undefined) return this.session;
    this.opening ??= this.createSession().finally(() => {
      this.opening = undefined;
    });
    return this.opening;
  }

  private async createSession(): Promise<string> {
    const wanted = {
      Name: `outrider rollout ${this.instance}`,
      TTL: `${SESSION_TTL_S}s`,
      Behavior: 'delete',
    };
    const answer = await this.agent.put(
      '/session/create',
      {},
      // Leadership is guarded by the check-and-set: nothing has to wait for the one before.
      { ...wanted, LockDelay: '0s' },
      REQUEST,
    );
    const { ID } = JSON.parse(answer.body.toString('utf8')) as { ID: string };
    if (this.isClosed) {
      await this.agent.put(`/session/destroy/${ID}`, {}, undefined, REQUEST);
      throw new Error('this sidecar takes no part any more');
    }
    this.session = ID;
    this.said = '';
    this.renewal?.cancel();
    this.renewal = this.timers.every(RENEW_MS, () => void this.renew(ID), { unref: true });
    return ID;
  }

  /** A session that cannot be renewed is over, or will be; where Consul is away the next renewal may reach it. */
  private async renew(id: string): Promise<void> {
    try {
      await this.agent.put(`/session/renew/${id}`, {}, undefined, REQUEST);
    } catch (error) {
      if (!(error instanceof AgentError) || error.status !== 404 || this.session !== id) return;
      this.session = undefined;
      this.renewal?.cancel();
    }
  }

  private async entries(path: string, query: Readonly<Record<string, string>>): Promise<readonly KvEntry[]> {
    try {
      const answer = await this.agent.get(path, query, REQUEST);
      return JSON.parse(answer.body.toString('utf8')) as KvEntry[];
    } catch (error) {
      if (error instanceof AgentError && error.status === 404) return [];
      throw error;
    }
  }
}

/** Undefined: it is no JSON. */
function contentOf({ Value }: KvEntry): unknown {
  try {
    return JSON.parse(Buffer.from(Value ?? '', 'base64').toString('utf8')) ?? undefined;
  } catch {
    return undefined;
  }
}

function isTrue(body: Buffer): boolean {
  return body.toString('utf8').trim() === 'true';
}
