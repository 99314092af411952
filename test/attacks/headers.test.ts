/**
 * Headers as a weapon: nameless fields (CVE-2019-9516), an HPACK bomb, lists longer than announced, too many fields,
 * malformed blocks.
 */

import assert from 'node:assert/strict';
import { AttackedSidecar, assertDisconnected, assertServes, SIDES } from '../kit/attacks/attacked-sidecar.js';
import { Path } from '../kit/attacks/upstream-worker.js';
import {
  continuation,
  ErrorCode,
  Flag,
  FrameType,
  headers,
  Setting,
  settingsOf,
} from '../kit/http2/h2-frames.js';
import { encode, type Field, indexed, literal } from '../kit/http2/hpack-lite.js';
import { grpcFields } from '../kit/http2/raw-client.js';
import type { RawPeer } from '../kit/http2/raw-peer.js';

const MIB = 1 << 20;
const ENDS = Flag.endHeaders | Flag.endStream;

/** A block in as many frames as its size asks for. */
function blockFrames(streamId: number, block: Buffer): Buffer {
  const parts: Buffer[] = [];
  for (let at = 0; at < block.length; at += 16_000) parts.push(block.subarray(at, at + 16_000));
  return Buffer.concat(
    parts.map((part, i) => {
      const last = i === parts.length - 1 ? Flag.endHeaders : 0;
      return i === 0 ? headers(streamId, part, last | Flag.endStream) : continuation(streamId, part, last);
    }),
  );
}

describe('attacks: headers', () => {
  const target = AttackedSidecar.forSuite();

  for (const side of SIDES) {
    describe(`${side} listener`, () => {
      it('announces its header limit', async () => {
        const peer = await target.attacker(side);
        const announced = await peer.waitForType(FrameType.settings);
        assert.equal(settingsOf(announced).get(Setting.maxHeaderListSize), 16_384);
      });

      it('3,000 fields without a name: refused, nothing reaches the upstream, memory does not grow', async () => {
        const peer = await target.attacker(side);
        const rssBefore = target.rssBytes();
        await target.underAttack(side, async () => {
          const nameless = Array.from({ length: 3000 }, (): Field => ['', '']);
          peer.send(headers(1, encode([...grpcFields(Path.quick), ...nameless]), ENDS));
          await isRefused(peer, 1);
        });
        assert.equal((await target.stats()).calls, 0);
        assert.ok(target.rssBytes() - rssBefore < 32 * MIB);
      });

      it('HPACK bomb: the connection is cut after about ten refused lists', async () => {
        const peer = await target.attacker(side);
        const [rssBefore, cpuBefore] = [target.rssBytes(), target.cpuMs()];
        const hits = await target.hitsUnderAttack(side, async () => {
          const seed = literal('x-bomb', 'b'.repeat(3900), 0x40);
          peer.send(headers(1, Buffer.concat([encode(grpcFields(Path.quick)), seed]), ENDS));
          const references = Buffer.concat(Array.from({ length: 12_000 }, () => indexed(62)));
          const block = Buffer.concat([encode(grpcFields(Path.quick)), references]);
          for (let streamId = 3; streamId < 603; streamId += 2) {
            if (!(await peer.sendAll(blockFrames(streamId, block)))) break;
            await new Promise((resolve) => setImmediate(resolve));
          }
          await assertDisconnected(peer);
        });
        // Each refused list counts, and the one that was too many. The bucket gains one a second.
        assert.deepEqual(Object.keys(hits), ['header-list']);
        assert.ok(hits['header-list']! >= 11 && hits['header-list']! <= 20, `${hits['header-list']}`);
        assert.ok((await target.stats()).calls <= 1);
        assert.ok(target.rssBytes() - rssBefore < 64 * MIB);
        assert.ok(target.cpuMs() - cpuBefore < 2000, `cost ${target.cpuMs() - cpuBefore} ms of CPU`);
      });

      it('a list of 105 KB from a client that never acknowledged SETTINGS: refused', async () => {
        const peer = await target.attacker(side, { ackSettings: false });
        await target.underAttack(side, async () => {
          const large: Field[] = Array.from({ length: 7 }, (_, i) => [`x-large-${i}`, 'v'.repeat(15_000)]);
          peer.send(blockFrames(1, encode([...grpcFields(Path.quick), ...large])));
          await isRefused(peer, 1);
        });
        assert.equal((await target.stats()).calls, 0);
      });

      it('506 fields: the call is refused, the connection lives', async () => {
        const peer = await target.attacker(side);
        await target.underAttack(side, async () => {
          const many: Field[] = Array.from({ length: 500 }, (_, i) => [`x-${i}`, 'v']);
          peer.send(headers(1, encode([...grpcFields(Path.quick), ...many]), ENDS));
          await isRefused(peer, 1);
          await assertServes(peer, 3);
        });
        assert.equal((await target.stats()).calls, 1);
      });

      it('100 connections with malformed HPACK: each gets COMPRESSION_ERROR', async () => {
        await target.underAttack(side, async () => {
          for (let i = 0; i < 100; i += 5) {
            const peers = await Promise.all(Array.from({ length: 5 }, () => target.attacker(side)));
            for (const peer of peers)
              peer.send(headers(1, Buffer.from([0xff, 0xff, 0xff, 0xff, 0xff]), ENDS));
            await Promise.all(peers.map((peer) => assertDisconnected(peer, [ErrorCode.compressionError])));
          }
        });
      });
    });
  }

  /** A reset, a gRPC error, or the end of the connection: anything but an answer of the upstream. */
  async function isRefused(peer: RawPeer, streamId: number): Promise<void> {
    const refusal = peer.waitFor('a refusal', (one) => {
      const status = one.fields?.get('grpc-status') ?? one.fields?.get(':status');
      if (one.type === FrameType.goaway) return true;
      return one.streamId === streamId && (one.type === FrameType.rstStream || status !== undefined);
    });
    const got = await Promise.race([refusal.catch(() => undefined), peer.closed.then(() => undefined)]);
    assert.notEqual(got?.fields?.get('grpc-status'), '0');
    assert.ok(got !== undefined || peer.isClosed, 'the call was not refused');
  }
});
