/**
 * The real data plane on a manual clock and a network in memory: listeners, pools and calls as in production, scripted
 * endpoints behind them and scripted callers before them. `run` is one or more whole turns of the event loop.
 */
import assert from 'node:assert/strict';
import type net from 'node:net';
import type { Cluster } from '../../../sidecar/cluster/cluster.js';
import { makeCluster } from '../../../sidecar/cluster/membership.js';
import { labelOf } from '../../../sidecar/config/codecs/address.js';
import type * as configs from '../../../sidecar/config/model.js';
import type { Address, InboundConfig, RouteConfig, UpstreamConfig } from '../../../sidecar/config/model.js';
import { present } from '../../../sidecar/config/present.js';
import type { MemoryReading } from '../../../sidecar/core/admission/memory-pressure.js';
import { IntentionTable } from '../../../sidecar/core/authorization/intentions.js';
import { PoisonTable } from '../../../sidecar/core/retry/poison-table.js';
import { UpstreamFailures } from '../../../sidecar/core/retry/upstream-failures.js';
import { HealthChecker } from '../../../sidecar/health/endpoints/checker.js';
import { DEFAULT_LOCAL_SETTINGS } from '../../../sidecar/http2/settings.js';
import { Caller as Identity } from '../../../sidecar/inbound/caller.js';
import type { ModelBackend } from '../../../sidecar/inbound/model-backend.js';
import type { ModelInstance } from '../../../sidecar/inbound/model-instance.js';
import { Inbound } from '../../../sidecar/inbound.js';
import type { WakeFacts } from '../../../sidecar/outbound/cold-start.js';
import { Outbound } from '../../../sidecar/outbound.js';
import type { Logger } from '../../../sidecar/runtime/log/logger.js';
import { TimingWheel } from '../../../sidecar/runtime/time/timing-wheel.js';
import type { AuditKindName } from '../../../sidecar/telemetry/audit/trail.js';
import { StatsRegistry } from '../../../sidecar/telemetry/call-stats.js';
import { containmentOf, type DataPlaneContext } from '../../../sidecar/transport/context.js';
import { FlushScheduler } from '../../../sidecar/transport/flush-scheduler.js';
import { Listener } from '../../../sidecar/transport/listener.js';
import { MemoryBudget } from '../../../sidecar/transport/memory-budget.js';
import { SYSTEM_NETWORK } from '../../../sidecar/transport/network.js';
import { Pool } from '../../../sidecar/transport/pool.js';
import { Flag, grpcMessage } from '../http2/h2-frames.js';
import type { Field } from '../http2/hpack-lite.js';
import { MemoryNet, type MemorySocket } from '../http2/memory-net.js';
import { type PeerOptions, type PeerStream, ScriptedPeer } from '../http2/scripted-peer.js';
import { afterTest } from '../mocha/after-test.js';
import { ManualClock } from '../time/manual-clock.js';
import { seeded } from '../time/seeded-random.js';
import { silentLogger } from './silent-logger.js';

export const MESSAGE = grpcMessage(Buffer.from('question'));

/** Replay bytes of one call, as by default. */
const REPLAY_BYTES = 4 * 1024 * 1024;
const LIMITS = { maxConnections: 1024, handshakeTimeoutMs: 5000, handshakesPerSecond: 500 };

export function aRoute(over: Partial<RouteConfig> = {}): RouteConfig {
  const times = { timeoutMs: 15_000, idleTimeoutMs: 0, attemptTimeoutMs: 0 };
  const sizes = { holdBytes: 64 * 1024, sampleBytes: 4 * 1024 * 1024 };
  return { methods: ['*'], kind: 'unary', idempotent: false, ...times, ...sizes, ...over };
}

/** A unary route that is safe to repeat, and repeated once. No backoff unless asked for. */
export function aSafeRoute(over: Partial<RouteConfig> = {}): RouteConfig {
  const retry = { attempts: 2, on: [14], backoff: { baseMs: 0, maxMs: 0 } };
  return aRoute({ idempotent: true, retry, ...over });
}

export function aStreamRoute(over: Partial<RouteConfig> = {}): RouteConfig {
  return aRoute({ kind: 'streaming', timeoutMs: 0, idleTimeoutMs: 300_000, ...over });
}

/** A route for methods of which the file says no more than that. */
export function anAutoRoute(over: Partial<RouteConfig> = {}): RouteConfig {
  return aStreamRoute({ kind: 'auto', ifUnary: { timeoutMs: 15_000, idleTimeoutMs: 0 }, ...over });
}

export interface UpstreamOptions extends Partial<Omit<UpstreamConfig, 'pool' | 'ejection'>> {
  readonly pool?: Partial<configs.PoolConfig>;
  readonly ejection?: Partial<configs.EjectionConfig>;
}

export function addressOf(name: string): Address {
  return { kind: 'tcp', host: name, port: 1 };
}

const PINGS = { pingIntervalMs: 10_000, pingTimeoutMs: 5000 };
const POOL: configs.PoolConfig = { connections: 1, connectTimeoutMs: 1000, ...PINGS, maxAgeMs: 0 };
const EJECTION_TIMES = { baseMs: 30_000, maxMs: 300_000, jitter: 0 };
const EJECTION: configs.EjectionConfig = { mode: 'enforce', consecutiveFaults: 5, ...EJECTION_TIMES };
/** Of the one connection to a model: it sends no PINGs. */
const LOCAL_POOL: configs.PoolConfig = {
  ...POOL,
  connectTimeoutMs: 5000,
  pingIntervalMs: 0,
  pingTimeoutMs: 0,
};

/** An upstream of the named endpoints. */
export function anUpstream(names: readonly string[], over: UpstreamOptions = {}): UpstreamConfig {
  return {
    name: 'digits',
    tls: 'mesh',
    endpoints: names.map((name) => ({ address: addressOf(name), weight: 1, id: name })),
    balance: { kind: 'round-robin' },
    budget: { ratio: 0.2, perSecond: 3 },
    loadReports: { intervalMs: 0, forward: false },
    routes: [aRoute()],
    ...over,
    pool: { ...POOL, ...over.pool },
    ejection: { ...EJECTION, ...over.ejection },
  };
}

export interface InboundOptions extends Partial<Omit<InboundConfig, 'queue'>> {
  readonly queue?: Partial<configs.QueueConfig>;
}

export function anInbound(over: InboundOptions = {}): InboundConfig {
  return {
    listen: addressOf('inbound'),
    mtls: 'strict',
    local: addressOf('model'),
    intentions: [{ from: 'app', to: 'digits', action: 'allow' }],
    defaultIntention: 'deny',
    loadReport: { trailers: false, outOfBand: true },
    reflection: false,
    routes: [aRoute()],
    ...over,
    queue: { fair: true, concurrency: 2, maxWaiting: 128, maxWaitingBytes: 64 * 1024 * 1024, ...over.queue },
  };
}

/** A place where endpoints answer: all its connections and requests, in order. */
export class Backend {
  readonly peers: ScriptedPeer[] = [];
  readonly requests: PeerStream[] = [];
  mode: 'accepts' | 'refuses' | 'silent' = 'accepts';
  refusal = 'ECONNREFUSED';
  peerOptions: Omit<PeerOptions, 'role'> = {};
  /** What to do once a request has ended. Default: nothing, the test answers by hand. */
  answer: (stream: PeerStream) => void = () => {};

  constructor(readonly name: string) {}

  onSocket(socket: MemorySocket): void {
    const peer = new ScriptedPeer(socket, { role: 'server', ...this.peerOptions });
    peer.onRequest = (stream) => void this.requests.push(stream);
    peer.onComplete = (stream) => this.answer(stream);
    this.peers.push(peer);
  }

  /** The newest connection. */
  get peer(): ScriptedPeer {
    const peer = this.peers.at(-1);
    assert.ok(peer, `no connection to ${this.name}`);
    return peer;
  }
  get last(): PeerStream {
    const stream = this.requests.at(-1);
    assert.ok(stream, `no request reached ${this.name}`);
    return stream;
  }
  get open(): ScriptedPeer[] {
    return this.peers.filter((peer) => !peer.isClosed);
  }
}

export interface CallOptions {
  readonly path?: string;
  readonly timeout?: string;
  readonly metadata?: readonly Field[];
  /** Null: the request is left open. */
  readonly body?: Buffer | null;
  readonly authority?: string;
  readonly contentType?: string;
  readonly method?: string;
}

export const PATH = '/inference.GRPCInferenceService/ModelInfer';

/** An application (or a peer's sidecar) on one connection. */
export class Application extends ScriptedPeer {
  constructor(socket: MemorySocket, options: Omit<PeerOptions, 'role'> = {}) {
    super(socket, { ...options, role: 'client' });
  }

  call(options: CallOptions = {}): PeerStream {
    const fields: Field[] = [
      [':method', options.method ?? 'POST'],
      [':scheme', 'http'],
      [':path', options.path ?? PATH],
      [':authority', options.authority ?? 'localhost:50051'],
      ['content-type', options.contentType ?? 'application/grpc'],
      ['te', 'trailers'],
    ];
    if (options.timeout !== undefined) fields.push(['grpc-timeout', options.timeout]);
    const stream = this.request([...fields, ...(options.metadata ?? [])]);
    if (options.body !== null) stream.data(options.body ?? MESSAGE, Flag.endStream);
    return stream;
  }
}

/** Writes nothing; an error ends the test. */
const QUIET: Logger = {
  ...silentLogger,
  error(fields) {
    throw fields['error'] ?? new Error(JSON.stringify(fields));
  },
};

export interface OutboundStack {
  readonly outbound: Outbound;
  readonly cluster: Cluster;
  readonly listener: Listener;
}

export interface InboundStackOptions {
  /** Default true. */
  readonly ready?: boolean;
  /** Names of models, or NAME=VERSION, each at a backend `model NAME` or `model NAME=VERSION`. Absent: one without a name, at `config.local`. */
  readonly models?: readonly string[];
  /** Instances of each, from the second on at `model NAME.2` and so on; default 1. */
  readonly instances?: number;
  readonly readMemory?: () => MemoryReading;
  /** See `InboundDeps`. */
  readonly engineModel?: string;
}

export interface InboundStack {
  readonly inbound: Inbound;
  /** The only model, or the first. */
  readonly backend: ModelBackend;
  /** Its only instance, or the first. */
  readonly instance: ModelInstance;
  readonly listener: Listener;
  /** Of the only model, or of the first. */
  readonly pool: Pool;
  readonly pools: readonly Pool[];
  readonly model: Backend;
  intentions(list: readonly configs.IntentionConfig[]): IntentionTable;
}

/** It is closed after the test that makes it, or before by `close`. */
export class Stack {
  readonly clock = new ManualClock();
  readonly net = new MemoryNet();
  readonly context: DataPlaneContext;
  /** Asks the endpoints of upstreams whose configuration says so. */
  readonly health: HealthChecker;
  /** What the applications of all upstreams got and retries could not better. */
  readonly failures = new UpstreamFailures();
  readonly poison = new PoisonTable();
  hasStalled = false;
  /** Exceptions that the test injects. */
  expectedDefects = 0;
  /** Decisions for the audit log, in order. */
  readonly audited: { readonly kind: AuditKindName; readonly fields: Readonly<Record<string, unknown>> }[] =
    [];
  /** Starts that upstreams have asked for. */
  readonly wakes: WakeFacts[] = [];
  /** How asking for one goes: what goes wrong, or nothing. */
  wakeAnswer = '';
  /** False: there is no identity to connect with. */
  hasIdentity = true;
  private deferred: (() => void)[] = [];
  private readonly backends = new Map<string, Backend>();
  private readonly apps: Application[] = [];
  private readonly servers = new Map<Listener, net.Server>();
  private newestServer: net.Server | undefined;
  private readonly outbounds: OutboundStack[] = [];
  private readonly inbounds: InboundStack[] = [];
  private intentionsVersion = 0;
  private isClosed = false;

  constructor(
    private readonly options: {
      readonly seed?: number;
      readonly memoryBytes?: number;
      readonly maxConnections?: number;
      /** See `ListenerLimits`. */
      readonly firstReservedDescriptor?: number;
      readonly logger?: Logger;
      /** See `HealthCheckerOptions`. */
      readonly asksForLoad?: boolean;
    } = {},
  ) {
    const { clock } = this;
    afterTest(() => this.close());
    const parts = {
      clock,
      logger: options.logger ?? QUIET,
      wheel: new TimingWheel(clock, clock),
      flushes: new FlushScheduler((fn) => void this.deferred.push(fn), clock),
      stats: new StatsRegistry(),
    };
    this.context = {
      ...parts,
      containment: containmentOf(parts),
      random: seeded(options.seed ?? 1),
      audit: { record: (kind, fields) => void this.audited.push({ kind, fields }) },
      memory: new MemoryBudget(options.memoryBytes ?? 256 * 1024 * 1024),
      connected: new Set(),
      network: {
        dial: (address) => this.net.dial(labelOf(address)),
        server: (how, onSocket) => this.server(how, onSocket),
      },
      recorder: null,
      tracer: null,
      nowMs: clock.now(),
      hasStalled: () => this.hasStalled,
    };
    const { asksForLoad = false } = options;
    this.health = new HealthChecker({ context: this.context, timers: clock, asksForLoad });
  }

  /** Declares an address where endpoints answer. */
  backend(name: string): Backend {
    const known = this.backends.get(name);
    if (known !== undefined) return known;
    const backend = new Backend(name);
    this.backends.set(name, backend);
    this.net.declare(labelOf(addressOf(name)), backend);
    return backend;
  }

  /** The process of an endpoint dies: its connections break, and new ones are refused. */
  kill(name: string): void {
    const backend = this.backend(name);
    backend.mode = 'refuses';
    for (const peer of backend.open) peer.socket.break();
  }

  /** The process of an endpoint is back: new connections are accepted. */
  revive(name: string): void {
    this.backend(name).mode = 'accepts';
  }

  outbound(config: UpstreamConfig): OutboundStack {
    for (const { id } of config.endpoints) this.backend(id);
    const { context } = this;
    const dial = (address: Address) => (this.hasIdentity ? this.net.dial(labelOf(address)) : undefined);
    this.health.configure(config);
    const outbound = new Outbound(config, {
      makeCluster: (each, cluster) => {
        const made = makeCluster(each, { context, settings: DEFAULT_LOCAL_SETTINGS, dial }, cluster);
        this.health.addCluster(made);
        return made;
      },
      context,
      replayBytes: REPLAY_BYTES,
      find: (name) => this.outbounds.find((each) => each.outbound.name === name)?.outbound,
      poison: this.poison,
      failures: this.failures,
      caller: 'app',
      wake: (_target, facts) => {
        this.wakes.push(facts);
        return Promise.resolve(this.wakeAnswer);
      },
    });
    const listener = this.listen((link, stream, block, ended) => outbound.accept(link, stream, block, ended));
    const stack: OutboundStack = {
      outbound,
      listener,
      get cluster() {
        return outbound.state.cluster;
      },
    };
    this.outbounds.push(stack);
    this.run();
    return stack;
  }

  inbound(config: InboundConfig, options: InboundStackOptions = {}): InboundStack {
    const { context } = this;
    const places = options.models?.map((text) => {
      const [name = '', version] = text.split('=');
      return { name, ...(version === undefined ? {} : { version }), local: addressOf(`model ${text}`) };
    });
    const served = (places ?? [{ name: '', local: config.local }]).map(({ local, ...which }) => {
      const at = local.kind === 'tcp' ? local.host : local.path;
      const others = Array.from({ length: (options.instances ?? 1) - 1 }, (_, i) => `${at}.${i + 2}`);
      for (const each of others) this.backend(each);
      const pools = [local, ...others.map(addressOf)].map((each) => this.localPool(each));
      return { ...which, model: this.backend(at), pools };
    });
    const { model } = served[0]!;
    const intentions = (list: readonly configs.IntentionConfig[]): IntentionTable =>
      new IntentionTable(list, config.defaultIntention, ++this.intentionsVersion);
    const table = intentions(config.intentions);
    const inbound = new Inbound(config, {
      ...{ service: 'digits', models: served, intentions: table, context, replayBytes: REPLAY_BYTES },
      ...{ readMemory: options.readMemory, engineModel: options.engineModel },
    });
    const pools = served.flatMap((each) => each.pools);
    for (const pool of pools) pool.start();
    const listener = this.listen((link, stream, block, ended) => inbound.accept(link, stream, block, ended));
    inbound.state.onReadiness = (readiness) => listener.announceReadiness(readiness);
    listener.announceReadiness(inbound.state.readiness);
    const backend = inbound.state.backends[0]!;
    const instance = backend.instances[0]!;
    const stack = { inbound, backend, instance, listener, pool: pools[0]!, pools, model, intentions };
    this.inbounds.push(stack);
    this.run();
    const instances = inbound.state.backends.flatMap((each) => each.instances);
    if (options.ready !== false) for (const each of instances) each.setState({ kind: 'ready' });
    return stack;
  }

  private localPool(local: Address): Pool {
    const dial = () => this.net.dial(labelOf(local));
    const settings = DEFAULT_LOCAL_SETTINGS;
    return new Pool({ config: LOCAL_POOL, settings, dial, onChange: () => {} }, this.context);
  }

  private listen(onStream: Listener['onStream']): Listener {
    const settings = DEFAULT_LOCAL_SETTINGS;
    const { maxConnections = LIMITS.maxConnections, firstReservedDescriptor } = this.options;
    const limits = {
      ...LIMITS,
      maxConnections,
      ...present('firstReservedDescriptor', firstReservedDescriptor),
    };
    const listener = new Listener({ address: addressOf('here'), settings, limits, onStream }, this.context);
    this.servers.set(listener, this.newestServer!);
    return listener;
  }

  private server(...of: Parameters<typeof SYSTEM_NETWORK.server>): net.Server {
    this.newestServer = SYSTEM_NETWORK.server(...of);
    return this.newestServer;
  }

  /** An application that connects as to a plain listener: it may be refused. */
  connect(listener: Listener, descriptor = -1): Application {
    const [near, far] = this.net.pair();
    Object.assign(far, { _handle: { fd: descriptor } });
    this.servers.get(listener)!.emit('connection', far);
    return this.keep(near, {});
  }

  /** An application on a connection of its own. `service`: the identity its handshake proved; absent: none. */
  app(listener: Listener, service?: string, options: Omit<PeerOptions, 'role'> = {}): Application {
    const [near, far] = this.net.pair();
    listener.accept(far as never, service === undefined ? null : new Identity(service));
    return this.keep(near, options);
  }

  private keep(near: MemorySocket, options: Omit<PeerOptions, 'role'>): Application {
    const app = new Application(near, options);
    this.apps.push(app);
    this.run();
    return app;
  }

  // ---- time ----

  /** One turn: everything that was written is read, then the turn's flush. False when nothing happened. */
  turn(): boolean {
    const moved = this.net.deliver();
    const due = this.deferred;
    this.deferred = [];
    for (const fn of due) fn();
    return moved || due.length > 0;
  }

  /** Turns until nothing moves. */
  run(): void {
    for (let i = 0; this.turn(); i++) assert.ok(i < 100_000, 'the network never comes to rest');
  }

  /** `run`, after what stands in the argument: `settle(stream.reply())`. Returns the argument. */
  settle<T>(done: T): T {
    this.run();
    return done;
  }

  /** Moves the clock on; after each timer that fires, turns until nothing moves. */
  advance(ms: number): void {
    this.run();
    const untilMs = this.clock.now() + ms;
    while (this.clock.nextDueMs() <= untilMs) {
      this.clock.advance(Math.max(0, this.clock.nextDueMs() - this.clock.now()));
      this.run();
    }
    this.clock.advance(untilMs - this.clock.now());
    this.run();
  }

  // ---- ends ----

  /** What is left is not looked at: the process would end now. */
  abandon(): void {
    this.isClosed = true;
  }

  /** Nothing is under way any more, and nothing is held for it. */
  assertIdle(): void {
    const { memory, stats } = this.context;
    assert.equal(memory.held, 0, 'bytes are still held');
    assert.equal(memory.reservedBytes, 0, 'windows are still promised');
    for (const call of stats.calls) {
      assert.equal(call.inFlight, 0, `${call.direction} ${call.method}: calls in flight`);
      const finished = call.byStatus.reduce((sum, n) => sum + n, 0);
      assert.equal(finished, call.started, `${call.direction} ${call.method}: calls started and finished`);
    }
    for (const { outbound } of this.outbounds) {
      const { limits } = outbound.state.breaker;
      assert.deepEqual([limits?.inFlight ?? 0, limits?.retries ?? 0], [0, 0], 'counted by the breaker');
      for (const endpoint of outbound.state.clusters.flatMap(({ endpoints }) => endpoints)) {
        assert.equal(endpoint.inFlight, 0, `${endpoint.label}: attempts in flight`);
        for (const link of endpoint.pool.sessions)
          assert.equal(link.inFlight, 0, `${endpoint.label}: streams`);
      }
    }
    for (const { listener } of [...this.outbounds, ...this.inbounds])
      for (const { inFlight, connection } of listener.sessions)
        assert.ok(inFlight > 0 || !connection.state.hasReady, 'closed streams are still to be written');
    for (const { inbound } of this.inbounds) {
      assert.equal(inbound.state.limits.ledger.reserved, 0, 'tokens are still set aside');
      for (const { queues, instances } of inbound.state.backends) {
        for (const { queue } of queues.all) {
          const { running, waiting, waitingBytes, waitingCost } = queue;
          assert.deepEqual([running, waiting, waitingBytes, waitingCost], [0, 0, 0, 0], 'in the queue');
        }
        for (const { activity } of instances)
          assert.equal(activity.inFlight, 0, 'runs of the model in flight');
      }
    }
    assert.equal(stats.defects, this.expectedDefects, 'defects');
  }

  /**
   * Ends everything: nothing may be left in the wheel. Where every call is over, nothing may be held before its
   * connections end.
   */
  close(): void {
    if (this.isClosed) return;
    this.isClosed = true;
    this.health.stop();
    this.run();
    const calls = this.apps.flatMap((app) => (app.isClosed ? [] : [...app.streams.values()]));
    if (calls.every(({ isOver, hasLeft }) => isOver || hasLeft)) this.assertIdle();
    for (const app of this.apps) app.socket.destroy();
    this.run();
    this.assertIdle();
    for (const { outbound, listener } of this.outbounds) {
      listener.stop();
      outbound.state.stop();
    }
    for (const { pools, listener } of this.inbounds) {
      listener.stop();
      for (const pool of pools) pool.stop();
    }
    this.run();
    this.advance(60_000);
    assert.equal(this.context.memory.waiting.bytes, 0, 'bytes are still counted');
    assert.equal(this.context.memory.holders.size, 0, 'connections are still counted');
    assert.equal(this.context.wheel.size, 0, 'timers are left');
    assert.equal(this.clock.pending(), 0, 'system timers are left');
  }
}
