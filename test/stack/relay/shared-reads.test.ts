/**
 * A request that has two readers: what one of them writes leaves the other's bytes as they are, also those that a blocked
 * socket still refers to. A socket in memory keeps what is written by reference until the other side reads it, as Node does.
 */
import assert from 'node:assert/strict';
import type { RouteConfig, UpstreamConfig } from '../../../sidecar/config/model.js';
import { FrameReader, FrameType, grpcMessage, Setting, windowUpdate } from '../../kit/http2/h2-frames.js';
import { UpstreamStack } from '../../kit/scenario/upstream-stack.js';
import { anUpstream, aRoute, aSafeRoute } from '../../kit/stack/stack.js';

const CALLS = 40;
const MIRROR = { upstream: 'shadow', ratio: 1, maxInFlight: 1024, tolerance: 1e-4 };
const WIDE = [[Setting.initialWindowSize, 1 << 20]] as const;

/** A request of one DATA frame in which every byte but the prefix is the number of the call. */
const bodyOf = (call: number): Buffer => grpcMessage(Buffer.alloc(16_000, call + 1));

/** Everything that the endpoint `name` has been sent, byte by byte. */
function recorded(stack: UpstreamStack, name: string): Buffer[] {
  const sent: Buffer[] = [];
  const { peer } = stack.backend(name);
  peer.socket.on('data', (chunk: Buffer) => void sent.push(Buffer.from(chunk)));
  stack.settle(peer.send(windowUpdate(0, 1 << 24)));
  return sent;
}

/** DATA by stream; each frame must belong to a stream whose headers came before. */
function assertWhole(name: string, sent: readonly Buffer[]): void {
  const bodies = new Map<number, Buffer[]>();
  for (const { type, streamId, payload } of new FrameReader().push(Buffer.concat(sent))) {
    if (type === FrameType.headers) bodies.set(streamId, []);
    if (type !== FrameType.data) continue;
    const body = bodies.get(streamId);
    assert.ok(body, `${name}: DATA on stream ${streamId}, which was not opened`);
    body.push(payload);
  }
  let data = 0;
  for (const [id, body] of bodies) {
    const all = Buffer.concat(body);
    data += all.length;
    const call = all.length > 5 ? all[5]! - 1 : 0;
    assert.ok(all.equals(bodyOf(call).subarray(0, all.length)), `${name}: bytes of others in stream ${id}`);
  }
  assert.ok(data > 0, `${name} got no DATA`);
}

describe('Bytes of a request that has two readers', () => {
  const shadows: Record<string, { readonly over: Partial<UpstreamConfig>; readonly streams: number }> = {
    'replay of 1 KiB': { over: { routes: [aRoute({ replayBytes: 1024 })] }, streams: 1000 },
    'four concurrent streams': { over: {}, streams: 4 },
  };
  for (const [what, { over, streams }] of Object.entries(shadows)) {
    it(`stay the primary's while a mirror copies them to a shadow with ${what}`, () => {
      const routes = [aRoute({ mirror: MIRROR })];
      const stack = new UpstreamStack(['a'], { routes }, { peer: { settings: WIDE } });
      stack.backend('b').peerOptions = { settings: [...WIDE, [Setting.maxConcurrentStreams, streams]] };
      const shadow = stack.outbound(anUpstream(['b'], { name: 'shadow', ...over }));
      // Stream ids at the shadow differ from those at the primary.
      stack.settle(stack.app(shadow.listener).call());
      stack.settle(stack.backend('b').last.reply());
      stack.call();
      stack.settle(stack.backend('a').last.reply());
      stack.advance(50);
      const toPrimary = recorded(stack, 'a');
      const toShadow = recorded(stack, 'b');
      stack.backend('a').peer.socket.pause();
      for (let i = 0; i < CALLS; i++) stack.call({ body: bodyOf(i), timeout: '1500m' });
      stack.advance(1600);
      assert.ok(stack.backend('b').requests.length > 1, 'no copy was sent');
      stack.settle(stack.backend('a').peer.socket.resume());
      assertWhole('a', toPrimary);
      assertWhole('b', toShadow);
      stack.advance(60_000);
    });
  }

  const repeats: Record<string, Partial<RouteConfig>> = {
    'a retry': { attemptTimeoutMs: 200 },
    'a hedge': { hedge: { percentile: 0.9, minDelayMs: 50, maxRatio: 1 } },
  };
  for (const [what, over] of Object.entries(repeats)) {
    it(`stay the first attempt's while ${what} sends them elsewhere`, () => {
      const routes = [aSafeRoute({ timeoutMs: 1500, ...over })];
      const budget = { ratio: 1, perSecond: 100 };
      const stack = new UpstreamStack(['a', 'b'], { routes, budget }, { peer: { settings: WIDE } });
      // Stream ids differ, and there are times to hedge by.
      stack.answers((stream) => void stream.reply());
      stack.load(41, 5);
      stack.answers(() => {});
      const sent = [recorded(stack, 'a'), recorded(stack, 'b')] as const;
      stack.backend('a').peer.socket.pause();
      for (let i = 0; i < CALLS; i++) stack.call({ body: bodyOf(i) });
      stack.advance(2000);
      const { length } = stack.backend('b').requests;
      assert.ok(length > 20 + CALLS / 2, `${what} was not sent: ${length} requests`);
      stack.settle(stack.backend('a').peer.socket.resume());
      assertWhole('a', sent[0]);
      assertWhole('b', sent[1]);
    });
  }
});
