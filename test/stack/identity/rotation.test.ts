import assert from 'node:assert/strict';
import { once } from 'node:events';
import type tls from 'node:tls';
import type { Identity } from '../../../sidecar/identity/identity.js';
import { verifyPeerSocket } from '../../../sidecar/identity/tls/peer-verification.js';
import { TlsRotation } from '../../../sidecar/identity/tls/rotation.js';
import { PeerRejectedError, serverTlsOptions } from '../../../sidecar/identity/tls/tls-options.js';
import { identityOf, TestAuthority, TRUST_DOMAIN } from '../../kit/identity/certificates.js';
import { ManualSource } from '../../kit/identity/manual-source.js';
import { TlsHarness } from '../../kit/identity/tls-harness.js';
import { afterTest } from '../../kit/mocha/after-test.js';
import { ManualClock } from '../../kit/time/manual-clock.js';

const PIECE = 64 * 1024;

/** Echoes what it gets. */
async function echoServer(harness: TlsHarness, identity: Identity): Promise<tls.Server> {
  const server = await harness.listen(serverTlsOptions(identity));
  server.on('secureConnection', (socket) => socket.pipe(socket));
  return server;
}

async function roundTrip(socket: tls.TLSSocket, bytes: number): Promise<void> {
  let left = bytes;
  socket.write(Buffer.alloc(bytes, 7));
  while (left > 0) {
    const [data] = (await once(socket, 'data')) as [Buffer];
    left -= data.length;
  }
  assert.equal(left, 0);
}

function serialOf(socket: tls.TLSSocket): string {
  return socket.getPeerCertificate().serialNumber.toLowerCase();
}

describe('rotation', () => {
  const harness = new TlsHarness();
  let root: TestAuthority;
  let first: Identity;
  let second: Identity;
  before(async () => {
    root = await TestAuthority.root();
    first = await root.identity('web');
    second = await root.identity('web');
  });
  afterEach(() => harness.close());

  function rotating(identity?: Identity): { source: ManualSource; rotation: TlsRotation } {
    const source = new ManualSource(identity);
    const rotation = new TlsRotation(source, Date.now);
    afterTest(() => rotation.close());
    return { source, rotation };
  }

  async function connected(rotation: TlsRotation, server: tls.Server): Promise<tls.TLSSocket> {
    const socket = harness.connect(server, rotation.clientOptions('web')!);
    await once(socket, 'secureConnect');
    return socket;
  }

  it('leaves a connection with data in flight unharmed, and shows new connections the new leaf', async () => {
    const { source, rotation } = rotating(first);
    const server = await echoServer(harness, first);
    rotation.attach(server);
    const old = await connected(rotation, server);
    const transfer = roundTrip(old, 40 * PIECE);
    source.set(second);
    await transfer;
    const fresh = await connected(rotation, server);
    assert.equal(serialOf(old), first.serial);
    assert.equal(serialOf(fresh), second.serial);
    await Promise.all([roundTrip(old, PIECE), roundTrip(fresh, PIECE)]);
    assert.equal(rotation.rotations, 1);
  });

  it('many times under data loses none and is counted each time', async () => {
    const { source, rotation } = rotating(first);
    const server = await echoServer(harness, first);
    rotation.attach(server);
    const old = await connected(rotation, server);
    for (let i = 0; i < 20; i++) {
      const next = await root.identity('web');
      const transfer = roundTrip(old, PIECE);
      source.set(next);
      const fresh = await connected(rotation, server);
      assert.equal(serialOf(fresh), next.serial);
      await Promise.all([transfer, roundTrip(fresh, PIECE)]);
    }
    assert.equal(rotation.rotations, 20);
  });

  it('to a new root with overlap keeps old and new peers talking both ways', async () => {
    const newRoot = await TestAuthority.root({ commonName: 'New root' });
    const both = root.pem + newRoot.pem;
    const leafOf = async (authority: TestAuthority) =>
      identityOf({ ...(await authority.leaf()), rootsPem: both }, 'web');
    const [behind, ahead] = [await leafOf(root), await leafOf(newRoot)];
    for (const [ours, theirs] of [
      [behind, ahead],
      [ahead, behind],
    ] as const) {
      const server = await echoServer(harness, ours);
      await roundTrip(await connected(rotating(theirs).rotation, server), PIECE);
    }
  });

  it('to a root that was renewed with its key needs no overlap', async () => {
    const renewed = await TestAuthority.root({ keys: root.keys });
    const [before, after] = [await root.identity('web'), await renewed.identity('web')];
    assert.notEqual(before.rootsPem, after.rootsPem);
    for (const [ours, theirs] of [
      [before, after],
      [after, before],
    ] as const) {
      const { source, rotation } = rotating(theirs);
      const server = await echoServer(harness, ours);
      const old = await connected(rotation, server);
      await roundTrip(old, PIECE);
      const verdicts: string[] = [];
      rotation.subscribe(({ trust }) => verdicts.push(verifyPeerSocket(old, trust, Date.now(), 'web').kind));
      source.set(theirs === after ? before : after);
      assert.deepEqual(verdicts, ['accepted'], 'a standing connection stays');
    }
  });

  it('that removes a root lets standing connections be judged anew', async () => {
    const newRoot = await TestAuthority.root({ commonName: 'New root' });
    const { source, rotation } = rotating(first);
    const server = await echoServer(harness, first);
    const old = await connected(rotation, server);
    const verdicts: unknown[] = [];
    rotation.subscribe(({ trust, rootsChanged }) => {
      const verdict = verifyPeerSocket(old, trust, Date.now(), 'web');
      verdicts.push([rootsChanged, verdict.kind === 'accepted' ? 'accepted' : verdict.reason]);
    });
    source.set(second);
    source.set(await newRoot.identity('web'));
    assert.deepEqual(verdicts, [
      [false, 'accepted'],
      [true, 'untrusted'],
    ]);
  });

  it('that removes a root while a handshake is under way refuses its leaf', async () => {
    const other = await (await TestAuthority.root({ commonName: 'New root' })).identity('web');
    const { source, rotation } = rotating(first);
    const server = await echoServer(harness, first);
    const socket = harness.connect(server, rotation.clientOptions('web')!);
    const failed = once(socket, 'error') as Promise<[Error]>;
    source.set(other);
    const [error] = await failed;
    assert.ok(error instanceof PeerRejectedError);
    assert.equal(error.reason, 'untrusted');
  });

  it('to something OpenSSL refuses keeps what was there, and says why', async () => {
    const { source, rotation } = rotating(first);
    const server = await echoServer(harness, first);
    rotation.attach(server);
    source.set({ ...second, keyPem: first.keyPem });
    assert.equal(rotation.identity, first);
    assert.match(rotation.problem ?? '', /key/i);
    assert.equal(serialOf(await connected(rotation, server)), first.serial);
    source.set(second);
    assert.equal(rotation.problem, undefined);
    assert.equal(serialOf(await connected(rotation, server)), second.serial);
  });

  it('has nothing to hand out before the first identity, and then has', () => {
    const { source, rotation } = rotating();
    assert.equal(rotation.clientOptions('web'), undefined);
    assert.equal(rotation.trust, undefined);
    source.set(first);
    assert.equal(rotation.identity?.serial, first.serial);
    assert.equal(rotation.clientOptions('web')?.rejectUnauthorized, true);
    assert.equal(rotation.rotations, 0);
    rotation.close();
    assert.equal(source.listening, 0);
  });

  it('presents an expired certificate to no peer, says so once, and is well again with the next', async () => {
    const clock = new ManualClock(0, Date.now());
    const source = new ManualSource(first);
    const rotation = new TlsRotation(source, () => clock.wallNow(), clock);
    const told: string[] = [];
    rotation.onExpiry(({ serial }) => told.push(serial));
    clock.advance(first.notAfterMs - clock.wallNow());
    assert.deepEqual([rotation.isExpired, told.length], [false, 0]);
    clock.advance(1);
    assert.equal(rotation.clientOptions('web'), undefined);
    assert.equal(rotation.isExpired, true);
    assert.deepEqual(told, [first.serial]);
    clock.advance(24 * 3600_000);
    assert.deepEqual(told, [first.serial]);
    const soon = clock.wallNow() + 3600_000;
    source.set({ ...second, notAfterMs: soon });
    assert.ok(rotation.clientOptions('web'));
    clock.advance(3600_001);
    assert.deepEqual(told, [first.serial, second.serial]);
    rotation.close();
    assert.equal(clock.pending(), 0);
  });

  it('says that its certificate has expired again after a clock that jumped has been set back', () => {
    const clock = new ManualClock(0, Date.now());
    let jumpMs = 0;
    const source = new ManualSource(first);
    const rotation = new TlsRotation(source, () => clock.wallNow() + jumpMs, clock);
    afterTest(() => rotation.close());
    let told = 0;
    rotation.onExpiry(() => told++);
    jumpMs = 48 * 3600_000;
    clock.advance(60_000);
    assert.deepEqual([told, rotation.isExpired], [1, true]);
    jumpMs = 0;
    clock.advance(60_000);
    assert.deepEqual([told, rotation.isExpired], [1, false]);
    clock.advance(first.notAfterMs - clock.wallNow() + 1);
    assert.deepEqual([told, rotation.isExpired], [2, true]);
  });

  it('blames its own want of an identity for a failed handshake', () => {
    const { source, rotation } = rotating();
    const error = Object.assign(new Error('no shared cipher'), { code: 'ERR_SSL_NO_SHARED_CIPHER' });
    assert.equal(rotation.handshakeFailure(error, undefined), 'no-identity');
    source.set(first);
    assert.equal(rotation.handshakeFailure(error, undefined), undefined);
  });

  it('a listener that opened before there was an identity serves with the first', async () => {
    const { source, rotation } = rotating();
    const server = await harness.listen(serverTlsOptions(undefined));
    rotation.attach(server);
    source.set(first);
    assert.equal(serialOf(await connected(rotation, server)), first.serial);
  });

  it('wants the datacenter that is named, and any where none is', async () => {
    const { rotation } = rotating(first);
    const server = await harness.listen(serverTlsOptions(first));
    for (const peer of ['web', { service: 'web' }, { service: 'web', datacenter: 'dc1' }])
      await once(harness.connect(server, rotation.clientOptions(peer)!), 'secureConnect');
    const elsewhere = rotation.clientOptions({ service: 'web', datacenter: 'dc2' })!;
    const [error] = (await once(harness.connect(server, elsewhere), 'error')) as [Error];
    assert.ok(error instanceof PeerRejectedError);
    assert.equal(error.reason, 'wrong-datacenter');
    const found = `spiffe://${TRUST_DOMAIN}/ns/default/dc/dc1/svc/web`;
    assert.equal(error.message, `peer refused: expected the datacenter "dc2", found ${found}`);
  });
});
