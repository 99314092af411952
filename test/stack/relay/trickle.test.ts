/** Peers that begin a frame or a header block and let it trickle. */
import assert from 'node:assert/strict';
import { continuation, Flag, headers, ping } from '../../kit/http2/h2-frames.js';
import { encode, literal } from '../../kit/http2/hpack-lite.js';
import {
  type Application,
  anUpstream,
  aStreamRoute,
  type OutboundStack,
  Stack,
} from '../../kit/stack/stack.js';

const PIECE = literal('a', 'b');

describe('A peer that trickles', () => {
  let stack: Stack;
  let out: OutboundStack;
  let app: Application;

  beforeEach(() => {
    stack = new Stack();
    out = stack.outbound(anUpstream(['a'], { routes: [aStreamRoute()] }));
    app = stack.app(out.listener);
    stack.run();
  });
  afterEach(() => stack.close());

  const stalls = (): number => stack.context.stats.limits.get('stalled-frame') ?? 0;

  it('a header block that trickles, a frame every half second, is cut off, though another call goes on', () => {
    stack.settle(app.call({ body: null }));
    app.send(headers(101, encode([[':method', 'POST']]), 0));
    for (let i = 0; i < 30 && !app.isClosed; i++) {
      stack.advance(500);
      if (!app.isClosed) app.send(continuation(101, PIECE));
      stack.run();
    }
    assert.equal(app.isClosed, true);
    assert.equal(stalls(), 1);
  });

  it('a small frame that trickles, an octet every two seconds, is cut off', () => {
    stack.settle(app.call({ body: null }));
    const octets = ping();
    for (let at = 0; at < octets.length - 1 && !app.isClosed; at++) {
      app.send(octets.subarray(at, at + 1));
      stack.advance(2000);
    }
    assert.equal(app.isClosed, true);
    assert.equal(stalls(), 1);
  });

  it('payload that trickles is not cut off', () => {
    const call = stack.settle(app.call({ body: null }));
    const frame = Buffer.concat([Buffer.from([0, 0, 200, 0, 0, 0, 0, 0, call.id]), Buffer.alloc(200)]);
    for (let at = 0; at < frame.length; at += 10) {
      app.send(frame.subarray(at, at + 10));
      stack.advance(900);
    }
    stack.settle(call.data(Buffer.alloc(0), Flag.endStream));
    assert.deepEqual([app.isClosed, stalls()], [false, 0]);
    assert.equal(stack.backend('a').last.body.length, 200);
  });
});
