/**
 * Certificates rotate while calls are under way: streams that are open go on to their end, new connections show the new
 * leaf on both sides, and once a root is taken away a leaf of the old one is refused. Real TLS on loopback
 * between two sidecars; the clock, the application and the model are the test's.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import tls, { type TLSSocket } from 'node:tls';
import type { AppContext } from '../../../sidecar/app/context.js';
import { TlsIdentity } from '../../../sidecar/app/tls-identity.js';
import { makeCluster } from '../../../sidecar/cluster/membership.js';
import type { Address } from '../../../sidecar/config/model.js';
import { DEFAULT_LOCAL_SETTINGS } from '../../../sidecar/http2/settings.js';
import type { Identity } from '../../../sidecar/identity/identity.js';
import { serverTlsOptions } from '../../../sidecar/identity/tls/tls-options.js';
import { Outbound } from '../../../sidecar/outbound.js';
import type { LogFields, Logger } from '../../../sidecar/runtime/log/logger.js';
import { Listener } from '../../../sidecar/transport/listener.js';
import type { Session } from '../../../sidecar/transport/session.js';
import { identityOf, TestAuthority } from '../../kit/identity/certificates.js';
import { ManualSource } from '../../kit/identity/manual-source.js';
import { afterTest } from '../../kit/mocha/after-test.js';
import { SidecarInMemory, until, upstreamAt, withUpstreams } from '../../kit/stack/sidecar-in-memory.js';
import {
  type Application,
  anInbound,
  anUpstream,
  aStreamRoute,
  Backend,
  Stack,
} from '../../kit/stack/stack.js';

const LIMITS = { maxConnections: 16, handshakeTimeoutMs: 5000, handshakesPerSecond: 500 };
const LOOPBACK: Address = { kind: 'tcp', host: '127.0.0.1', port: 0 };

/** A caller's sidecar and a model's, each with an identity that the test changes. */
class TwoSidecars {
  readonly caller: ManualSource;
  readonly app: Application;
  readonly outbound: Outbound;
  private readonly near: Listener;
  private readonly identities: readonly TlsIdentity[];
  /** Reasons and addresses of the peers that were refused, in the log. */
  static refused: string[] = [];
  /** Of both identities. Certificates are made for today. */
  static wallNow: () => number = Date.now;

  private constructor(
    address: Address,
    readonly stack: Stack,
    readonly inbound: Listener,
    readonly backend: Backend,
    readonly model: ManualSource,
    modelIdentity: TlsIdentity,
    caller: Identity,
  ) {
    this.caller = new ManualSource(caller);
    const { context } = stack;
    const own = new TlsIdentity(this.caller, partsOf(stack));
    this.identities = [own, modelIdentity];
    const config = anUpstream([], {
      endpoints: [{ address, weight: 1, id: 'digits' }],
      routes: [aStreamRoute({ idleTimeoutMs: 0 })],
    });
    this.outbound = new Outbound(config, {
      makeCluster: (each, cluster) =>
        makeCluster(
          each,
          { context, settings: DEFAULT_LOCAL_SETTINGS, dial: (to, peer) => own.dial(to, peer) },
          cluster,
        ),
      context: context,
      replayBytes: 1024 * 1024,
    });
    own.onRotated(() => this.outbound.state.refreshConnections());
    this.near = listenerOf(stack, { onStream: (...of) => this.outbound.accept(...of) });
    this.app = stack.app(this.near);
  }

  static async open(caller: Identity, model: Identity): Promise<TwoSidecars> {
    const stack = new Stack();
    TwoSidecars.refused = [];
    TwoSidecars.wallNow = Date.now;
    const warn = ({ reason, peer }: LogFields): void => void TwoSidecars.refused.push(`${reason} ${peer}`);
    (stack.context as { logger: Logger }).logger = { ...stack.context.logger, warn };
    const side = stack.inbound(anInbound({ routes: [aStreamRoute({ idleTimeoutMs: 0 })] }));
    const source = new ManualSource(model);
    const own = new TlsIdentity(source, partsOf(stack));
    const tls = own.serverTls({ alsoPlaintext: false });
    const listener = listenerOf(stack, { tls, onStream: (...of) => side.inbound.accept(...of) });
    own.onRotated(({ rootsChanged }) => {
      if (rootsChanged) listener.review((link) => own.stillTrusts(link));
    });
    const address = await listener.listen();
    const both = new TwoSidecars(address, stack, listener, side.model, source, own, caller);
    afterTest(() => both.close());
    await both.until('they are connected', () => both.pool.isConnected);
    return both;
  }

  get pool() {
    return this.outbound.state.clusters[0]!.endpoints[0]!.pool;
  }

  /** Sockets move by themselves; everything else when the test says so. */
  until(what: string, isSo: () => boolean): Promise<void> {
    return until(what, () => {
      this.stack.run();
      return isSo();
    });
  }

  private async close(): Promise<void> {
    this.near.stop();
    this.outbound.state.stop();
    this.inbound.stop();
    await this.until('no connection is left', () => this.inbound.sessions.size === 0);
    for (const own of this.identities) own.close();
  }
}

type ListenerSettings = ConstructorParameters<typeof Listener>[0];

function listenerOf({ context }: Stack, over: Pick<ListenerSettings, 'onStream' | 'tls'>): Listener {
  return new Listener(
    { address: LOOPBACK, settings: DEFAULT_LOCAL_SETTINGS, limits: LIMITS, ...over },
    context,
  );
}

function partsOf({ clock, context }: Stack): AppContext {
  const { random, logger } = context;
  const today = { now: () => clock.now(), wallNow: () => TwoSidecars.wallNow() };
  return {
    deps: { clock: today, timers: clock, random, logger, version: 'test', env: {} },
    dataPlane: context,
    settings: DEFAULT_LOCAL_SETTINGS,
    limits: LIMITS as unknown as AppContext['limits'],
  };
}

/** Of the peer's certificate. */
function serialsOf(links: Iterable<Session>): string[] {
  return [...links].map(({ socket }) =>
    // There is none before the handshake is over.
    ((socket as TLSSocket).getPeerCertificate()?.serialNumber ?? '').toLowerCase(),
  );
}

describe('Scenario: certificates rotate', () => {
  let old: TestAuthority;
  let next: TestAuthority;
  let mesh: TwoSidecars;
  before(async () => {
    old = await TestAuthority.root();
    next = await TestAuthority.root({ commonName: 'Next root' });
  });

  /** A leaf of `by`, whose holder believes all of `roots`. */
  const leaf = async (service: string, by: TestAuthority, ...roots: TestAuthority[]): Promise<Identity> => {
    const parts = await by.leaf({ service });
    return identityOf({ ...parts, rootsPem: roots.map(({ pem }) => pem).join('') }, service);
  };

  const serves = async (): Promise<void> => {
    const call = mesh.app.call();
    await mesh.until('it is answered', () => call.isOver);
    assert.equal(call.status, 0);
  };

  it('a stream goes on over its connection, and the next call takes one with the new leaves', async () => {
    mesh = await TwoSidecars.open(await leaf('app', old, old), await leaf('digits', old, old));
    const open = mesh.app.call({ body: null });
    await mesh.until('it has begun', () => mesh.backend.requests.length === 1);
    const stream = mesh.backend.last.begin().data(Buffer.from('before, '));

    const [app, digits] = [await leaf('app', old, old), await leaf('digits', old, old)];
    mesh.model.set(digits);
    mesh.caller.set(app);
    await mesh.until('another connection', () => serialsOf(mesh.pool.sessions).includes(digits.serial));
    await mesh.until('the old one takes no more calls', () => mesh.pool.sessions[0]!.isRetiring);
    assert.equal(mesh.pool.sessions.length, 2, 'the stream keeps the old one');
    assert.ok(serialsOf(mesh.inbound.sessions).includes(app.serial));

    mesh.backend.answer = (each) => each.reply();
    await serves();

    stream.data(Buffer.from('and after')).trailers(0);
    await mesh.until('the stream ends', () => open.isOver);
    assert.deepEqual([open.status, open.body.toString()], [0, 'before, and after']);
    await mesh.until('the old connection is gone', () => mesh.pool.sessions.length === 1);
    assert.deepEqual(serialsOf(mesh.pool.sessions), [digits.serial]);
    assert.deepEqual(serialsOf(mesh.inbound.sessions), [app.serial]);
  });

  it('ten times under calls: none fails', async () => {
    mesh = await TwoSidecars.open(await leaf('app', old, old), await leaf('digits', old, old));
    mesh.backend.answer = (each) => each.reply();
    for (let i = 0; i < 10; i++) {
      const calls = Array.from({ length: 8 }, () => mesh.app.call());
      if (i % 2 === 0) mesh.caller.set(await leaf('app', old, old));
      else mesh.model.set(await leaf('digits', old, old));
      calls.push(...Array.from({ length: 8 }, () => mesh.app.call()));
      await mesh.until('all are answered', () => calls.every(({ isOver }) => isOver));
      for (const { status } of calls) assert.equal(status, 0);
    }
  });

  it('of the model with another root: a stream goes on whose caller has renewed a certificate that has ended', async () => {
    const ends = await old.leaf({ service: 'app', notAfterMs: Date.now() + 600_000 });
    const own = identityOf({ ...ends, rootsPem: old.pem }, 'app');
    mesh = await TwoSidecars.open(own, await leaf('digits', old, old));
    const open = mesh.app.call({ body: null });
    await mesh.until('it has begun', () => mesh.backend.requests.length === 1);
    const stream = mesh.backend.last.begin().data(Buffer.from('before, '));
    mesh.caller.set(await leaf('app', old, old));
    await mesh.until('another connection', () => mesh.inbound.sessions.size === 2);

    TwoSidecars.wallNow = () => Date.now() + 700_000;
    mesh.model.set(await leaf('digits', old, old, next));
    await mesh.until('what came before is there', () => open.body.length > 0);
    stream.data(Buffer.from('and after'));
    await mesh.until('and what comes after', () => open.body.length > 'before, '.length);
    assert.equal(open.isOver, false);

    mesh.model.set(await leaf('digits', next, next));
    await mesh.until('its root is trusted no more', () => open.isOver && mesh.inbound.sessions.size === 0);
    assert.notEqual(open.status, 0);
  });

  it('root and all: a peer that trusts both is served all the time, one with the old leaf is refused', async () => {
    mesh = await TwoSidecars.open(await leaf('app', old, old, next), await leaf('digits', old, old, next));
    mesh.backend.answer = (each) => each.reply();
    await serves();
    mesh.model.set(await leaf('digits', next, old, next));
    await serves();

    mesh.model.set(await leaf('digits', next, next));
    await mesh.until('the old connection is closed', () => mesh.inbound.sessions.size === 0);
    mesh.stack.advance(5_000);
    const late = mesh.app.call();
    await mesh.until('it is refused', () => {
      mesh.stack.advance(10);
      return late.isOver;
    });
    assert.deepEqual([late.status, late.reason], [14, 'connect-failed']);
    assert.match(late.header('grpc-message') ?? '', /it may have refused our certificate/);
    assert.ok(
      TwoSidecars.refused.includes('untrusted 127.0.0.1'),
      'its log says why, and where it came from',
    );
    assert.equal(mesh.inbound.sessions.size, 0);

    mesh.caller.set(await leaf('app', next, next));
    mesh.stack.advance(5_000);
    await mesh.until('the new leaf lets it in', () => mesh.pool.isConnected);
    await serves();
  });
});

/** A caller's sidecar as it is started, and a model's side whose leaf the test chooses. */
describe('Scenario: the roots of a caller change', () => {
  let old: TestAuthority;
  let next: TestAuthority;
  let bench: SidecarInMemory;
  let model: Backend;
  let app: Application;
  let caller: ManualSource;
  let reload: (hasModel: boolean) => Promise<unknown>;
  let connections: () => number;
  let wallNow: () => number;
  before(async () => {
    old = await TestAuthority.root();
    next = await TestAuthority.root({ commonName: 'Next root' });
  });
  beforeEach(() => {
    bench = new SidecarInMemory();
    wallNow = Date.now;
  });
  afterEach(() => bench.close());

  const leaf = async (service: string, by: TestAuthority, ...roots: TestAuthority[]): Promise<Identity> =>
    identityOf({ ...(await by.leaf({ service })), rootsPem: roots.map(({ pem }) => pem).join('') }, service);

  /** Takes every caller: what is tested is whether the caller takes it. */
  const serve = async (own: Identity): Promise<Address> => {
    model = new Backend('digits');
    const server = tls.createServer({ ...serverTlsOptions(own), requestCert: false });
    const sockets = new Set<TLSSocket>();
    server.on('secureConnection', (socket) => {
      sockets.add(socket.on('error', () => {}));
      model.onSocket(socket as never);
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    afterTest(() => {
      for (const socket of sockets) socket.destroy();
      server.close();
    });
    return { kind: 'tcp', host: '127.0.0.1', port: (server.address() as AddressInfo).port };
  };

  const start = async (own: Identity, theirs: Identity): Promise<void> => {
    const address = await serve(theirs);
    const routes = [aStreamRoute({ idleTimeoutMs: 0 })];
    const upstream = upstreamAt(address, 'digits', { tls: 'mesh', routes });
    caller = new ManualSource(own);
    const today = { now: () => bench.clock.now(), wallNow: () => wallNow() };
    const sidecar = await bench.sidecar(withUpstreams(upstream), {
      openIdentity: (context) =>
        new TlsIdentity(caller, { ...context, deps: { ...context.deps, clock: today } }),
    });
    reload = (hasModel) =>
      sidecar.reload(withUpstreams({ ...upstream, endpoints: hasModel ? upstream.endpoints : [] }));
    connections = () => sidecar.view.endpoints()[0]!.connections;
    app = await bench.app(sidecar.addresses.upstreams['digits']!);
    await until('it is connected', () => model.open.length > 0 && sidecar.view.notReady().length === 0);
  };

  /** A stream that the model has begun to answer. */
  const begun = async () => {
    const call = app.call({ body: null });
    await until('it has begun', () => model.requests.length === 1);
    return { call, stream: model.last.begin().data(Buffer.from('before, ')) };
  };

  const goesOn = async ({ call, stream }: Awaited<ReturnType<typeof begun>>): Promise<void> => {
    await until('what came before is there', () => call.body.length > 0);
    stream.data(Buffer.from('and after')).trailers(0);
    await until('it ends', () => call.isOver);
    assert.deepEqual([call.status, call.body.toString()], [0, 'before, and after']);
  };

  it('no call goes to an endpoint whose root is taken away, and its connection is closed', async () => {
    await start(await leaf('app', next, old, next), await leaf('digits', old, old, next));
    const { call } = await begun();
    const [first] = model.peers;
    caller.set(await leaf('app', next, next));
    await until('its connection is closed', () => first!.isClosed);
    await until('its call has ended', () => call.isOver);
    for (let i = 0; i < 3; i++) {
      bench.clock.advance(6_000);
      const late = app.call({ timeout: '1S' });
      await until('it is answered', () => {
        bench.clock.advance(10);
        return late.isOver;
      });
      assert.notEqual(late.status, 0);
    }
    assert.equal(model.requests.length, 1, 'no other call has reached it');
  });

  it('an endpoint that has left keeps its last calls only while its root is trusted', async () => {
    await start(await leaf('app', next, old, next), await leaf('digits', old, old, next));
    const { call } = await begun();
    await reload(false);
    caller.set(await leaf('app', next, old, next));
    await new Promise(setImmediate);
    assert.equal(call.isOver, false);
    caller.set(await leaf('app', next, next));
    await until('its connection is closed', () => model.open.length === 0);
    await until('its call has ended', () => call.isOver);
  });

  it('a call goes on over a connection whose certificate has ended, if its root is trusted', async () => {
    await start(await leaf('app', old, old), await leaf('digits', old, old));
    const open = await begun();
    const days = 40 * 24 * 3_600_000;
    wallNow = () => Date.now() + days;
    // Our own is not judged here; that its roots have changed is what counts.
    caller.set(await leaf('app', old, old, next));
    await new Promise(setImmediate);
    await goesOn(open);
  });

  it('a root that is added, or that no endpoint uses, ends no call', async () => {
    await start(await leaf('app', old, old), await leaf('digits', old, old));
    const open = await begun();
    const changes = [await leaf('app', old, old, next), await leaf('app', old, old)];
    for (const [i, roots] of changes.entries()) {
      caller.set(roots);
      await until('a connection is made', () => model.peers.length === i + 2 && connections() === 2);
      await until('in place of the one before', () =>
        model.peers.slice(1, -1).every((each) => each.isClosed),
      );
    }
    await goesOn(open);
  });
});
