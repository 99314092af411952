/** A route says how long a caller may ask for. What is later is brought forward, on streams too. */
import assert from 'node:assert/strict';
import { anInbound, anUpstream, aRoute, aStreamRoute, Stack } from '../../kit/stack/stack.js';

describe('Scenario: the longest deadline a route grants', () => {
  let stack: Stack;
  beforeEach(() => {
    stack = new Stack();
  });

  for (const [what, timeout, expectedMs] of [
    ['a caller’s later deadline is brought forward', '1H', 2000],
    ['a caller without a deadline gets it', undefined, 2000],
    ['a caller’s earlier deadline is kept', '500m', 500],
  ] as const) {
    it(`of a stream: ${what}`, () => {
      const out = stack.outbound(anUpstream(['a'], { routes: [aStreamRoute({ maxTimeoutMs: 2000 })] }));
      const app = stack.app(out.listener);
      const stream = stack.settle(app.call({ ...(timeout === undefined ? {} : { timeout }), body: null }));
      stack.backend('a').last.begin();
      // It is not idle.
      for (let ms = 0; ms < expectedMs - 100; ms += 100) {
        stack.advance(100);
        stack.backend('a').last.data(Buffer.from('tick'));
        stack.run();
        assert.equal(stream.isOver, false);
      }
      stack.advance(110);
      assert.deepEqual([stream.status, stream.reason], [4, 'deadline-exceeded']);
      assert.equal(stack.backend('a').last.resetCode, 8);
      const granted = stack.backend('a').last.header('grpc-timeout');
      assert.ok(granted !== undefined && Number.parseInt(granted, 10) <= 2_000_000);
    });
  }

  it('adds nothing to the route’s own limit', () => {
    const out = stack.outbound(
      anUpstream(['a'], { routes: [aRoute({ timeoutMs: 300, maxTimeoutMs: 2000 })] }),
    );
    const stream = stack.app(out.listener).call({ timeout: '1H' });
    stack.advance(310);
    assert.equal(stream.status, 4);
  });

  it('holds on the side of the model too', () => {
    const side = stack.inbound(anInbound({ routes: [aStreamRoute({ maxTimeoutMs: 1000 })] }));
    const stream = stack.app(side.listener, 'app').call({ timeout: '1H' });
    stack.run();
    side.model.last.begin();
    stack.advance(1010);
    assert.deepEqual([stream.status, stream.reason], [4, 'deadline-exceeded']);
  });
});
