/**
 * A model calls another service, which fails: the sidecar beside the model retries, and tells the caller's sidecar that no
 * other retry helps. What is the model's own fault, or the way's to that service, it leaves to the caller.
 */
import assert from 'node:assert/strict';
import { EjectionState } from '../../../sidecar/core/outlier/ejection.js';
import type { PeerStream } from '../../kit/http2/scripted-peer.js';
import { UpstreamStack } from '../../kit/scenario/upstream-stack.js';
import { type Application, anInbound, aRoute, aSafeRoute, type InboundStack } from '../../kit/stack/stack.js';

const UNAVAILABLE = 14;
const trace = (digit: string) =>
  [['traceparent', `00-${digit.repeat(32)}-b7ad6b7169203331-01`]] as const satisfies [string, string][];

/** A sidecar with a model behind it; the model calls `digits` at c1 and c2 through the same sidecar. */
class Middle extends UpstreamStack {
  readonly side: InboundStack;
  readonly peer: Application;

  constructor(routes = [aSafeRoute()]) {
    super(['c1', 'c2'], { routes });
    this.side = this.inbound(anInbound({ queue: { concurrency: 8 } }));
    this.side.inbound.state.upstreamFailures = this.failures;
    this.peer = this.app(this.side.listener, 'app');
    for (const name of ['c1', 'c2']) this.backend(name).answer = (stream) => void stream.fail(UNAVAILABLE);
  }

  /** A peer's call that is at the model. */
  ask(metadata: [string, string][]): { readonly call: PeerStream; readonly atModel: PeerStream } {
    const call = this.settle(this.peer.call({ metadata }));
    return { call, atModel: this.side.model.last };
  }

  /** The model's call to the upstream, and its end. */
  askUpstream(metadata: [string, string][]): PeerStream {
    return this.settle(this.caller.call({ metadata }));
  }

  get attempts(): number {
    return this.backend('c1').requests.length + this.backend('c2').requests.length;
  }
}

const signsOf = (call: PeerStream) => [
  call.status,
  call.trailer('grpc-retry-pushback-ms'),
  call.trailer('outrider-failed-upstream'),
];

const MARKED = [UNAVAILABLE, '-1', 'digits'];
const PLAIN = [UNAVAILABLE, undefined, undefined];

describe('Scenario: a service that a model calls fails', () => {
  it('is retried beside the model, and said to the caller', () => {
    const stack = new Middle();
    const { call, atModel } = stack.ask(trace('a'));
    const inner = stack.askUpstream(trace('a'));
    assert.deepEqual([inner.status, stack.attempts], [UNAVAILABLE, 2]);
    stack.settle(atModel.fail(inner.status));
    assert.deepEqual(signsOf(call), MARKED);
    stack.assertIdle();
  });

  it('is said of each of several calls at once, by their traces or without', () => {
    for (const metadata of [trace, () => []]) {
      const stack = new Middle();
      const calls = ['1', '2', '3'].map((digit) => ({ digit, ...stack.ask(metadata(digit)) }));
      for (const { digit } of calls.reverse()) stack.askUpstream(metadata(digit));
      for (const { atModel } of calls) stack.settle(atModel.fail(UNAVAILABLE));
      for (const { call } of calls) assert.deepEqual(signsOf(call), MARKED);
    }
  });

  it('is not said where the upstream answered in the end, and the model failed by itself', () => {
    const stack = new Middle();
    stack.backend('c2').answer = (stream) => void stream.reply();
    for (let i = 0; i < 2; i++) {
      const { call, atModel } = stack.ask(trace('a'));
      assert.equal(stack.askUpstream(trace('a')).status, 0);
      stack.settle(atModel.fail(UNAVAILABLE));
      assert.deepEqual(signsOf(call), PLAIN);
    }
  });

  it('is not said where the model gives another status, or has a pushback of its own', () => {
    const stack = new Middle();
    const one = stack.ask(trace('a'));
    stack.askUpstream(trace('a'));
    stack.settle(one.atModel.fail(13));
    assert.deepEqual(signsOf(one.call), [13, undefined, undefined]);
    const two = stack.ask(trace('b'));
    stack.askUpstream(trace('b'));
    stack.settle(two.atModel.fail(UNAVAILABLE, [['grpc-retry-pushback-ms', '50']]));
    assert.deepEqual(signsOf(two.call), [UNAVAILABLE, '50', undefined]);
  });

  it('is not said of an upstream that is not retried here: the caller may', () => {
    const stack = new Middle([aRoute()]);
    const { call, atModel } = stack.ask(trace('a'));
    stack.askUpstream(trace('a'));
    stack.settle(atModel.fail(UNAVAILABLE));
    assert.deepEqual(signsOf(call), PLAIN);
  });

  it('is not said where no endpoint could be reached: another replica of the model may reach one', () => {
    const stack = new Middle();
    for (const name of ['c1', 'c2']) stack.kill(name);
    stack.run();
    const { call, atModel } = stack.ask(trace('a'));
    const inner = stack.caller.call({ metadata: trace('a') });
    stack.advance(5_000);
    assert.equal(inner.status, UNAVAILABLE);
    stack.settle(atModel.fail(UNAVAILABLE));
    assert.deepEqual(signsOf(call), PLAIN);
  });

  it('names the service at the end of a chain', () => {
    const stack = new Middle();
    const said: [string, string][] = [
      ['grpc-retry-pushback-ms', '-1'],
      ['outrider-failed-upstream', 'far-away'],
    ];
    for (const name of ['c1', 'c2'])
      stack.backend(name).answer = (stream) => void stream.fail(UNAVAILABLE, said);
    const { call, atModel } = stack.ask(trace('a'));
    stack.askUpstream(trace('a'));
    assert.equal(stack.attempts, 1, 'the sidecar of the upstream asked for no retry');
    stack.settle(atModel.fail(UNAVAILABLE));
    assert.deepEqual(signsOf(call), [UNAVAILABLE, '-1', 'far-away']);
  });

  it('ejects no replica of the model that calls it', () => {
    for (const [more, state] of [
      [[['outrider-failed-upstream', 'c']], EjectionState.admitted],
      [[], EjectionState.ejected],
    ] as const) {
      const stack = new UpstreamStack(['b1', 'b2'], { routes: [aRoute()] });
      stack.backend('b1').answer = (stream) => void stream.fail(UNAVAILABLE, more as never);
      stack.backend('b2').answer = (stream) => void stream.reply();
      for (let i = 0; i < 40; i++) stack.settle(stack.caller.call());
      assert.equal(stack.out.cluster.endpoints[0]!.ejection.state, state);
    }
  });
});
