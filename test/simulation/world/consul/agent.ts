/**
 * Consul's agent on one machine, as sidecars ask it over the simulated network: what they register with it, and what it reads
 * from the servers for them. It can be away, hang, forget, lose the servers, and lag behind.
 */
import { type Dice, hashOf } from '../../dice.js';
import { SimServer, type SimSocket } from '../sim-net.js';
import { SimProcess } from '../sim-process.js';
import { chainOf, healthOf, intentionsOf, isAllowed, matchOf, selfOf, taggedOf } from './answers.js';
import { durationMs } from './duration.js';
import { type HttpAnswer, HttpConnection, type HttpRequest } from './http.js';
import { keyAnswer } from './keys.js';
import type { CheckStatus, ConsulServers, Tables } from './servers.js';

type Json = Readonly<Record<string, unknown>>;

interface LocalCheck {
  readonly id: string;
  readonly name: string;
  readonly service: string;
  readonly notes: string;
  readonly ttlMs: number;
  /** Service whose checks it stands for; empty: none. */
  readonly alias: string;
  status: CheckStatus;
  output: string;
  /** The TTL runs anew from each update. */
  updates: number;
}

/** What a read of the servers brings. */
interface Found {
  readonly index: number;
  readonly body: unknown;
  readonly status?: number;
}

interface Held {
  readonly look: (isOver: boolean) => void;
  readonly connection: HttpConnection;
}

const PORT = 8_500;
/** Id of the check of a service in maintenance, before that of the service. */
const MAINTENANCE = '_service_maintenance:';
const DEFAULT_WAIT_MS = 300_000;
const MOST_WAIT_MS = 600_000;
/** After a failure to tell the servers. */
const RETRY_SYNC_MS = 15_000;
const DENIED: HttpAnswer = { status: 403, headers: {}, body: 'Permission denied' };
const OF_SERVERS = ['health', 'discovery-chain', 'config', 'connect', 'catalog', 'kv', 'session', 'txn'];

export class ConsulAgent {
  process: SimProcess;
  /** It cannot reach any server; a fault. */
  isCutOff = false;
  /** What it reads is so old; a fault. */
  lagMs = 0;
  /** An answer leaves it up to so long after it has been made; a fault. */
  slowMs = 0;
  /** Only answers to reads that wait for nothing do. */
  isQuickToTell = false;
  /** It keeps nothing over its end. */
  forgets = false;
  /** In files of its configuration, which outlive it. */
  private readonly configured = new Map<string, Json>();
  private services = new Map<string, Json>();
  private checks = new Map<string, LocalCheck>();
  private readonly held = new Set<Held>();
  private readonly waiting = new Map<string, Set<() => void>>();
  private isSyncing = false;
  private starts = 0;
  private endWatch: () => void = () => {};

  constructor(
    /** Of the machine. */
    readonly node: string,
    /** Address of the machine. */
    readonly address: string,
    private readonly servers: ConsulServers,
    private readonly world: ConstructorParameters<typeof SimProcess>[2],
    private readonly dice: Dice,
  ) {
    this.process = this.start();
  }

  get where(): string {
    return `${this.address}:${PORT}`;
  }

  /** Starts the process, again after a kill. */
  start(): SimProcess {
    this.starts++;
    const process = new SimProcess(
      `consul of ${this.node}`,
      this.node,
      this.world,
      this.dice.of(this.starts),
    );
    this.process = process;
    this.isSyncing = false;
    if (this.forgets) {
      this.services = new Map();
      this.checks = new Map();
      for (const definition of this.configured.values()) this.take(definition);
    }
    const server = new SimServer(this.world.net, process, (socket) => {
      new HttpConnection(
        socket as unknown as SimSocket,
        (request, connection) => this.onRequest(request, connection),
        (connection) => this.leave(connection),
      );
    });
    server.listen({ host: this.address, port: PORT });
    const wake = (isOver: boolean): void => {
      const look = (): void => {
        for (const each of [...this.held]) each.look(isOver);
      };
      process.after(this.lagMs + this.rpcMs(), look);
    };
    this.endWatch = this.servers.watch(
      () => wake(false),
      () => {
        wake(true);
        // What the servers have lost, each agent tells them again, when it compares.
        process.after(1_000 + this.dice.next() * 5_000, () => this.sync());
      },
    );
    for (const check of this.checks.values()) this.armTtl(check);
    // The others hear of it by gossip.
    process.after(100 + this.dice.next() * 500, () => this.join());
    return process;
  }

  private join(): void {
    this.servers.setNode(this.node, this.address, 'passing');
    this.sync();
  }

  /** SIGKILL. The others notice it after some seconds. */
  kill(): void {
    const { process } = this;
    process.kill();
    this.endWatch();
    this.held.clear();
    this.waiting.clear();
    this.world.clock.after(2_000 + this.dice.next() * 4_000, () => {
      if (this.process === process) this.servers.setNode(this.node, this.address, 'critical');
    });
  }

  /** Every connection breaks. */
  breakConnections(): void {
    for (const socket of [...this.process.sockets]) socket.break();
  }

  // ---- what an operator does ----

  /** A file of its configuration says it. */
  configure(definition: Json): void {
    this.configured.set(String(definition['ID']), definition);
    this.register(definition);
  }

  private register(definition: Json): void {
    this.changed(this.take(definition));
  }

  private take(definition: Json): string {
    const id = String(definition['ID']);
    this.services.set(id, definition);
    for (const each of (definition['Checks'] as Json[] | undefined) ?? []) this.addCheck(id, each);
    return id;
  }

  deregister(id: string): boolean {
    this.configured.delete(id);
    if (!this.services.delete(id)) return false;
    for (const [key, check] of this.checks) if (check.service === id) this.checks.delete(key);
    this.changed(id);
    return true;
  }

  /** `consul maint` on a service. */
  maintain(service: string, isOn: boolean): void {
    const id = MAINTENANCE + service;
    if (isOn)
      this.checks.set(id, {
        ...{ id, name: 'Service Maintenance Mode', service, notes: 'by an operator', ttlMs: 0, alias: '' },
        ...{ status: 'critical', output: '', updates: 0 },
      });
    else this.checks.delete(id);
    this.changed(service);
  }

  // ---- local state ----

  private addCheck(service: string, definition: Json): void {
    const id = String(definition['CheckID']);
    const known = this.checks.get(id);
    const check: LocalCheck = {
      id,
      name: String(definition['Name'] ?? ''),
      service,
      notes: String(definition['Notes'] ?? ''),
      ttlMs: durationMs(String(definition['TTL'] ?? '0s')),
      alias: String(definition['AliasService'] ?? ''),
      status: known?.status ?? (definition['Status'] as CheckStatus | undefined) ?? 'critical',
      output: known?.output ?? '',
      updates: (known?.updates ?? 0) + 1,
    };
    this.checks.set(id, check);
    this.armTtl(check);
  }

  private armTtl(check: LocalCheck): void {
    if (check.ttlMs === 0) return;
    const { updates } = check;
    this.process.after(check.ttlMs, () => {
      if (this.checks.get(check.id) !== check || check.updates !== updates) return;
      check.status = 'critical';
      check.output = 'TTL expired';
      this.changed(check.service);
    });
  }

  private changed(service: string): void {
    for (const check of this.checks.values()) if (check.alias !== '') this.followAlias(check);
    for (const wake of this.waiting.get(service) ?? []) wake();
    this.sync();
  }

  private followAlias(check: LocalCheck): void {
    const of = [...this.checks.values()].filter(({ service }) => service === check.alias);
    const worst =
      of.find(({ status }) => status === 'critical') ?? of.find(({ status }) => status === 'warning');
    check.status = worst?.status ?? 'passing';
    check.output =
      worst === undefined ? 'All checks passing.' : `Aliased check "${worst.name}" failing: ${worst.output}`;
  }

  /** Tells the servers what is different here; they are wrong about what an agent does not have. */
  private sync(): void {
    if (this.isSyncing) return;
    this.isSyncing = true;
    this.process.after(this.rpcMs(), () => {
      this.isSyncing = false;
      const { servers, node } = this;
      if (this.isCutOff || !servers.hasLeader || !servers.hasRights)
        return void this.process.after(RETRY_SYNC_MS * (0.5 + this.dice.next() / 2), () => this.sync());
      for (const each of servers.tables.services.values())
        if (each.node === node && !this.services.has(each.id)) servers.removeService(node, each.id);
      for (const [id, definition] of this.services)
        servers.setService({
          node,
          id,
          name: String(definition['Name']),
          destination: String((definition['Proxy'] as Json | undefined)?.['DestinationServiceName'] ?? ''),
          content: definition,
        });
      for (const each of servers.tables.checks.values())
        if (each.node === node && each.service !== '' && !this.checks.has(each.id))
          servers.removeCheck(node, each.id);
      for (const { id, name, service, status, output, notes, alias } of this.checks.values())
        servers.setCheck({
          node,
          id,
          name,
          service,
          status,
          output,
          notes,
          type: typeOf({ id, alias }),
        });
    });
  }

  private rpcMs(): number {
    return 0.2 + this.dice.next() * 2;
  }

  // ---- requests ----

  private onRequest(request: HttpRequest, connection: HttpConnection): void {
    const { path, query } = request;
    const [, kind = '', ...rest] = path;
    const { servers } = this;
    const needsServers = OF_SERVERS.includes(kind);
    if (!needsServers) return this.own(request, connection, rest);
    if (this.isCutOff) return this.later(connection, { ...FAULT, body: 'No known Consul servers' });
    const isStale = query.has('stale');
    if (servers.isRestarting || (!servers.hasLeader && !(isStale && request.method === 'GET')))
      return this.later(connection, LEADERLESS);
    const tables = (): Tables =>
      isStale && this.lagMs > 0 ? servers.tablesBefore(this.lagMs) : servers.tables;
    const read = this.reader(kind, rest, query);
    if (read !== undefined) return this.hold(connection, query, () => read(tables()));
    if (!servers.hasRights) return this.later(connection, DENIED);
    this.later(connection, keyAnswer(servers, this.node, request));
  }

  /** What a read looks at in the tables; undefined: no such read. */
  private reader(
    kind: string,
    [first = '', second = '']: readonly string[],
    query: HttpRequest['query'],
  ): ((tables: Tables) => Found | HttpAnswer) | undefined {
    const { servers } = this;
    const denied = (tables: Tables): HttpAnswer => ({
      ...DENIED,
      headers: kind === 'discovery-chain' ? { 'X-Consul-Index': `${tables.intentionIndex}` } : {},
    });
    const refused = (make: (tables: Tables) => Found | HttpAnswer) => (tables: Tables) =>
      servers.hasRights ? make(tables) : denied(tables);
    switch (`${kind} ${kind === 'health' || kind === 'connect' ? first : ''}`.trim()) {
      case 'health connect':
      case 'health service':
        return (tables) => healthOf(tables, second, first === 'connect', servers.hasRights);
      case 'discovery-chain':
        return refused((tables) => ({ index: tables.intentionIndex, body: chainOf(first) }));
      case 'config':
        return refused((tables) => ({
          ...{ index: tables.intentionIndex, status: 404 },
          body: `Config entry not found for "${first}" / "${second}"`,
        }));
      case 'connect intentions':
        if (second === 'match') return refused((tables) => plain(matchOf(tables, query.get('name') ?? '')));
        if (second === 'check')
          return refused((tables) => {
            const [source = '', destination = ''] = [query.get('source'), query.get('destination')];
            return plain({ Allowed: isAllowed(tables, source, destination, servers.defaultPolicy) });
          });
        return (tables) => ({
          index: tables.intentionIndex,
          body: servers.hasRights ? intentionsOf(tables, query.get('filter') ?? '') : [],
        });
      default:
        return undefined;
    }
  }

  /** Answers when the index is above the one that was asked for, or after the wait. */
  private hold(
    connection: HttpConnection,
    query: HttpRequest['query'],
    read: () => Found | HttpAnswer,
  ): void {
    const asked = Number(query.get('index') ?? 0);
    const wait = query.get('wait');
    const waitMs = Math.min(MOST_WAIT_MS, wait === undefined ? DEFAULT_WAIT_MS : durationMs(wait));
    let timer: { cancel(): void } | undefined;
    const held: Held = {
      connection,
      look: (isOver) => {
        const found = read();
        if (!('headers' in found) && asked > 0 && found.index <= asked && !isOver) return;
        timer?.cancel();
        this.held.delete(held);
        const answer = 'headers' in found ? found : answerOf(found);
        if (this.isQuickToTell && query.has('index')) connection.answer(answer);
        else this.send(connection, answer);
      },
    };
    this.process.after(this.rpcMs(), () => {
      if (this.servers.isRestarting) return connection.answer(LEADERLESS);
      this.held.add(held);
      timer = this.process.after(waitMs * (1 + this.dice.next() / 16), () => held.look(true));
      held.look(asked === 0);
    });
  }

  private leave(connection: HttpConnection): void {
    for (const each of this.held) if (each.connection === connection) this.held.delete(each);
  }

  private later(connection: HttpConnection, answer: HttpAnswer): void {
    this.process.after(this.rpcMs(), () => this.send(connection, answer));
  }

  private send(connection: HttpConnection, answer: HttpAnswer): void {
    if (this.slowMs === 0) return connection.answer(answer);
    this.process.after(this.dice.next() * this.slowMs, () => connection.answer(answer));
  }

  /** What the agent answers by itself. */
  private own(request: HttpRequest, connection: HttpConnection, path: readonly string[]): void {
    const { method, query, body } = request;
    const [what = '', verb = '', id = ''] = path;
    const json = (value: unknown): HttpAnswer => ({ status: 200, headers: {}, body: JSON.stringify(value) });
    const { hasRights } = this.servers;
    // Lists leave out what may not be read, and look complete.
    const isList = method === 'GET' && ['services', 'checks', 'members'].includes(what);
    if (!hasRights && !isList) return this.later(connection, this.denial(request, path));
    if (what === 'self') return this.later(connection, json(selfOf(this.node, this.servers.defaultPolicy)));
    if (what === 'members') return this.later(connection, json(hasRights ? [{ Name: this.node }] : []));
    if (what === 'services') {
      const own = [...this.services].map(([key, definition]) => [key, serviceOf(definition)] as const);
      const filtered = own.filter(([key]) => hasRights && passes(query.get('filter'), 'ID', key));
      return this.later(connection, json(Object.fromEntries(filtered)));
    }
    if (what === 'checks') {
      const own = [...this.checks.values()].filter(
        ({ service }) => hasRights && passes(query.get('filter'), 'ServiceID', service),
      );
      const shown = own.map((each) => [each.id, checkOf(this.node, each, this.services.get(each.service))]);
      return this.later(connection, json(Object.fromEntries(shown)));
    }
    if (what === 'service' && verb === 'register') {
      this.register(JSON.parse(body) as Json);
      return this.later(connection, { status: 200, headers: {}, body: '' });
    }
    if (what === 'service' && verb === 'deregister') {
      const isThere = this.deregister(id);
      const gone = { status: 500, headers: {}, body: `Unknown service {"${id}" {}}` };
      return this.later(connection, isThere ? { status: 200, headers: {}, body: '' } : gone);
    }
    if (what === 'service') return this.serviceRead(connection, query, verb);
    if (what === 'check' && verb === 'update') return this.update(connection, id, JSON.parse(body) as Json);
    this.later(connection, { status: 404, headers: {}, body: '' });
  }

  /** With what was missing, where it was asked to change something. */
  private denial({ method, body }: HttpRequest, [what, verb, id = '']: readonly string[]): HttpAnswer {
    if (method !== 'PUT' || (what !== 'service' && what !== 'check')) return DENIED;
    const service = verb === 'update' ? (this.checks.get(id)?.service ?? '') : id;
    const definition = verb === 'register' ? (JSON.parse(body) as Json) : this.services.get(service);
    return {
      ...DENIED,
      body: `Permission denied: Missing service:write on ${String(definition?.['Name'] ?? '')}`,
    };
  }

  private update(connection: HttpConnection, id: string, { Status, Output }: Json): void {
    const check = this.checks.get(id);
    if (check === undefined) return this.later(connection, { ...FAULT, body: `Unknown check "${id}"` });
    if (check.ttlMs === 0)
      return this.later(connection, { ...FAULT, body: `CheckID "${id}" does not have associated TTL` });
    check.updates++;
    const isOther = check.status !== Status;
    check.status = Status as CheckStatus;
    check.output = String(Output ?? '');
    this.armTtl(check);
    // Another output of the same status is told minutes later (`check_update_interval`).
    if (isOther) this.changed(check.service);
    this.later(connection, { status: 200, headers: {}, body: '' });
  }

  /** Held open while the definition is the one with this hash. */
  private serviceRead(connection: HttpConnection, query: HttpRequest['query'], id: string): void {
    const answer = (): HttpAnswer => {
      const definition = this.services.get(id);
      if (definition === undefined) return { status: 404, headers: {}, body: `unknown service ID: ${id}` };
      const hash = contentHash(definition);
      return {
        status: 200,
        headers: { 'X-Consul-ContentHash': hash },
        body: JSON.stringify({ ...serviceOf(definition), ContentHash: hash }),
      };
    };
    const asked = query.get('hash');
    const definition = this.services.get(id);
    if (asked === undefined || definition === undefined || contentHash(definition) !== asked)
      return this.later(connection, answer());
    const waitMs = Math.min(MOST_WAIT_MS, durationMs(query.get('wait') ?? `${DEFAULT_WAIT_MS}ms`));
    const all = this.waiting.get(id) ?? new Set();
    this.waiting.set(id, all);
    const look = (isOver: boolean): void => {
      const now = this.services.get(id);
      if (!isOver && now !== undefined && contentHash(now) === asked) return;
      timer.cancel();
      all.delete(wake);
      this.later(connection, answer());
    };
    const wake = (): void => look(false);
    const timer = this.process.after(waitMs, () => look(true));
    all.add(wake);
  }
}

const FAULT = { status: 500, headers: {} } as const;
const LEADERLESS: HttpAnswer = { ...FAULT, body: 'rpc error making call: No cluster leader' };

function plain(value: unknown): HttpAnswer {
  return { status: 200, headers: {}, body: JSON.stringify(value) };
}

function answerOf({ index, body, status = 200 }: Found): HttpAnswer {
  return {
    status,
    headers: {
      'X-Consul-Index': `${Math.max(1, index)}`,
      'X-Consul-Knownleader': 'true',
      'X-Consul-Lastcontact': '0',
    },
    body: status === 200 ? JSON.stringify(body) : String(body),
  };
}

/** As the agent lists a service. */
function serviceOf({ Name, Checks: _, ...rest }: Json): Json {
  return { ...rest, Service: Name, EnableTagOverride: false, TaggedAddresses: taggedOf(rest) };
}

function checkOf(
  node: string,
  { id, name, status, notes, output, service, alias }: LocalCheck,
  definition: Json | undefined,
): Json {
  const what = { Node: node, CheckID: id, Name: name, Status: status, Notes: notes, Output: output };
  const of = {
    ServiceID: service,
    ServiceName: definition?.['Name'] ?? '',
    ServiceTags: definition?.['Tags'] ?? [],
  };
  return { ...what, ...of, Type: typeOf({ id, alias }), Definition: {}, CreateIndex: 0, ModifyIndex: 0 };
}

function typeOf({ id, alias }: Pick<LocalCheck, 'id' | 'alias'>): string {
  if (id.startsWith(MAINTENANCE)) return 'maintenance';
  return alias === '' ? 'ttl' : 'alias';
}

function contentHash(definition: Json): string {
  return hashOf(JSON.stringify(definition)).toString(16);
}

/** `FIELD == "VALUE" or …`: the part of Consul's filters that sidecars use. */
export function passes(filter: string | undefined, field: string, value: string): boolean {
  if (filter === undefined || filter === '') return true;
  return filter.split(' or ').some((term) => {
    const [, name, wanted] = /^(\w+) == ["`](.*)["`]$/.exec(term.trim()) ?? [];
    return name === field && wanted === value;
  });
}
