/**
 * Methods of which nothing is said: one whose answers have one message each is compared by its whole time, as a unary method is. A
 * wrong guess breaks nothing.
 */
import assert from 'node:assert/strict';
import { ANSWERS_NEEDED, MethodKind } from '../../../sidecar/core/routing/method-kinds.js';
import { grpcMessage } from '../../kit/http2/h2-frames.js';
import type { PeerStream } from '../../kit/http2/scripted-peer.js';
import { UpstreamStack } from '../../kit/scenario/upstream-stack.js';
import { anAutoRoute, aStreamRoute, type UpstreamOptions } from '../../kit/stack/stack.js';

const path = '/shop.Prices/Predict';
const ANSWER = grpcMessage(Buffer.from('42'));

describe('Scenario: a method is known by its answers', () => {
  let stack: UpstreamStack;
  const kind = (): MethodKind => stack.out.outbound.state.kinds.of(path);
  const start = (over: UpstreamOptions = {}): void => {
    stack = new UpstreamStack(['a', 'b'], { routes: [anAutoRoute()], ...over });
    answersOne();
  };
  /** Each endpoint answers with one message, after 5 ms. */
  const answersOne = (): void =>
    stack.answers((stream) => void stack.clock.after(5, () => stream.reply(ANSWER)));
  const unarySamples = (): number =>
    stack.names.reduce((sum, name) => sum + stack.endpoint(name).latency.samples, 0);
  const streamSamples = (): number =>
    stack.names.reduce((sum, name) => sum + (stack.endpoint(name).firstMessage?.samples ?? 0), 0);
  const learn = (): void => {
    stack.load(ANSWERS_NEEDED, 10, { path });
    assert.equal(kind(), MethodKind.single);
  };
  /** Requests that are not answered, by hand from now on. */
  const open: PeerStream[] = [];
  const last = (): PeerStream => open.at(-1)!;
  const answersByHand = (): void =>
    stack.answers((stream) => {
      if (stream.header(':path') === path) open.push(stream);
      else stream.fail(12);
    });
  afterEach(() => {
    open.length = 0;
    stack.close();
  });

  it('its calls are judged by their whole time then, and its answers are passed on at once', () => {
    start();
    learn();
    assert.deepEqual([unarySamples() > 0, streamSamples() > 0], [false, true]);
    const before = streamSamples();
    answersByHand();
    const call = stack.call({ path });
    stack.settle(last().begin().data(ANSWER));
    assert.deepEqual([call.body.length, call.isOver], [ANSWER.length, false], 'nothing is held');
    stack.advance(30);
    stack.settle(last().trailers(0));
    assert.equal(call.status, 0);
    assert.deepEqual([unarySamples(), streamSamples()], [1, before]);
  });

  it('a stream of the method an hour long loses nothing, and is no latency', () => {
    start();
    learn();
    answersByHand();
    const call = stack.call({ path });
    const stream = last();
    stack.settle(stream.begin().data(ANSWER));
    stack.settle(stream.data(ANSWER));
    assert.equal(kind(), MethodKind.streaming, 'at once');
    for (let i = 0; i < 120; i++) {
      stack.advance(30_000);
      stack.settle(stream.data(ANSWER));
    }
    stack.settle(stream.trailers(0));
    assert.deepEqual([call.status, call.body.length], [0, 122 * ANSWER.length]);
    assert.equal(unarySamples(), 0);
    answersOne();
    stack.load(2 * ANSWERS_NEEDED, 10, { path });
    assert.equal(kind(), MethodKind.streaming, 'for good');
    assert.equal(stack.out.outbound.state.kinds.unlearned, 1);
  });

  it('gives no deadline, and no second attempt', () => {
    start({ routes: [anAutoRoute({ idempotent: true })] });
    learn();
    answersByHand();
    const call = stack.call({ path });
    assert.equal(last().header('grpc-timeout'), undefined);
    stack.settle(last().begin());
    stack.advance(120_000);
    assert.equal(call.isOver, false);
    stack.settle(last().data(ANSWER).trailers(0));
    assert.equal(call.status, 0);
    const failing = stack.call({ path });
    stack.settle(last().fail(14));
    stack.advance(1_000);
    assert.deepEqual([failing.status, open.length], [14, 2]);
  });

  it('answers of another kind are none of these', () => {
    const shapes: Record<string, (stream: PeerStream) => void> = {
      'two messages in one frame': (stream) => {
        stream.begin().data(Buffer.concat([ANSWER, ANSWER]));
        stream.trailers(0);
      },
      'no message': (stream) => {
        stream.begin();
        stream.trailers(0);
      },
      'trailers only': (stream) => void stream.fail(0),
      'half a message more': (stream) => {
        stream.begin().data(Buffer.concat([ANSWER, ANSWER.subarray(0, 3)]));
        stream.trailers(0);
      },
      'an error after the message': (stream) => {
        stream.begin().data(ANSWER);
        stream.trailers(13);
      },
      'no gRPC message at all': (stream) => {
        stream.begin().data(Buffer.from('ffffffffffff', 'hex'));
        stream.trailers(0);
      },
    };
    for (const [name, answer] of Object.entries(shapes)) {
      start();
      stack.answers(answer);
      stack.load(2 * ANSWERS_NEEDED, 10, { path });
      assert.notEqual(kind(), MethodKind.single, name);
      stack.close();
    }
    start();
  });

  it('what the file says of a method wins', () => {
    start({ routes: [aStreamRoute()] });
    stack.load(2 * ANSWERS_NEEDED, 10, { path });
    assert.equal(kind(), MethodKind.unknown, 'nothing is counted');
    assert.equal(unarySamples(), 0);
  });

  it('a large answer in many frames is one message', () => {
    start();
    const large = grpcMessage(Buffer.alloc(600_000, 7));
    stack.answers((stream) => {
      stream.begin();
      for (let at = 0; at < large.length; at += 16_000) stream.data(large.subarray(at, at + 16_000));
      stream.trailers(0);
    });
    for (let i = 0; i < ANSWERS_NEEDED; i++) {
      const call = stack.call({ path });
      stack.advance(10);
      assert.equal(call.body.length, large.length);
    }
    assert.equal(kind(), MethodKind.single);
  });
});
