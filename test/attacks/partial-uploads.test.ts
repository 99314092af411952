/**
 * Uploads that begin and stop, on so many connections that each looks like an ordinary caller's: they take every place of the
 * listener for applications, and more than the memory budget. Other callers keep what they have, and new ones get in.
 */

import assert from 'node:assert/strict';
import { AttackedSidecar } from '../kit/attacks/attacked-sidecar.js';
import { peakDuring } from '../kit/attacks/held-payload.js';
import { Path } from '../kit/attacks/upstream-worker.js';
import { data, Flag, FrameType, grpcMessage } from '../kit/http2/h2-frames.js';
import { openRequest, rawClient } from '../kit/http2/raw-client.js';
import type { RawPeer, Received } from '../kit/http2/raw-peer.js';
import { until } from '../kit/process/processes.js';

const MIB = 1 << 20;
/** `max_connections` by default. */
const PLACES = 1_024;
const SLOW = 3;
/** All the places that the canary and slow uploads leave. */
const CONNECTIONS = PLACES - 1 - SLOW;
const STREAMS = 5;
/** Less than half of a window, so that no endpoint's credit is needed for it. */
const PART = Buffer.alloc(28 * 1024);
/** The default budget, and what a thousand connections, five thousand calls and the collector's delay take beside it. */
const MOST_GROWTH_MIB = 96 + 144;
/** As in memory.test.ts: a thousand connections and all their streams come at once. */
const CANARY_MS = 1_500;
const NEW_CALLERS = 30;
/** A few KB/s. */
const SLOW_BYTES = 1_024;
const SLOW_EVERY_MS = 400;

describe('attacks: partial uploads', () => {
  const target = AttackedSidecar.forSuite();

  const begin = (peer: RawPeer, streamId: number, path: string, messageBytes: number): void =>
    peer.queue(
      streamId,
      openRequest(streamId, path),
      data(streamId, grpcMessage(Buffer.alloc(0), messageBytes)),
    );

  async function hold(): Promise<void> {
    for (let i = 0; i < CONNECTIONS; i += 1) {
      const peer = await target.attacker('outbound', { replenish: false });
      for (let k = 0; k < STREAMS; k += 1) {
        begin(peer, 2 * k + 1, Path.hold, 4 * MIB);
        peer.queueShared(2 * k + 1, PART);
      }
      if (i % 10 === 9) await new Promise((resolve) => setImmediate(resolve));
    }
  }

  /** The gRPC status of the call on stream 1; what happened instead. */
  async function statusOf(peer: RawPeer): Promise<string> {
    const isEnd = ({ streamId, type, fields }: Received): boolean =>
      streamId === 1 && (type === FrameType.rstStream || fields?.has('grpc-status') === true);
    const end = await peer.waitFor('an end', isEnd).catch((error: Error) => error);
    return end instanceof Error ? end.message : (end.fields?.get('grpc-status') ?? 'reset');
  }

  /** A caller that connects, uploads 40 KB, and leaves. */
  async function newCaller(): Promise<string> {
    const peer = await rawClient(target.address('outbound'));
    const body = Buffer.alloc(40 * 1024);
    begin(peer, 1, Path.quick, body.length);
    peer.queueShared(1, body);
    peer.queue(1, data(1, Buffer.alloc(0), Flag.endStream));
    const status = await statusOf(peer);
    peer.close();
    return status;
  }

  /** Uploads that go on slowly. Returns how to send the rest, and how they ended. */
  async function slowUploads(): Promise<() => Promise<string[]>> {
    // The upstream takes no more.
    const bytes = 60 * SLOW_BYTES;
    const peers = await Promise.all(Array.from({ length: SLOW }, () => target.attacker('outbound')));
    for (const peer of peers) begin(peer, 1, Path.quick, bytes);
    let sent = 0;
    const send = (n: number): void => {
      for (const peer of peers) peer.queueShared(1, Buffer.alloc(n));
      sent += n;
    };
    const timer = setInterval(() => send(SLOW_BYTES), SLOW_EVERY_MS).unref();
    return () => {
      clearInterval(timer);
      send(bytes - sent);
      for (const peer of peers) peer.queue(1, data(1, Buffer.alloc(0), Flag.endStream));
      return Promise.all(peers.map(statusOf));
    };
  }

  it('5,000 of them, on every place of the listener, take neither places nor memory from other callers', async () => {
    const before = target.rssBytes();
    const statuses: string[] = [];
    let slow: string[] = [];
    const attack = async (): Promise<void> => {
      const endSlow = await slowUploads();
      await hold();
      // Until they have stalled, which takes some seconds, nothing tells them from callers that are slow.
      await until('a new caller is served', async () => (await newCaller()) === '0', 12_000);
      for (let i = 0; i < NEW_CALLERS; i += 1) statuses.push(await newCaller());
      slow = await endSlow();
    };
    const peak = await peakDuring(
      () => target.rssBytes(),
      () => target.underAttack('outbound', attack, CANARY_MS),
    );
    assert.deepEqual([...new Set(statuses)], ['0']);
    assert.deepEqual([...new Set(slow)], ['0'], 'uploads that move');
    const grownMib = Math.round((peak - before) / MIB);
    assert.ok(grownMib < MOST_GROWTH_MIB, `RSS grew by ${grownMib} MiB`);
    const used = await target.sidecar.metric('outrider_waiting_bytes');
    assert.ok(used < 96 * MIB, `${used} bytes wait`);
  }).timeout(60_000);
});
