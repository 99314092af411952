/** The sidecar of a model tells its callers which methods the model has, and goes by it itself. */
import assert from 'node:assert/strict';
import { LIST_METHODS, readMethodList } from '../../../sidecar/codec/method-list.js';
import { grpcMessage } from '../../kit/http2/h2-frames.js';
import type { PeerStream } from '../../kit/http2/scripted-peer.js';
import { ModelStack } from '../../kit/stack/model-stack.js';
import { anAutoRoute, type InboundOptions, MESSAGE } from '../../kit/stack/stack.js';

const path = '/shop.Prices/Predict';
const watch = '/shop.Prices/Watch';
const LIST = { unary: [path], streaming: [watch] };
const ANSWER = grpcMessage(Buffer.from('42'));

describe('The methods of a model', () => {
  let stack: ModelStack;
  const start = (over: InboundOptions = {}): void => {
    stack = new ModelStack({ routes: [anAutoRoute()], ...over });
  };
  const ask = (service = 'app'): PeerStream =>
    stack.call({ path: LIST_METHODS, body: grpcMessage(Buffer.alloc(0)) }, stack.caller(service));

  it('are told to a peer that may call, and to no other; no call is counted, and the model is not asked', () => {
    start();
    stack.side.inbound.state.describe(LIST);
    const answer = ask();
    assert.equal(answer.status, 0);
    assert.deepEqual(readMethodList(answer.body.subarray(5)), LIST);
    assert.equal(ask('stranger').status, 7);
    assert.deepEqual([stack.requests.length, stack.context.stats.calls.length], [0, 0]);
  });

  it('are not there yet while the service may still describe them, and not at all where it does not', () => {
    start();
    assert.equal(ask().status, 14);
    stack.side.inbound.state.describe(undefined);
    assert.equal(ask().status, 12);
    stack.side.inbound.state.describe(LIST);
    assert.equal(ask().status, 0, 'it has started anew, and does');
  });

  it('a question of a peer that may not ask is answered before its end', () => {
    start();
    const question = stack.call({ path: LIST_METHODS, body: null }, stack.caller('stranger'));
    assert.equal(question.status, 7);
  });

  it('a question that is a stream of bytes is read to its end, and answered', () => {
    start();
    stack.side.inbound.state.describe(LIST);
    const question = stack.caller('app').call({ path: LIST_METHODS, body: null });
    for (let i = 0; i < 64; i++) stack.settle(question.data(Buffer.alloc(16_000)));
    stack.settle(question.end());
    assert.equal(question.status, 0);
  });

  it('a unary one waits for its place with all of its request, and keeps it while it runs', () => {
    start({ queue: { concurrency: 1 } });
    stack.side.inbound.state.describe(LIST);
    stack.model.answer = () => {};
    const open = stack.settle(stack.caller('app').call({ path, body: null }).data(MESSAGE.subarray(0, 3)));
    const quick = stack.call({ path });
    assert.equal(stack.requests.length, 1, 'half a request takes no place');
    stack.advance(30_000);
    const waiting = stack.call({ path });
    assert.equal(stack.requests.length, 1, 'a long run keeps its place');
    stack.settle(stack.requests[0]!.begin().data(ANSWER));
    assert.equal(quick.body.length, 0, 'held until its status is known');
    stack.settle(stack.requests[0]!.trailers(0));
    stack.settle(stack.requests[1]!.reply(ANSWER));
    assert.deepEqual([quick.status, waiting.status], [0, 0]);
    stack.settle(open.reset());
  });

  it('a unary one has no deadline here but that of its caller', () => {
    start();
    stack.side.inbound.state.describe(LIST);
    stack.model.answer = () => {};
    const call = stack.call({ path });
    stack.advance(60_000);
    stack.settle(stack.requests[0]!.reply(ANSWER));
    assert.equal(call.status, 0);
  });

  it('one that sends a second message is a stream, whatever was said', () => {
    start();
    stack.side.inbound.state.describe(LIST);
    stack.model.answer = () => {};
    const call = stack.call({ path });
    const [stream] = stack.requests;
    stack.settle(stream!.begin().data(ANSWER));
    stack.settle(stream!.data(ANSWER));
    assert.equal(call.body.length, 2 * ANSWER.length);
    stack.settle(stream!.trailers(0));
    const next = stack.call({ path });
    stack.settle(stack.requests[1]!.begin().data(ANSWER));
    assert.equal(next.body.length, ANSWER.length);
    stack.settle(stack.requests[1]!.trailers(0));
  });
});
