/**
 * Peers that are slow on purpose (slowloris): connections, TLS handshakes, frames and header blocks that are begun and
 * not finished.
 */

import assert from 'node:assert/strict';
import { Duplex } from 'node:stream';
import tls from 'node:tls';
import { AttackedSidecar, assertServes } from '../kit/attacks/attacked-sidecar.js';
import { Path } from '../kit/attacks/upstream-worker.js';
import { data, FrameType, headers, PREFACE, ping } from '../kit/http2/h2-frames.js';
import { encode } from '../kit/http2/hpack-lite.js';
import { grpcFields, openRequest, openSocket } from '../kit/http2/raw-client.js';
import { RawPeer } from '../kit/http2/raw-peer.js';

const HANDSHAKE_MS = 700;
/** A frame or block that has begun must be whole after 10 s. */
const STALLED_MS = 10_000;

describe('attacks: slow peers', () => {
  const target = AttackedSidecar.forSuite({ limits: { handshake_timeout: `${HANDSHAKE_MS}ms` } });

  it('half-open connections end at the handshake limit, and each counts', async () => {
    const each = 20;
    const hits = await target.hitsUnderAttack('outbound', async () => {
      const openings = [
        () => target.attacker('outbound', { start: 'none' }),
        async () => {
          const peer = await target.attacker('outbound', { start: 'none' });
          peer.send(PREFACE.subarray(0, 12));
          return peer;
        },
        async () => new RawPeer(await openSocket(target.address('inbound')), { role: 'client' }),
        () => target.attacker('inbound', { start: 'none' }),
        () => target.attacker('outbound', { ackSettings: false }),
      ];
      const startedMs = performance.now();
      const peers: RawPeer[] = [];
      for (let i = 0; i < each; i += 1) peers.push(...(await Promise.all(openings.map((open) => open()))));
      await assertClosed(peers, HANDSHAKE_MS * 4);
      assert.ok(performance.now() - startedMs >= HANDSHAKE_MS * 0.9, 'they were closed before the limit');
    });
    assert.deepEqual(hits, { 'handshake-timeout': 5 * each });
  });

  it('frames and header blocks that are begun and not finished end after ten seconds', async function () {
    this.timeout(30_000);
    const each = 10;
    const hits = await target.hitsUnderAttack('outbound', async () => {
      const begun = [
        headers(1, encode(grpcFields(Path.quick)), 0),
        headers(1, encode(grpcFields(Path.quick))).subarray(0, 20),
        Buffer.concat([openRequest(1, Path.hold), data(1, Buffer.alloc(1000)).subarray(0, 200)]),
      ];
      const peers: RawPeer[] = [];
      for (const bytes of begun) {
        for (let i = 0; i < each; i += 1) {
          const peer = await target.attacker('outbound');
          await settled(peer);
          peer.send(bytes);
          peers.push(peer);
        }
      }
      await assertClosed(peers, STALLED_MS + 5000);
    });
    assert.deepEqual(hits, { 'stalled-frame': 3 * each });
    assert.equal((await target.stats()).open, 0, 'calls are left open at the upstream');
  });

  it('a crowd that connects and says nothing uses up neither the handshakes nor the connections of peers', async () => {
    const crowd = 600;
    const peers = 30;
    const hits = await target.hitsUnderAttack('inbound', async () => {
      const silent = await Promise.all(
        Array.from({ length: crowd }, () => openSocket(target.address('inbound'))),
      );
      for (let i = 0; i < peers; i += 1) await settled(await target.attacker('inbound'));
      for (const socket of silent) socket.destroy();
    });
    assert.deepEqual([hits['handshake-rate'], hits['connections']], [undefined, undefined]);
  });

  it('a client that stays longer than its certificate is valid is served no more, and others are', async function () {
    this.timeout(20_000);
    const lifetimeMs = 3_000;
    const startedMs = Date.now();
    const expires = await target.attacker('inbound', { tls: await target.material('short', lifetimeMs) });
    const stays = await target.attacker('inbound');
    await Promise.all([assertServes(expires, 1), assertServes(stays, 1)]);
    const hits = await target.hitsDuring(async () => {
      assert.ok(await expires.closesWithin(lifetimeMs + 4_000), 'it is still connected');
      assert.ok(Date.now() - startedMs >= lifetimeMs, 'it was cut off while its certificate was valid');
      await assertServes(stays, 3);
    });
    assert.deepEqual(hits, { 'expired-certificate': 1 });
    assert.equal(stays.count(FrameType.goaway), 0);
  });

  it('TLS clients that fall silent after their hello end at the limit, and each counts', async () => {
    const each = 20;
    const hello = await clientHello();
    const hits = await target.hitsUnderAttack('inbound', async () => {
      const peers = await Promise.all(
        Array.from({ length: each }, async () => {
          const peer = new RawPeer(await openSocket(target.address('inbound')), { role: 'client' });
          peer.send(hello);
          return peer;
        }),
      );
      await assertClosed(peers, HANDSHAKE_MS * 4);
    });
    assert.deepEqual(hits, { 'handshake-timeout': each });
  });
});

/** The first flight of a real TLS client. */
function clientHello(): Promise<Buffer> {
  return new Promise((resolve) => {
    const wire = new Duplex({
      read: () => {},
      write: (chunk: Buffer, _encoding, done) => {
        resolve(chunk);
        done();
      },
    });
    tls.connect({ socket: wire, ALPNProtocols: ['h2'] }).on('error', () => {});
  });
}

async function assertClosed(peers: readonly RawPeer[], limitMs: number): Promise<void> {
  const ended = await Promise.all(peers.map((peer) => peer.closesWithin(limitMs)));
  assert.equal(ended.filter((isClosed) => !isClosed).length, 0, 'connections are left open');
}

/** Both sides' SETTINGS are acknowledged: nothing will be written between the bytes of what comes next. */
async function settled(peer: RawPeer): Promise<void> {
  await peer.waitForType(FrameType.settings);
  peer.send(ping());
  await peer.waitForType(FrameType.ping);
}
