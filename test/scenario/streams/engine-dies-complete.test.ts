/**
 * A language-model engine has sent all of an answer that no other engine could go on with, or the end of one of its sequences, and dies before
 * it ends the call. The caller has that: it is sent once, and a whole answer ends well.
 */
import assert from 'node:assert/strict';
import type { GenerateRequest } from '../../../proto/vllm-service.js';
import { aGenerateRequest, framedRequest, GENERATE } from '../../kit/engines/scripted-engine.js';
import { encodeResponse } from '../../kit/engines/vllm-messages.js';
import { ErrorCode, grpcMessage } from '../../kit/http2/h2-frames.js';
import type { PeerStream } from '../../kit/http2/scripted-peer.js';
import { UpstreamStack } from '../../kit/scenario/upstream-stack.js';
import { aStreamRoute, type UpstreamOptions } from '../../kit/stack/stack.js';

const COUNTS = { prompt_tokens: 4, completion_tokens: 3, cached_tokens: 0 };
const chunk = (index = 0, token_ids = [7, 8, 9]): Buffer =>
  grpcMessage(encodeResponse({ chunk: { token_ids, ...COUNTS, index } }));
const complete = (index = 0, finish_reason = 'stop'): Buffer =>
  grpcMessage(encodeResponse({ complete: { output_ids: [7, 8, 9], finish_reason, ...COUNTS, index } }));

const DIE: Readonly<Record<string, (stream: PeerStream) => unknown>> = {
  'its connection breaks': (stream) => stream.peer.socket.break(),
  'it ends with UNAVAILABLE': (stream) => stream.trailers(14),
};

describe('Scenario: a language-model engine dies after `complete` of an answer that cannot be resumed', () => {
  let stack: UpstreamStack;
  let arrived: PeerStream[];

  const start = (more: UpstreamOptions = {}, names = ['a', 'b', 'c']): void => {
    const budget = { ratio: 1, perSecond: 1_000 };
    stack = new UpstreamStack(names, { routes: [aStreamRoute()], engine: 'vllm', budget, ...more });
    arrived = [];
    stack.answers((stream) => {
      if (stream.header(':path') === GENERATE) arrived.push(stream);
      else stream.fail(12);
    });
  };
  const open = (over: Partial<GenerateRequest>): PeerStream =>
    stack.call({ path: GENERATE, body: framedRequest(aGenerateRequest(over)) });
  const send = (...messages: readonly Buffer[]): void =>
    void stack.settle(arrived.at(-1)!.begin().data(Buffer.concat(messages)));
  const die = (how: (stream: PeerStream) => unknown): void => {
    stack.settle(how(arrived.at(-1)!));
    stack.advance(500);
  };
  const assertOnce = (call: PeerStream, end: readonly unknown[], ...messages: readonly Buffer[]): void => {
    assert.equal(arrived.length, 1, 'no other engine is asked');
    assert.deepEqual([call.status, call.reason], end);
    assert.deepEqual(call.body, Buffer.concat(messages));
    stack.assertIdle();
  };
  const WELL = [0, undefined];
  const CUT_OFF = [14, 'not-resumed'];

  for (const [how, dies] of Object.entries(DIE)) {
    for (const [what, over] of Object.entries({
      'drawn by chance': { sampling_params: {} },
      'with a grammar': { sampling_params: { temperature: 0, regex: 'a+' } },
      'of a text': { tokenized: null, text: 'hello', sampling_params: { temperature: 0 } },
    }))
      it(`sent in one message, ${what}: it ends well, once; ${how}`, () => {
        start();
        const call = open({ stream: false, ...over });
        send(complete());
        die(dies);
        assertOnce(call, WELL, complete());
      });

    it(`streamed: it ends well; ${how}`, () => {
      start();
      const call = open({ sampling_params: {} });
      send(chunk(), complete());
      die(dies);
      assertOnce(call, WELL, chunk(), complete());
    });

    it(`two sequences, streamed or not: it ends well after the second end, and not after the first; ${how}`, () => {
      for (const stream of [true, false])
        for (const ends of [1, 2]) {
          start();
          const call = open({ stream, sampling_params: { n: 2 } });
          const chunks = stream ? [chunk(0), chunk(1)] : [];
          const messages = [...chunks, complete(1), complete(0)].slice(0, chunks.length + ends);
          send(...messages);
          die(dies);
          assertOnce(call, ends === 2 ? WELL : CUT_OFF, ...messages);
          stack.close();
        }
    });
  }

  it('an end of two sequences that the engine gave up is none', () => {
    start();
    const call = open({ stream: false, sampling_params: { n: 2 } });
    send(complete(0), complete(1, 'error'));
    stack.advance(500);
    assertOnce(call, CUT_OFF, complete(0));
  });

  it('its request is not kept, so that the number of its sequences is not known: it does not end well, and goes nowhere else', () => {
    start({ routes: [aStreamRoute({ replayBytes: 10 })] });
    const call = open({ stream: false, sampling_params: {} });
    send(complete());
    die(DIE['its connection breaks']!);
    assertOnce(call, CUT_OFF, complete());
  });

  it('an engine whose counts of sequences are not read: likewise', () => {
    const path = '/sglang.grpc.scheduler.SglangScheduler/Generate';
    start({ engine: 'sglang' });
    stack.answers((stream) => void arrived.push(stream));
    const call = stack.call({ path, body: grpcMessage(Buffer.from([0x0a, 1, 0x61])) });
    // complete { output_ids: 7, finish_reason: "stop" }
    const message = grpcMessage(Buffer.from([0x1a, 9, 0x0a, 1, 7, 0x12, 4, ...Buffer.from('stop')]));
    send(message);
    die(DIE['its connection breaks']!);
    assertOnce(call, CUT_OFF, message);
  });

  it('an engine that says something else, such as an error of its own, has said it once', () => {
    const path = '/sglang.grpc.scheduler.SglangScheduler/Generate';
    start({ engine: 'sglang' });
    stack.answers((stream) => void arrived.push(stream));
    const call = stack.call({ path, body: grpcMessage(Buffer.from([0x0a, 1, 0x61])) });
    // error (field 4) { message: "no" }
    const message = grpcMessage(Buffer.from([0x22, 4, 0x0a, 2, ...Buffer.from('no')]));
    send(message);
    die(DIE['its connection breaks']!);
    assertOnce(call, CUT_OFF, message);
  });

  it('a chunk without tokens says nothing yet: the request is repeated', () => {
    start();
    const call = open({ sampling_params: {} });
    send(chunk(0, []));
    die(DIE['its connection breaks']!);
    assert.equal(arrived.length, 2);
    send(chunk(), complete());
    stack.settle(arrived.at(-1)!.trailers(0));
    assert.deepEqual(call.body, Buffer.concat([chunk(0, []), chunk(), complete()]));
    assert.deepEqual([call.status, call.reason], WELL);
    stack.assertIdle();
  });

  for (const [what, over, messages] of [
    ['by chance', { stream: false, sampling_params: {} }, [complete()]],
    ['by chance, streamed', { sampling_params: {} }, [chunk(), complete()]],
    ['greedy', {}, [chunk(), complete()]],
  ] as const)
    for (const names of [['a', 'b'], ['a']])
      it(`its engine is silent instead of dying: it ends well; ${what}, of ${names.length} engines`, () => {
        start({}, names);
        const call = open(over);
        send(...messages);
        stack.advance(9_000);
        assert.equal(call.isOver, false);
        stack.advance(2_500);
        assert.equal(arrived[0]!.resetCode, ErrorCode.cancel);
        assertOnce(call, WELL, ...messages);
      });

  it('its engine is silent before the second of two ends: it is left alone', () => {
    start();
    const call = open({ stream: false, sampling_params: { n: 2 } });
    send(complete(0));
    stack.advance(60_000);
    assert.equal(call.isOver, false);
    stack.settle(arrived[0]!.data(complete(1)).trailers(0));
    assertOnce(call, WELL, complete(0), complete(1));
  });
});
