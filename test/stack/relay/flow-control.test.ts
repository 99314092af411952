/** Large payloads and slow readers: what is held is bounded, and neighbours do not wait. */
import assert from 'node:assert/strict';
import { contentOf, data, Flag, FrameType, paddedData, Setting } from '../../kit/http2/h2-frames.js';
import type { PeerOptions } from '../../kit/http2/scripted-peer.js';
import { UpstreamStack, type UpstreamStackOptions } from '../../kit/scenario/upstream-stack.js';
import { type Application, aRoute, aSafeRoute, aStreamRoute } from '../../kit/stack/stack.js';

const MIB = 1024 * 1024;
const HEAD = { type: FrameType.data, streamId: 0 } as const;
const BODY = Buffer.alloc(16 * MIB, 'z');

describe('Flow', () => {
  let stack: UpstreamStack;
  const start = (route = aRoute({ timeoutMs: 0 }), options: UpstreamStackOptions = {}): UpstreamStack => {
    stack = new UpstreamStack(['a'], { routes: [route], pool: { pingIntervalMs: 0 } }, options);
    return stack;
  };
  /** Another application, which speaks HTTP/2 so. */
  const another = (options: Omit<PeerOptions, 'role'> = {}): Application =>
    stack.app(stack.out.listener, undefined, options);

  it('a 16 MiB response to a caller that does not read holds at most the windows', () => {
    const call = start().call();
    const { last, peer } = stack.backend('a');
    stack.caller.socket.pause();
    stack.settle(last.begin().data(BODY));
    stack.advance(1000);
    const taken = peer.socket.delivered;
    assert.ok(taken < 3 * MIB, `${taken} bytes were taken from the endpoint`);
    assert.equal(call.bytes, 0);
    stack.settle(stack.caller.socket.resume());
    stack.settle(last.trailers(0));
    assert.deepEqual([call.status, call.bytes], [0, BODY.length]);
  }).timeout(10_000);

  it('a 16 MiB response to a caller that gives no window holds at most the windows', () => {
    start();
    const app = another({ replenishes: false });
    const call = stack.settle(app.call());
    const { last, peer } = stack.backend('a');
    stack.settle(last.begin().data(BODY));
    assert.ok(peer.socket.delivered < 3 * MIB);
    assert.equal(call.bytes, 65_535);
    stack.settle(call.reset());
    assert.equal(last.resetCode, 8);
  });

  it('many large responses hold the sum of their windows, and other callers do not notice', () => {
    start();
    const slow = another({ replenishes: false });
    const made = stack.settle(Array.from({ length: 20 }, () => slow.call()));
    const { requests, peer } = stack.backend('a');
    for (const request of requests) request.begin().data(BODY.subarray(0, 4 * MIB));
    stack.run();
    const held = made.reduce((rest, { bytes }) => rest - bytes, peer.socket.delivered);
    assert.ok(held < 20 * 1.3 * MIB, `${held}`);
    const quick = stack.settle(another().call());
    stack.settle(stack.backend('a').last.reply());
    assert.equal(quick.status, 0);
  });

  describe('a held response of 100 KB is not stuck', () => {
    const frames: Record<string, (id: number, bytes: number) => Buffer> = {
      'in frames of 1,000 bytes': (id, bytes) => data(id, Buffer.alloc(Math.min(bytes, 1000))),
      'in frames of 16,384 bytes': (id, bytes) => data(id, Buffer.alloc(Math.min(bytes, 16_384))),
      'in frames with more padding than payload': (id, bytes) =>
        paddedData(id, Buffer.alloc(Math.min(bytes, 100)), 255),
    };
    for (const memoryBytes of [256 * MIB, 110 * 1024]) {
      for (const [name, next] of Object.entries(frames)) {
        it(`${name}, ${memoryBytes < MIB ? 'without a budget' : 'within the budget'}`, () => {
          stack = new UpstreamStack(['a'], {}, { memoryBytes });
          const call = stack.call();
          const { last, peer } = stack.backend('a');
          last.begin();
          for (let sent = 0; sent < 100_000; ) {
            const each = next(last.id, 100_000 - sent);
            peer.queue(last.id, each);
            sent += contentOf({ ...HEAD, flags: each[4]!, payload: each.subarray(9) }).length;
          }
          stack.settle(last.trailers(0));
          assert.deepEqual([call.status, call.bytes], [0, 100_000]);
        });
      }
    }
  });

  it('a 16 MiB request to an endpoint that does not read holds at most the windows and the replay buffer', () => {
    const call = start(aSafeRoute({ timeoutMs: 0 }), { peer: { replenishes: false } }).call({ body: BODY });
    const taken = stack.caller.socket.delivered;
    assert.ok(taken < 3 * MIB, `${taken} bytes were taken from the caller`);
    assert.ok(stack.context.memory.held <= MIB * 4.1);
    stack.settle(call.reset());
  });

  it('a 16 MiB request that waits for a connection holds at most the replay buffer', () => {
    const peer = { settings: null };
    stack = new UpstreamStack(['a'], { pool: { connectTimeoutMs: 60_000 } }, { peer });
    const call = stack.call({ body: BODY, timeout: '1H' });
    assert.ok(stack.caller.socket.delivered < 5 * MIB);
    stack.settle(stack.backend('a').peer.announce([[Setting.initialWindowSize, MIB]]));
    const { last } = stack.backend('a');
    assert.equal(last.bytes, BODY.length);
    stack.settle(last.reply());
    assert.equal(call.status, 0);
  }).timeout(10_000);

  it('16 MiB pass in both directions without a changed byte', () => {
    start();
    const body = Buffer.from(BODY);
    for (let i = 0; i < body.length; i += 4096) body.writeUInt32LE(i, i);
    const call = stack.call({ body });
    const { last } = stack.backend('a');
    assert.ok(last.body.equals(body));
    stack.settle(last.reply(body));
    assert.equal(call.status, 0);
    assert.ok(call.body.equals(body));
  }).timeout(10_000);

  it('a small call beside a 16 MiB one on the same connection waits for a few frames of it', () => {
    start().caller.call({ body: BODY });
    for (let i = 0; i < 20; i++) stack.turn();
    const { requests } = stack.backend('a');
    const largeBefore = requests[0]!.bytes;
    assert.ok(largeBefore < BODY.length / 2, `${largeBefore} bytes came before the small call`);
    stack.caller.call({ path: '/p.S/Small' });
    while (requests.length < 2) assert.ok(stack.turn(), 'the small call never came');
    const between = requests[0]!.bytes - largeBefore;
    assert.ok(between <= 2.2 * MIB, `${between} bytes of the large call came first`);
    stack.run();
    assert.equal(requests[0]!.bytes, BODY.length);
    for (const request of requests) request.reply();
    stack.run();
  }).timeout(10_000);

  it('responses side by side take turns, a quantum each', () => {
    start(aStreamRoute());
    const app = another({ settings: [[Setting.initialWindowSize, MIB]] });
    const made = stack.settle(Array.from({ length: 4 }, () => app.call()));
    for (const request of stack.backend('a').requests) request.begin().data(BODY.subarray(0, MIB / 2));
    while (made.every((call) => call.bytes < MIB / 8)) stack.turn();
    const got = made.map((call) => call.bytes);
    assert.ok(Math.max(...got) - Math.min(...got) <= 256 * 1024, `${got}`);
    stack.run();
    for (const request of stack.backend('a').requests) request.trailers(0);
    stack.run();
    for (const call of made) assert.deepEqual([call.status, call.bytes], [0, MIB / 2]);
  });

  it('a peer may reduce its frame size and its windows during a call', () => {
    start();
    const app = another({ settings: [[Setting.initialWindowSize, 1]] });
    const call = stack.settle(app.call());
    stack.settle(stack.backend('a').last.reply(Buffer.from('0123456789')));
    assert.deepEqual([call.body.toString(), call.status], ['0123456789', 0]);
  });

  it('an empty DATA frame with END_STREAM is passed on', () => {
    const call = start(aStreamRoute()).call({ body: null });
    stack.settle(call.data(Buffer.alloc(0), Flag.endStream));
    assert.equal(stack.backend('a').last.isEnded, true);
    stack.settle(stack.backend('a').last.begin().trailers(0));
    assert.equal(call.status, 0);
  });
});
