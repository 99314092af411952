/**
 * One very large call and its neighbours on the same connection, through two sidecars with mutual TLS: the small calls
 * must not wait for the large one. Client and upstream are raw, so that nothing but the relay schedules.
 */

import assert from 'node:assert/strict';
import { data, Flag, grpcMessage } from '../kit/http2/h2-frames.js';
import { openRequest, rawClient, unaryRequest } from '../kit/http2/raw-client.js';
import type { RawPeer } from '../kit/http2/raw-peer.js';
import { answer, headersFrame, rawServer, trailersFrame } from '../kit/http2/raw-server.js';
import { suitePair } from '../kit/interop/suites.js';

const LARGE = grpcMessage(Buffer.alloc(64 << 20));
const SMALL_EVERY_MS = 5;
/** How much longer small calls may take at the median and at the 95th percentile, beside three times what they take alone. */
const ALLOWED_MS = { median: 15, p95: 40 } as const;
const NOISE = 3;
/** The median holds in every round. Others on the machine can spoil the tail of one, but what the relay does is in each. */
const ROUNDS = 3;

describe('one call of 64 MiB and its neighbours on the same connection', () => {
  const suite = suitePair(() =>
    rawServer({
      keepFrames: false,
      onRequest(call) {
        if (call.fields.get(':path') !== '/large.Download/Call') return answer(call);
        call.peer.queue(call.streamId, headersFrame(call));
        call.peer.queueShared(call.streamId, LARGE);
        call.peer.queue(call.streamId, trailersFrame(call));
      },
    }),
  );
  let peer: RawPeer;
  let nextId = 1;

  before(async () => {
    peer = await rawClient(suite.pair.target);
  });
  after(() => peer?.close());

  const takeId = (): number => {
    const id = nextId;
    nextId += 2;
    return id;
  };

  async function ended(streamId: number): Promise<void> {
    const last = await peer.waitFor(
      `the end of stream ${streamId}`,
      (each) => each.streamId === streamId && (each.flags & Flag.endStream) !== 0,
      15_000,
    );
    assert.equal(last.fields?.get('grpc-status'), '0');
  }

  /** Times small calls, one after another, while `during` runs; at least 50 of them. */
  async function smallCalls(during: Promise<unknown>): Promise<{ median: number; p95: number }> {
    let isOver = false;
    void during.finally(() => {
      isOver = true;
    });
    const latencies: number[] = [];
    while (!isOver || latencies.length < 50) {
      const startedMs = performance.now();
      const streamId = takeId();
      peer.send(unaryRequest(streamId, '/small.Neighbour/Call'));
      await ended(streamId);
      latencies.push(performance.now() - startedMs);
      await new Promise((resolve) => setTimeout(resolve, SMALL_EVERY_MS));
    }
    latencies.sort((a, b) => a - b);
    const at = (ratio: number): number => latencies[Math.floor(latencies.length * ratio)] as number;
    return { median: at(0.5), p95: at(0.95) };
  }

  async function compare(large: () => Promise<void>): Promise<void> {
    const rounds: string[] = [];
    for (let round = 0; round < ROUNDS; round++) {
      const alone = await smallCalls(Promise.resolve());
      const transfer = large();
      const beside = await smallCalls(transfer);
      await transfer;
      const told = (which: 'median' | 'p95') =>
        `${which} of small calls ${beside[which].toFixed(1)} ms, alone ${alone[which].toFixed(1)} ms`;
      const isWithin = (which: 'median' | 'p95') => beside[which] < ALLOWED_MS[which] + NOISE * alone[which];
      if (isWithin('median') && isWithin('p95')) return;
      rounds.push(`${told('median')}, ${told('p95')}`);
    }
    assert.fail(rounds.join('; '));
  }

  it('a download delays small calls by no more than a few milliseconds', () =>
    compare(async () => {
      const streamId = takeId();
      peer.send(unaryRequest(streamId, '/large.Download/Call'));
      await ended(streamId);
    }));

  it('an upload delays small calls by no more than a few milliseconds', () =>
    compare(async () => {
      const streamId = takeId();
      peer.send(openRequest(streamId, '/large.Upload/Call'));
      peer.queueShared(streamId, LARGE);
      peer.queue(streamId, data(streamId, Buffer.alloc(0), Flag.endStream));
      await ended(streamId);
    }));
});
