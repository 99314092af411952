/**
 * Resets as a weapon: rapid reset (CVE-2023-44487) and MadeYouReset (CVE-2025-8671), and the healthy client that cancels
 * a thousand calls a second and must be let be.
 */

import assert from 'node:assert/strict';
import { BUCKETS } from '../../sidecar/http2/limits.js';
import { AttackedSidecar, assertDisconnected, SIDES, type Side } from '../kit/attacks/attacked-sidecar.js';
import { Path } from '../kit/attacks/upstream-worker.js';
import {
  data,
  ErrorCode,
  Flag,
  FrameType,
  priority,
  rstStream,
  windowUpdate,
} from '../kit/http2/h2-frames.js';
import { openRequest, unaryRequest } from '../kit/http2/raw-client.js';
import type { RawPeer } from '../kit/http2/raw-peer.js';

const STREAMS = 30_000;
const PER_WRITE = 100;

type FramesOf = (streamId: number) => Buffer;

/** Opens streams as fast as the peer reads; `each` makes the frames of one. */
async function openStreams(
  peer: RawPeer,
  count: number,
  each: FramesOf,
  perWrite = PER_WRITE,
): Promise<void> {
  let opened = 0;
  while (opened < count) {
    const block: Buffer[] = [];
    for (let i = 0; i < perWrite; i += 1) block.push(each((opened + i) * 2 + 1));
    if (!(await peer.sendAll(Buffer.concat(block)))) break;
    opened += perWrite;
    await new Promise((resolve) => setImmediate(resolve));
  }
}

describe('attacks: resets', () => {
  const target = AttackedSidecar.forSuite();

  for (const side of SIDES) {
    describe(`${side} listener`, () => {
      it('rapid reset: cut off, and almost nothing reaches the upstream', () => rapidReset(side));

      const violations: readonly (readonly [string, FramesOf])[] = [
        ['WINDOW_UPDATE of 0', (id) => windowUpdate(id, 0)],
        ['WINDOW_UPDATE past 2³¹−1', (id) => windowUpdate(id, 0x7fff_ffff)],
        ['DATA after the end', (id) => data(id, Buffer.alloc(1), Flag.endStream)],
        ['a stream that depends on itself', (id) => priority(id, id)],
      ];
      for (const [name, violate] of violations) {
        it(`MadeYouReset by ${name}: cut off within a few hundred streams`, () =>
          madeYouReset(side, violate));
      }
    });
  }

  async function rapidReset(side: Side): Promise<void> {
    const peer = await target.attacker(side);
    const hits = await target.hitsUnderAttack(side, async () => {
      await openStreams(peer, STREAMS, (id) => Buffer.concat([openRequest(id, Path.quick), rstStream(id)]));
      await assertDisconnected(peer);
    });
    assert.deepEqual(hits, { 'rapid-resets': 1 });
    const { calls, mostOpen } = await target.stats();
    assert.ok(calls < 1100, `${calls} calls reached the upstream`);
    assert.ok(mostOpen <= 256, `${mostOpen} calls were open at the upstream`);
  }

  async function madeYouReset(side: Side, violate: FramesOf): Promise<void> {
    const peer = await target.attacker(side);
    const hits = await target.hitsUnderAttack(side, async () => {
      await openStreams(peer, 5000, (id) => Buffer.concat([unaryRequest(id, Path.hold), violate(id)]), 20);
      await assertDisconnected(peer, [
        ErrorCode.enhanceYourCalm,
        ErrorCode.protocolError,
        ErrorCode.flowControlError,
      ]);
    });
    assert.deepEqual(hits, { violations: 1 });
    assert.ok(peer.count(FrameType.rstStream) <= BUCKETS.violations.burst + 20, peer.describe());
    const { calls, open } = await target.stats();
    assert.ok(calls < 1100, `${calls} calls reached the upstream`);
    assert.equal(open, 0, 'calls are left open at the upstream');
  }

  it('a client that cancels 1,000 calls a second for 4 s keeps its connection, and its calls are cancelled', async () => {
    const peer = await target.attacker('outbound');
    const cancels = 4000;
    const hits = await target.hitsUnderAttack('outbound', () => cancelSteadily(peer, cancels, 1000));
    assert.deepEqual(hits, {});
    peer.send(unaryRequest(cancels * 2 + 1, Path.quick));
    const status = await peer.waitFor('an answer', (frame) => frame.fields?.get('grpc-status') === '0');
    assert.equal(status.streamId, cancels * 2 + 1);
    assert.equal(peer.count(FrameType.goaway), 0);
    assert.equal((await target.stats()).open, 0);
  });
});

/** Each call is let into the upstream and cancelled a few milliseconds later. */
async function cancelSteadily(peer: RawPeer, count: number, perSecond: number): Promise<void> {
  const startedMs = performance.now();
  let opened = 0;
  let cancelled = 0;
  while (cancelled < count) {
    const due = Math.min(count, Math.ceil(((performance.now() - startedMs) / 1000) * perSecond));
    const block: Buffer[] = [];
    for (; cancelled < opened; cancelled += 1) block.push(rstStream(cancelled * 2 + 1));
    for (; opened < due; opened += 1) block.push(openRequest(opened * 2 + 1, Path.hold));
    if (block.length > 0)
      assert.ok(await peer.sendAll(Buffer.concat(block)), `cut off after ${cancelled} cancels`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
