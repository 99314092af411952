/**
 * Consul's servers: what is in the catalogue, the intentions, and the index of each change. Shares no code with the product:
 * it is written after Consul 1.8 as it documents and shows itself.
 */
import type { ManualClock } from '../../../kit/time/manual-clock.js';

export type CheckStatus = 'passing' | 'warning' | 'critical';

/** A service as an agent has registered it. */
export interface ServiceEntry {
  readonly node: string;
  readonly id: string;
  readonly name: string;
  /** Of a connect proxy: the service it speaks for. */
  readonly destination: string;
  readonly content: Readonly<Record<string, unknown>>;
}

export interface CheckEntry {
  readonly node: string;
  readonly id: string;
  readonly name: string;
  /** Empty: of the node. */
  readonly service: string;
  readonly status: CheckStatus;
  readonly output: string;
  readonly notes: string;
  readonly type: string;
}

export interface Intention {
  readonly source: string;
  readonly destination: string;
  readonly action: 'allow' | 'deny';
  /** It allows by permissions. */
  readonly isByPath?: boolean;
}

/** One state of all. A change makes another. */
export interface Tables {
  /** Of the last change. */
  readonly index: number;
  /** Addresses by name. */
  readonly nodes: ReadonlyMap<string, string>;
  readonly services: ReadonlyMap<string, ServiceEntry & { readonly index: number }>;
  readonly checks: ReadonlyMap<string, CheckEntry & { readonly index: number }>;
  readonly intentions: readonly Intention[];
  readonly intentionIndex: number;
  /** Index of the last change of a service: instances, their checks, the checks of their nodes. */
  readonly serviceIndex: ReadonlyMap<string, number>;
  /** When a service lost its last instance. */
  readonly extinctionIndex: number;
  /** Values with their ModifyIndex and the session that has them. */
  readonly keys: ReadonlyMap<string, KeyEntry>;
}

export interface KeyEntry {
  /** In base64. */
  readonly value: string;
  readonly index: number;
  readonly session: string;
}

/** Consul's order of intentions: exact names before wildcards, of the destination first. */
export function precedenceOf({ source, destination }: Intention): number {
  return destination === '*' ? (source === '*' ? 5 : 6) : source === '*' ? 8 : 9;
}

const FIRST_INDEX = 20;
const RESTART_MS = 1_500;
/** States that a server which lags behind can still have. */
const MOST_STATES = 400;

export class ConsulServers {
  /** False: no server leads, and whatever needs one fails. */
  hasLeader = true;
  /** The token of the sidecars may read and write. */
  hasRights = true;
  defaultPolicy: 'allow' | 'deny' = 'deny';
  /** Called after each change. */
  private readonly listeners = new Set<() => void>();
  /** Called when the state was replaced by an older one: whoever waits is answered. */
  private readonly abandoned = new Set<() => void>();
  private readonly history: { readonly atMs: number; readonly tables: Tables }[] = [];
  private sessions = 0;
  private restartedMs = Number.NEGATIVE_INFINITY;
  private readonly sessionOf = new Map<
    string,
    { untilMs: number; readonly ttlMs: number; readonly node: string; readonly name: string }
  >();

  constructor(
    private readonly clock: ManualClock,
    private readonly note: (line: string) => void,
  ) {
    this.history.push({ atMs: clock.now(), tables: EMPTY });
  }

  /** They have just come up, and elect a leader: nothing can be read. */
  get isRestarting(): boolean {
    return this.clock.now() - this.restartedMs < RESTART_MS;
  }

  get tables(): Tables {
    return this.history.at(-1)!.tables;
  }

  /** The state as it was so long ago. */
  tablesBefore(lagMs: number): Tables {
    const atMs = this.clock.now() - lagMs;
    for (let i = this.history.length - 1; i > 0; i--)
      if (this.history[i]!.atMs <= atMs) return this.history[i]!.tables;
    return this.history[0]!.tables;
  }

  watch(onChange: () => void, onAbandoned: () => void): () => void {
    this.listeners.add(onChange);
    this.abandoned.add(onAbandoned);
    return () => {
      this.listeners.delete(onChange);
      this.abandoned.delete(onAbandoned);
    };
  }

  later(afterMs: number, fn: () => void): void {
    this.clock.after(afterMs, fn);
  }

  // ---- changes ----

  setNode(node: string, address: string, status: CheckStatus): void {
    const alive = status === 'passing';
    this.change(`node ${node} ${status}`, (draft) => {
      draft.nodes.set(node, address);
      const output = alive ? 'Agent alive and reachable' : 'Agent not live or unreachable';
      const check = { node, id: 'serfHealth', name: 'Serf Health Status', service: '', status, output };
      putCheck(draft, { ...check, notes: '', type: '' });
    });
    if (alive) return;
    for (const [id, session] of this.sessionOf) if (session.node === node) this.endSession(id);
  }

  setService(entry: ServiceEntry): void {
    const known = this.tables.services.get(`${entry.node} ${entry.id}`);
    if (known !== undefined && JSON.stringify(known.content) === JSON.stringify(entry.content)) return;
    this.change(`service ${entry.node} ${entry.id}`, (draft) => {
      draft.services.set(`${entry.node} ${entry.id}`, { ...entry, index: draft.index });
      draft.touch(entry.name);
    });
  }

  setCheck(entry: CheckEntry): void {
    const known = this.tables.checks.get(`${entry.node} ${entry.id}`);
    if (known !== undefined && known.status === entry.status && known.output === entry.output) return;
    this.change(`check ${entry.node} ${entry.id} ${entry.status}`, (draft) => putCheck(draft, entry));
  }

  removeCheck(node: string, id: string): void {
    const known = this.tables.checks.get(`${node} ${id}`);
    if (known === undefined) return;
    this.change(`check ${node} ${id} is gone`, (draft) => {
      draft.checks.delete(`${node} ${id}`);
      draft.touchOf(known);
    });
  }

  removeService(node: string, id: string): void {
    const known = this.tables.services.get(`${node} ${id}`);
    if (known === undefined) return;
    this.change(`service ${node} ${id} is gone`, (draft) => {
      draft.services.delete(`${node} ${id}`);
      for (const [key, check] of draft.checks)
        if (check.node === node && check.service === id) draft.checks.delete(key);
      draft.touch(known.name);
    });
  }

  setIntention(intention: Intention): void {
    const { source, destination, action } = intention;
    this.change(`intention ${source} → ${destination} ${action}`, (draft) => {
      draft.intentions = [...draft.intentions.filter((each) => !isSame(each, intention)), intention];
      draft.intentionIndex = draft.index;
    });
  }

  removeIntention(intention: Pick<Intention, 'source' | 'destination'>): void {
    this.change(`intention ${intention.source} → ${intention.destination} is gone`, (draft) => {
      draft.intentions = draft.intentions.filter((each) => !isSame(each, intention));
      draft.intentionIndex = draft.index;
    });
  }

  /** The servers come up from an old snapshot: no service is in it, and indexes count from before. Intentions are kept. */
  loseState(): void {
    const { intentions, nodes } = this.tables;
    this.note('consul: the servers have lost their state');
    this.restartedMs = this.clock.now();
    this.history.splice(0);
    const index = FIRST_INDEX;
    const base = { ...EMPTY, index, nodes, intentions, intentionIndex: index, extinctionIndex: index };
    this.history.push({ atMs: this.clock.now(), tables: base });
    for (const wake of [...this.abandoned]) wake();
  }

  // ---- keys ----

  openSession(ttlMs: number, node: string, name: string): string {
    const id = `00000000-0000-4000-8000-${String(++this.sessions).padStart(12, '0')}`;
    this.sessionOf.set(id, { ttlMs, untilMs: 0, node, name });
    this.renewSession(id);
    return id;
  }

  renewSession(id: string): boolean {
    const session = this.sessionOf.get(id);
    if (session === undefined) return false;
    // Consul ends a session between once and twice its TTL.
    session.untilMs = this.clock.now() + session.ttlMs * 1.5;
    const { untilMs } = session;
    this.clock.after(session.ttlMs * 1.5, () => {
      if (this.sessionOf.get(id)?.untilMs === untilMs) this.endSession(id);
    });
    return true;
  }

  endSession(id: string): void {
    if (!this.sessionOf.delete(id)) return;
    this.change(`session ${id} is over`, (draft) => {
      for (const [key, entry] of draft.keys) if (entry.session === id) draft.keys.delete(key);
    });
  }

  /** The machine and the TTL of a session. */
  sessionAt(
    id: string,
  ): { readonly node: string; readonly ttlMs: number; readonly name: string } | undefined {
    return this.sessionOf.get(id);
  }

  hasSession(id: string): boolean {
    return this.sessionOf.has(id);
  }

  setKey(key: string, value: string, session?: string): void {
    this.change(`key ${key}`, (draft) => {
      const holder = session ?? draft.keys.get(key)?.session ?? '';
      draft.keys.set(key, { value, index: draft.index, session: holder });
    });
  }

  releaseKey(key: string): void {
    const known = this.tables.keys.get(key);
    if (known === undefined) return;
    this.change(`key ${key} is free`, (draft) => {
      draft.keys.set(key, { ...known, session: '', index: draft.index });
    });
  }

  private change(what: string, make: (draft: Draft) => void): void {
    const draft = new Draft(this.tables);
    make(draft);
    this.note(`consul ${draft.index}: ${what}`);
    this.history.push({ atMs: this.clock.now(), tables: draft.done() });
    if (this.history.length > MOST_STATES) this.history.shift();
    for (const wake of [...this.listeners]) wake();
  }
}

const EMPTY: Tables = {
  index: FIRST_INDEX,
  nodes: new Map(),
  services: new Map(),
  checks: new Map(),
  intentions: [],
  intentionIndex: 1,
  serviceIndex: new Map(),
  extinctionIndex: 0,
  keys: new Map(),
};

/** The next state while it is made. */
class Draft {
  readonly index: number;
  readonly nodes: Map<string, string>;
  readonly services: Map<string, ServiceEntry & { readonly index: number }>;
  readonly checks: Map<string, CheckEntry & { readonly index: number }>;
  readonly keys: Map<string, KeyEntry>;
  intentions: readonly Intention[];
  intentionIndex: number;
  private readonly serviceIndex: Map<string, number>;
  private extinctionIndex: number;

  constructor(before: Tables) {
    this.index = before.index + 1;
    this.nodes = new Map(before.nodes);
    this.services = new Map(before.services);
    this.checks = new Map(before.checks);
    this.keys = new Map(before.keys);
    this.intentions = before.intentions;
    this.intentionIndex = before.intentionIndex;
    this.serviceIndex = new Map(before.serviceIndex);
    this.extinctionIndex = before.extinctionIndex;
  }

  /** A service has changed. One without instances has no index any more. */
  touch(name: string): void {
    if ([...this.services.values()].some((each) => each.name === name)) {
      this.serviceIndex.set(name, this.index);
      return;
    }
    this.serviceIndex.delete(name);
    this.extinctionIndex = this.index;
  }

  /** A check has changed: that of a node concerns all of its services. */
  touchOf({ node, service }: CheckEntry): void {
    for (const each of this.services.values())
      if (each.node === node && (service === '' || each.id === service)) this.touch(each.name);
  }

  done(): Tables {
    return {
      index: this.index,
      nodes: this.nodes,
      services: this.services,
      checks: this.checks,
      intentions: this.intentions,
      intentionIndex: this.intentionIndex,
      serviceIndex: this.serviceIndex,
      extinctionIndex: this.extinctionIndex,
      keys: this.keys,
    };
  }
}

function putCheck(draft: Draft, entry: CheckEntry): void {
  draft.checks.set(`${entry.node} ${entry.id}`, { ...entry, index: draft.index });
  draft.touchOf(entry);
}

function isSame(one: Pick<Intention, 'source' | 'destination'>, other: typeof one): boolean {
  return one.source === other.source && one.destination === other.destination;
}
