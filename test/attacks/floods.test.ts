/**
 * Floods of cheap frames: CONTINUATION (CVE-2024-28182), SETTINGS, PING read and unread, empty DATA (CVE-2019-9518) and
 * padding. Each listener in turn.
 */

import assert from 'node:assert/strict';
import {
  AttackedSidecar,
  assertDisconnected,
  flood,
  SIDES,
  type Side,
} from '../kit/attacks/attacked-sidecar.js';
import { Path } from '../kit/attacks/upstream-worker.js';
import {
  continuation,
  data,
  Flag,
  FrameType,
  frame,
  grpcMessage,
  headers,
  paddedData,
  ping,
  settings,
} from '../kit/http2/h2-frames.js';
import { encode } from '../kit/http2/hpack-lite.js';
import { grpcFields, openRequest } from '../kit/http2/raw-client.js';
import type { RawPeer } from '../kit/http2/raw-peer.js';

const TIMES = 200_000;
const MIB = 1 << 20;

describe('attacks: floods', () => {
  const target = AttackedSidecar.forSuite();

  /** The attacker floods, must be cut, and exactly `limit` must have counted one. */
  async function isCut(side: Side, limit: string, attack: (peer: RawPeer) => Promise<void>): Promise<void> {
    const peer = await target.attacker(side);
    const rssBefore = target.rssBytes();
    const hits = await target.hitsUnderAttack(side, async () => {
      await attack(peer);
      await assertDisconnected(peer);
    });
    assert.deepEqual(hits, { [limit]: 1 });
    assert.ok(target.rssBytes() - rssBefore < 64 * MIB, `RSS grew by ${target.rssBytes() - rssBefore} bytes`);
  }

  for (const side of SIDES) {
    describe(`${side} listener`, () => {
      it('CONTINUATION without end', () =>
        isCut(side, 'header-block-frames', async (peer) => {
          peer.send(headers(1, encode(grpcFields(Path.quick)), 0));
          await flood(peer, continuation(1, encode([['x-more', 'y'.repeat(100)]])), 5000);
        }));

      it('CONTINUATION of no octets', () =>
        isCut(side, 'header-block-frames', async (peer) => {
          peer.send(headers(1, encode(grpcFields(Path.quick)), 0));
          await flood(peer, continuation(1, Buffer.alloc(0)), TIMES);
        }));

      it('SETTINGS', () =>
        isCut(side, 'settings', async (peer) => void (await flood(peer, settings([[4, 65_535]]), TIMES))));

      it('PING, answers read', () =>
        isCut(side, 'pings', async (peer) => void (await flood(peer, ping(), TIMES))));

      it('PING, answers unread', async () => {
        const peer = await target.attacker(side);
        const hits = await target.hitsUnderAttack(side, async () => {
          peer.socket.pause();
          await flood(peer, ping(), TIMES);
          peer.socket.resume();
          await assertDisconnected(peer);
        });
        assert.deepEqual(hits, { pings: 1 });
      });

      it('empty DATA', () =>
        isCut(side, 'empty-frames', async (peer) => {
          peer.send(openRequest(1, Path.quick));
          await flood(peer, data(1, Buffer.alloc(0)), TIMES);
        }));

      it('unknown frames', () =>
        isCut(side, 'idle-frames', async (peer) => void (await flood(peer, frame(0xee, 0, 0), TIMES))));

      it('padding, one octet in 265: bounded by the windows, and only the octets go on', () =>
        paddingFlood(side));
    });
  }

  /** Not cut: one useful octet per frame is slow, not forbidden. What it costs must be bounded. */
  async function paddingFlood(side: Side): Promise<void> {
    const peer = await target.attacker(side);
    const octets = 20_000;
    const cpuBefore = target.cpuMs();
    const hits = await target.hitsUnderAttack(side, async () => {
      peer.send(openRequest(1, Path.quick));
      const message = grpcMessage(Buffer.alloc(octets - 5));
      for (let at = 0; at < octets; at += 100) {
        const block: Buffer[] = [];
        for (let i = at; i < at + 100; i += 1) {
          const end = i === octets - 1 ? Flag.endStream : 0;
          block.push(paddedData(1, message.subarray(i, i + 1), 255, end));
        }
        peer.queue(1, ...block);
      }
      await peer.waitFor('the answer', ({ fields }) => fields?.get('grpc-status') === '0', 10_000);
    });
    assert.deepEqual(hits, {});
    assert.ok(target.cpuMs() - cpuBefore < 3000, `cost ${target.cpuMs() - cpuBefore} ms of CPU`);
    const { calls } = await target.stats();
    assert.equal(calls, 1);
    assert.equal(peer.count(FrameType.goaway), 0);
    peer.close();
  }
});
