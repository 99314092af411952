/**
 * Certificates rotate while calls are under way: streams that are open go on to their end, new connections show the new
 * leaf on both sides, and once a root is taken away a leaf of the old one is refused. Real TLS on loopback
 * between two sidecars; the clock, the application and the model are the test's.
 */
import assert from 'node:assert/strict';
import type { TLSSocket } from 'node:tls';
import type { AppContext } from '../../../sidecar/app/context.js';
import { TlsIdentity } from '../../../sidecar/app/tls-identity.js';
import { makeCluster } from '../../../sidecar/cluster/membership.js';
import type { Address } from '../../../sidecar/config/model.js';
import { DEFAULT_LOCAL_SETTINGS } from '../../../sidecar/http2/settings.js';
import type { Identity } from '../../../sidecar/identity/identity.js';
import { Outbound } from '../../../sidecar/outbound.js';
import type { LogFields, Logger } from '../../../sidecar/runtime/log/logger.js';
import { Listener } from '../../../sidecar/transport/listener.js';
import type { Session } from '../../../sidecar/transport/session.js';
import { identityOf, TestAuthority } from '../../kit/identity/certificates.js';
import { ManualSource } from '../../kit/identity/manual-source.js';
import { afterTest } from '../../kit/mocha/after-test.js';
import { until } from '../../kit/stack/sidecar-in-memory.js';
import {
  type Application,
  anInbound,
  anUpstream,
  aStreamRoute,
  type Backend,
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
  // Certificates are made for today.
  const today = { now: () => clock.now(), wallNow: () => Date.now() };
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

  it('twenty times under calls: none fails', async () => {
    mesh = await TwoSidecars.open(await leaf('app', old, old), await leaf('digits', old, old));
    mesh.backend.answer = (each) => each.reply();
    for (let i = 0; i < 20; i++) {
      const calls = Array.from({ length: 8 }, () => mesh.app.call());
      if (i % 2 === 0) mesh.caller.set(await leaf('app', old, old));
      else mesh.model.set(await leaf('digits', old, old));
      calls.push(...Array.from({ length: 8 }, () => mesh.app.call()));
      await mesh.until('all are answered', () => calls.every(({ isOver }) => isOver));
      for (const { status } of calls) assert.equal(status, 0);
    }
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
