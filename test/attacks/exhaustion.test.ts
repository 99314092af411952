/**
 * Using things up: connections, TLS handshakes and streams. A client that is inside keeps what it has.
 */

import assert from 'node:assert/strict';
import { AttackedSidecar, assertServes, resetsWith, SIDES } from '../kit/attacks/attacked-sidecar.js';
import { Path } from '../kit/attacks/upstream-worker.js';
import { ErrorCode, FrameType, ping, rstStream } from '../kit/http2/h2-frames.js';
import { openRequest, openSocket } from '../kit/http2/raw-client.js';
import { RawPeer, type Received } from '../kit/http2/raw-peer.js';

const CONNECTIONS = 32;
const STREAMS = 64;
/** So few that a busy machine, too, begins more at once. */
const HANDSHAKES_PER_SECOND = 5;

describe('attacks: exhaustion', () => {
  const target = AttackedSidecar.forSuite({
    limits: {
      max_connections: CONNECTIONS,
      max_concurrent_streams: STREAMS,
    },
  });

  for (const side of SIDES) {
    it(`${side}: at the connection cap new ones are refused at once, those inside live, and room is given back`, async () => {
      const hits = await target.hitsUnderAttack(side, async () => {
        // The canary holds one.
        const inside: RawPeer[] = [];
        for (let i = 1; i < CONNECTIONS; i += 1) inside.push(await target.attacker(side));
        await Promise.all(inside.map((peer) => assertServes(peer, 1)));
        const startedMs = performance.now();
        const sockets = await Promise.all(Array.from({ length: 10 }, () => openSocket(target.address(side))));
        const outside = sockets.map((socket) => new RawPeer(socket, { role: 'client' }));
        const refused = await Promise.all(outside.map((peer) => peer.closesWithin(1000)));
        assert.deepEqual(refused, Array(10).fill(true));
        assert.ok(performance.now() - startedMs < 500, 'refusing took long');
        await Promise.all(inside.map((peer) => assertServes(peer, 3)));
        for (const peer of inside.splice(0, 5)) {
          peer.close();
          await peer.closed;
        }
        // The sidecar has to see the hang-ups first.
        await Promise.all(inside.map((peer) => assertServes(peer, 5)));
        await assertServes(await target.attacker(side), 1);
      });
      assert.deepEqual(hits, { connections: 10 });
    });

    it(`${side}: streams beyond the announced number are refused, the others and the connection live`, async () => {
      const peer = await target.attacker(side);
      const asked = 2000;
      const hits = await target.hitsUnderAttack(side, async () => {
        await peer.waitForType(FrameType.settings);
        for (let at = 0; at < asked; at += 100) {
          const block = Array.from({ length: 100 }, (_, i) => openRequest((at + i) * 2 + 1, Path.hold));
          if (!(await peer.sendAll(Buffer.concat(block)))) break;
        }
        await pongAfter(peer);
      });
      assertStreamsRefused(peer, asked, hits);
      const { open } = await target.stats();
      assert.ok(open <= STREAMS, `${open} calls are open at the upstream`);
      for (let i = 0; i < STREAMS; i += 1) peer.send(rstStream(i * 2 + 1));
      if (!peer.isClosed) await assertServes(peer, asked * 2 + 1);
    });
  }

  /** Either each is refused by itself, or the connection of one that goes on is closed; both bound what it can hold. */
  function assertStreamsRefused(peer: RawPeer, asked: number, hits: Record<string, number>): void {
    if (peer.isClosed) {
      assert.deepEqual(hits, { violations: 1 });
      return;
    }
    assert.equal(resetsWith(peer, ErrorCode.refusedStream), asked - STREAMS);
    assert.deepEqual(hits, { 'concurrent-streams': asked - STREAMS });
  }
});

describe('attacks: a storm of TLS handshakes', () => {
  const target = AttackedSidecar.forSuite({ limits: { handshakes_per_second: HANDSHAKES_PER_SECOND } });

  it('is shed by rate, and a connected peer does not notice', async () => {
    const attempts = 200;
    let refused = 0;
    const attempt = () => target.attacker('inbound').catch(() => undefined);
    const attack = async (): Promise<void> => {
      for (let at = 0; at < attempts; at += 20) {
        const opened = await Promise.all(Array.from({ length: 20 }, attempt));
        refused += opened.filter((peer) => peer === undefined).length;
        for (const peer of opened) peer?.close();
      }
    };
    const hits = await target.hitsUnderAttack('inbound', attack);
    assert.deepEqual(hits, { 'handshake-rate': refused });
    assert.ok(refused > 0, 'nothing was shed');
  });
});

/** A PING after everything else: its answer says that everything before it has been handled. */
async function pongAfter(peer: RawPeer): Promise<void> {
  peer.send(ping(Buffer.from('lastping')));
  const isPong = (one: Received): boolean =>
    one.type === FrameType.ping && one.payload.toString() === 'lastping';
  await Promise.race([peer.waitFor('PING answered', isPong), peer.closed]);
}
