/** A client aborts an answer that a split or a fallback has sent to another upstream: the Abort goes there. */
import assert from 'node:assert/strict';
import {
  ABORT,
  aGenerateRequest,
  framedRequest,
  GENERATE,
  messagesFor,
  requestIn,
} from '../../kit/engines/scripted-engine.js';
import { decodeAbort, encodeAbort } from '../../kit/engines/vllm-messages.js';
import { grpcMessage } from '../../kit/http2/h2-frames.js';
import type { PeerStream } from '../../kit/http2/scripted-peer.js';
import { UpstreamStack } from '../../kit/scenario/upstream-stack.js';
import { anUpstream, aStreamRoute, type OutboundStack, type UpstreamOptions } from '../../kit/stack/stack.js';

const TO_SMALL = { kind: 'upstream', upstream: 'small' } as const;

describe('Scenario: a client aborts an answer', () => {
  let stack: UpstreamStack;
  let small: OutboundStack;
  /** Requests of engines, as they come to an endpoint. */
  let arrived: { readonly at: string; readonly stream: PeerStream }[];

  const start = (over: UpstreamOptions): void => {
    stack = new UpstreamStack(['a', 'b'], { name: 'big', engine: 'vllm', routes: [aStreamRoute()], ...over });
    small = stack.outbound(
      anUpstream(['s', 't', 'u'], { name: 'small', engine: 'vllm', routes: [aStreamRoute()] }),
    );
    arrived = [];
    for (const name of ['a', 'b', 's', 't', 'u'])
      stack.backend(name).answer = (stream) => {
        if (stream.header(':path')?.startsWith('/vllm.')) arrived.push({ at: name, stream });
        else stream.fail(12);
      };
  };
  const open = (id: string, caller = stack.caller): PeerStream =>
    stack.settle(caller.call({ path: GENERATE, body: framedRequest(aGenerateRequest({ request_id: id })) }));
  const abort = (id: string, caller = stack.caller): PeerStream =>
    stack.settle(caller.call({ path: ABORT, body: grpcMessage(encodeAbort([id])) }));
  const begin = (stream: PeerStream): void =>
    void stack.settle(stream.begin().data(messagesFor(requestIn(stream.body), () => 1)[0]!));
  /** The answers of these requests have begun, and each Abort comes to the engine that has its request. */
  const assertAborted = (ids: readonly string[]): void => {
    const requests = arrived.map((each) => ({ ...each, id: requestIn(each.stream.body).request_id! }));
    for (const { stream } of requests) begin(stream);
    for (const id of ids) {
      const holder = requests.find((each) => each.id === id)!;
      const call = abort(id);
      const { at, stream } = arrived.at(-1)!;
      assert.deepEqual([at, decodeAbort(stream.body.subarray(5))], [holder.at, [id]]);
      assert.equal(stream.header(':authority'), holder.stream.header(':authority'));
      stack.settle(stream.reply(Buffer.alloc(0)));
      assert.equal(call.status, 0);
    }
  };
  const assertDone = (calls: readonly PeerStream[]): void => {
    for (const { stream } of arrived)
      if (stream.header(':path') === GENERATE) stack.settle(stream.trailers(0));
    assert.ok(calls.every(({ isOver }) => isOver));
    assert.equal(stack.out.outbound.engineRequests.size + small.outbound.engineRequests.size, 0);
    stack.assertIdle();
  };

  for (const [where, weights] of [
    ['to another upstream', { small: 1 }],
    ['to several', { big: 1, small: 1 }],
  ] as const)
    it(`that a split has sent ${where}`, () => {
      start({ routes: [aStreamRoute({ split: { match: [], weights } })] });
      const ids = ['u', 'v', 'w', 'x', 'y', 'z'];
      const calls = ids.map((id) => open(id));
      assert.ok(arrived.some(({ at }) => ['s', 't', 'u'].includes(at)));
      assertAborted(ids);
      assertDone(calls);
    });

  it('that a fallback has sent to another upstream', () => {
    start({ routes: [aStreamRoute({ fallback: [TO_SMALL] })] });
    stack.kill('a');
    stack.kill('b');
    const ids = ['x', 'y'];
    const calls = ids.map((id) => open(id));
    stack.advance(3_000);
    assert.deepEqual(new Set(arrived.map(({ at }) => at)).size, 2);
    for (const name of ['a', 'b']) stack.backend(name).mode = 'accepts';
    stack.advance(60_000);
    assertAborted(ids);
    assertDone(calls);
  });

  it('of one of two upstreams that know a request by the same id', () => {
    start({});
    const other = stack.app(small.listener);
    const calls = [open('r-1'), open('r-1', other)];
    for (const { stream } of arrived) begin(stream);
    const [ofBig, ofSmall] = arrived.map(({ at }) => at);
    for (const [caller, holder] of [
      [stack.caller, ofBig],
      [other, ofSmall],
    ] as const) {
      abort('r-1', caller);
      const last = arrived.at(-1)!;
      assert.equal(last.at, holder);
      stack.settle(last.stream.reply(Buffer.alloc(0)));
    }
    assertDone(calls);
  });
});
