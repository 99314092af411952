/** Peers that begin a frame or a header block and let it trickle. */
import assert from 'node:assert/strict';
import { continuation, Flag, headers, ping } from '../../kit/http2/h2-frames.js';
import { encode, literal } from '../../kit/http2/hpack-lite.js';
import { UpstreamStack } from '../../kit/scenario/upstream-stack.js';
import { type Application, aStreamRoute } from '../../kit/stack/stack.js';

const PIECE = literal('a', 'b');

describe('A peer that trickles', () => {
  let stack: UpstreamStack;
  let app: Application;

  beforeEach(() => {
    stack = new UpstreamStack(['a'], { routes: [aStreamRoute()] });
    app = stack.caller;
  });

  const assertCutOff = (isCutOff: boolean): void => {
    const stalls = stack.context.stats.limits.get('stalled-frame') ?? 0;
    assert.deepEqual([app.isClosed, stalls], [isCutOff, isCutOff ? 1 : 0]);
  };

  it('a header block that trickles, a frame every half second, is cut off, though another call goes on', () => {
    stack.call({ body: null });
    app.send(headers(101, encode([[':method', 'POST']]), 0));
    for (let i = 0; i < 30 && !app.isClosed; i++) {
      stack.advance(500);
      if (!app.isClosed) app.send(continuation(101, PIECE));
      stack.run();
    }
    assertCutOff(true);
  });

  it('a small frame that trickles, a byte every two seconds, is cut off', () => {
    stack.call({ body: null });
    const bytes = ping();
    for (let at = 0; at < bytes.length - 1 && !app.isClosed; at++) {
      app.send(bytes.subarray(at, at + 1));
      stack.advance(2000);
    }
    assertCutOff(true);
  });

  it('payload that trickles is not cut off', () => {
    const call = stack.call({ body: null });
    const frame = Buffer.concat([Buffer.from([0, 0, 200, 0, 0, 0, 0, 0, call.id]), Buffer.alloc(200)]);
    for (let at = 0; at < frame.length; at += 10) {
      app.send(frame.subarray(at, at + 10));
      stack.advance(900);
    }
    stack.settle(call.data(Buffer.alloc(0), Flag.endStream));
    assertCutOff(false);
    assert.equal(stack.backend('a').last.body.length, 200);
  });

  it('frames of payload that each come in time are not cut off, though one is always begun and the peer pauses', () => {
    const call = stack.call({ body: null });
    const frame = Buffer.concat([Buffer.from([0, 0, 200, 0, 0, 0, 0, 0, call.id]), Buffer.alloc(200)]);
    const bytes = Buffer.concat(Array.from({ length: 10 }, () => frame));
    for (let at = 0; at < bytes.length; at += 100) {
      app.send(bytes.subarray(at, at + 100));
      stack.advance(1600);
    }
    stack.settle(call.data(Buffer.alloc(0), Flag.endStream));
    assertCutOff(false);
    assert.equal(stack.backend('a').last.body.length, 2000);
  });

  for (const [what, flags, more] of [
    ['payload', 0, 50],
    ['padding', Flag.padded, 190],
  ] as const)
    it(`a frame that stops in its ${what} is cut off after 15 s at the latest, whatever came before it`, () => {
      const call = stack.call({ body: null });
      const head = Buffer.from([0, 0, 200, 0, flags, 0, 0, 0, call.id]);
      const payload = Buffer.concat([Buffer.from([100]), Buffer.alloc(199)]);
      for (let i = 0; i < 10; i++) {
        app.send(Buffer.concat([head, payload]));
        stack.advance(1600);
      }
      app.send(Buffer.concat([head, payload.subarray(0, more)]));
      stack.advance(15_100);
      assertCutOff(true);
    });
});
