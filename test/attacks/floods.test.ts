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
const NOTHING = Buffer.alloc(0);

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
      const block = headers(1, encode(grpcFields(Path.quick)), 0);
      const more = continuation(1, encode([['x-more', 'y'.repeat(100)]]));
      for (const [name, limit, first, one, times] of [
        ['CONTINUATION without end', 'header-block-frames', block, more, 5000],
        ['CONTINUATION of no bytes', 'header-block-frames', block, continuation(1, NOTHING), TIMES],
        ['SETTINGS', 'settings', NOTHING, settings([[4, 65_535]]), TIMES],
        ['PING, answers read', 'pings', NOTHING, ping(), TIMES],
        ['empty DATA', 'empty-frames', openRequest(1, Path.quick), data(1, NOTHING), TIMES],
        ['unknown frames', 'idle-frames', NOTHING, frame(0xee, 0, 0), TIMES],
      ] as const) {
        it(name, () =>
          isCut(side, limit, async (peer) => {
            if (first.length > 0) peer.send(first);
            await flood(peer, one, times);
          }),
        );
      }

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

      it('padding, one byte in 265: bounded by the windows, and only the bytes go on', () =>
        paddingFlood(side));
    });
  }

  /** Not cut: one useful byte per frame is slow, not forbidden. What it costs must be bounded. */
  async function paddingFlood(side: Side): Promise<void> {
    const peer = await target.attacker(side);
    const bytes = 20_000;
    const cpuBefore = target.cpuMs();
    const hits = await target.hitsUnderAttack(side, async () => {
      peer.send(openRequest(1, Path.quick));
      const message = grpcMessage(Buffer.alloc(bytes - 5));
      for (let at = 0; at < bytes; at += 100) {
        const block: Buffer[] = [];
        for (let i = at; i < at + 100; i += 1) {
          const end = i === bytes - 1 ? Flag.endStream : 0;
          block.push(paddedData(1, message.subarray(i, i + 1), 255, end));
        }
        peer.queue(1, ...block);
      }
      await peer.waitFor('the answer', ({ fields }) => fields?.get('grpc-status') === '0', 10_000);
    });
    assert.deepEqual(hits, {});
    assert.ok(target.cpuMs() - cpuBefore < 3000, `cost ${target.cpuMs() - cpuBefore} ms of CPU`);
    assert.equal((await target.stats()).calls, 1);
    assert.equal(peer.count(FrameType.goaway), 0);
  }
});
