/**
 * `outrider-unprocessed` says that a call may be sent again on any route. It is given only where no attempt of the call, the last one or
 * one before, may have been processed.
 */
import assert from 'node:assert/strict';
import type { BreakerConfig, RouteConfig } from '../../../sidecar/config/model.js';
import { ErrorCode, Setting } from '../../kit/http2/h2-frames.js';
import type { Field } from '../../kit/http2/hpack-lite.js';
import type { PeerStream } from '../../kit/http2/scripted-peer.js';
import { UpstreamStack, type UpstreamStackOptions } from '../../kit/scenario/upstream-stack.js';
import { assertEnd, assertUnprocessed } from '../../kit/stack/call-ends.js';
import { aRoute, aSafeRoute, type UpstreamOptions } from '../../kit/stack/stack.js';

const UNMARKED = { 'outrider-unprocessed': undefined };
const refusal = (reason: string): Field[] => [
  ['outrider-reason', reason],
  ['outrider-unprocessed', 'true'],
];
/** A second attempt follows UNAVAILABLE within 200 ms. */
const LATER: RouteConfig = aSafeRoute({
  retry: { attempts: 2, on: [14], backoff: { baseMs: 200, maxMs: 200 } },
});
const BREAKER: BreakerConfig = { maxConnections: 0, maxPending: 1, maxInFlight: 0, maxRetries: 0 };

describe('Outbound: the mark of a call that was not processed', () => {
  let stack: UpstreamStack;
  const start = (
    route: RouteConfig,
    over: UpstreamOptions = {},
    options: UpstreamStackOptions = {},
  ): UpstreamStack => {
    stack = new UpstreamStack(
      ['a', 'b'],
      { routes: [route], ejection: { mode: 'observe' }, ...over },
      options,
    );
    return stack;
  };
  const first = (): PeerStream => stack.backend('a').last;
  const second = (): PeerStream => stack.backend('b').last;
  const refuse = (stream: PeerStream, reason = 'overloaded'): void =>
    void stack.settle(stream.fail(8, refusal(reason)));

  describe('is not given after an attempt that may have run,', () => {
    it('where no endpoint is left then', () => {
      start(LATER);
      const call = stack.call();
      stack.settle(first().fail(14));
      stack.update({ routes: [LATER] }, []);
      stack.advance(300);
      assertEnd(call, [14, 'no-endpoint'], UNMARKED);
    });

    it('where the breaker is open then', () => {
      start(LATER, { breaker: BREAKER });
      const call = stack.call();
      stack.settle(first().fail(14));
      for (const name of stack.names) {
        stack.kill(name);
        stack.backend(name).mode = 'silent';
      }
      const waits = stack.call();
      stack.advance(300);
      assertEnd(call, [8, 'breaker-open'], UNMARKED);
      stack.settle(waits.reset());
    });

    it('where no connection can be made then', () => {
      start(LATER);
      const call = stack.call();
      stack.settle(first().fail(14));
      for (const name of stack.names) stack.kill(name);
      stack.advance(4_000);
      assertEnd(call, [14, 'connect-failed'], UNMARKED);
    });

    for (const [what, end] of [
      ['answered', (stream: PeerStream) => void stream.fail(14)],
      ['was reset', (stream: PeerStream) => void stream.reset(ErrorCode.internalError)],
      ['lost its connection', (stream: PeerStream) => void stream.peer.socket.break()],
    ] as const)
      it(`where it ${what} and the next endpoint refuses the call: its refusal is passed on without its mark`, () => {
        start(aSafeRoute());
        const call = stack.call();
        stack.settle(end(first()));
        refuse(second());
        assertEnd(call, [8, 'overloaded'], UNMARKED);
      });

    it('where it failed beside a hedge, which is refused', () => {
      start(aRoute({ idempotent: true, hedge: { percentile: 0.9, minDelayMs: 1, maxRatio: 0.5 } }));
      stack.answers((stream) => stream.reply());
      stack.load(60, 5);
      stack.answers(() => {});
      const before = stack.requests.length;
      const call = stack.caller.call();
      stack.advance(20);
      assert.equal(stack.requests.length, before + 2);
      stack.settle(first().fail(14));
      refuse(second());
      assertEnd(call, [8, 'overloaded'], UNMARKED);
    });
  });

  describe('is given', () => {
    it('where all endpoints have refused the call', () => {
      start(aRoute());
      const call = stack.call();
      refuse(first());
      refuse(second());
      assertUnprocessed(call, [8, 'overloaded']);
    });

    it('where the attempts before never reached an endpoint', () => {
      start(LATER);
      const call = stack.call();
      stack.settle(first().reset(ErrorCode.refusedStream));
      refuse(second());
      assertUnprocessed(call, [8, 'overloaded']);
    });

    it('where the endpoint is gone at which the call waited for a stream', () => {
      const peer = { settings: [[Setting.maxConcurrentStreams, 0]] } as const;
      start(aRoute(), {}, { peer });
      const call = stack.call();
      for (const name of stack.names) stack.kill(name);
      stack.advance(2_000);
      assertUnprocessed(call, [14, 'connect-failed']);
    });
  });

  it('memory-budget of a sidecar is such a refusal: another endpoint has the call, and it is no fault', () => {
    start(aRoute());
    const call = stack.call();
    refuse(first(), 'memory-budget');
    stack.settle(second().reply());
    assertEnd(call, [0]);
    const { outcomes, ejection } = stack.endpoint('a');
    assert.deepEqual([outcomes[1], ejection.consecutiveFaults], [0, 0]);
  });
});
