/**
 * The message that ends an answer of a language-model engine is large: with `stream: false` it has all tokens, and log probabilities of each. An end
 * by which the engine gives the answer up is no end, however large that message is, and in whatever frames it comes.
 */
import assert from 'node:assert/strict';
import type { GenerateRequest } from '../../../proto/vllm-service.js';
import {
  ABORT,
  aGenerateRequest,
  framedRequest,
  GENERATE,
  requestIn,
} from '../../kit/engines/scripted-engine.js';
import { encodeAbort, encodeResponse } from '../../kit/engines/vllm-messages.js';
import { grpcMessage } from '../../kit/http2/h2-frames.js';
import type { PeerStream } from '../../kit/http2/scripted-peer.js';
import { UpstreamStack } from '../../kit/scenario/upstream-stack.js';
import { aStreamRoute, type UpstreamOptions } from '../../kit/stack/stack.js';

const KIB = 1024;
const COUNTS = { prompt_tokens: 4, completion_tokens: 3, cached_tokens: 1 };
/** Ids of two bytes each. */
const idsOf = (bytes: number): number[] => Array.from({ length: bytes / 2 }, (_, i) => 128 + (i % 1_000));
const complete = (finish_reason: string, bytes: number): Buffer =>
  grpcMessage(encodeResponse({ complete: { output_ids: idsOf(bytes), finish_reason, ...COUNTS } }));
/** Most of it is behind its `finish_reason`. */
const completeWithLogprobs = (finish_reason: string, bytes: number): Buffer => {
  const output_logprobs = { token_logprobs: [], token_ids: idsOf(bytes), top_logprobs: [] };
  return grpcMessage(
    encodeResponse({ complete: { output_ids: [7], finish_reason, ...COUNTS, output_logprobs } }),
  );
};
const chunk = (bytes: number): Buffer =>
  grpcMessage(encodeResponse({ chunk: { token_ids: idsOf(bytes), ...COUNTS } }));

const KINDS: Readonly<Record<string, Partial<GenerateRequest>>> = {
  'by chance': { sampling_params: {} },
  greedy: { sampling_params: { temperature: 0 } },
};

describe('Scenario: a language-model engine ends an answer by a large message', () => {
  let stack: UpstreamStack;
  let arrived: PeerStream[];

  const start = (more: UpstreamOptions = {}): void => {
    const budget = { ratio: 1, perSecond: 1_000 };
    stack = new UpstreamStack(['a', 'b', 'c'], { routes: [aStreamRoute()], engine: 'vllm', budget, ...more });
    arrived = [];
    stack.answers((stream) => {
      if (stream.header(':path')?.startsWith('/vllm.')) arrived.push(stream);
      else stream.fail(12);
    });
  };
  const open = (over: Partial<GenerateRequest>): PeerStream =>
    stack.call({ path: GENERATE, body: framedRequest(aGenerateRequest(over)) });
  const latest = (): PeerStream => arrived.at(-1)!;
  /** In frames of `frame` bytes, each in a read of its own. */
  const send = (stream: PeerStream, body: Buffer, frame = 10_000): void => {
    for (let at = 0; at < body.length; at += frame) stack.settle(stream.data(body.subarray(at, at + frame)));
  };
  const exit = (stream: PeerStream): void => {
    stack.settle(stream.peer.socket.break());
    stack.advance(300);
  };
  const assertEnd = (call: PeerStream, end: readonly unknown[], body: Buffer, engines = 1): void => {
    assert.deepEqual([call.status, call.reason, arrived.length], [...end, engines]);
    assert.ok(call.body.equals(body), `${call.body.length} of ${body.length} bytes`);
    stack.assertIdle();
    stack.close();
  };
  const WELL = [0, undefined];
  const CUT_OFF = [14, 'not-resumed'];

  for (const [kind, over] of Object.entries(KINDS)) {
    for (const [bytes, of] of [
      [10, complete],
      [20 * KIB, complete],
      [60 * KIB, complete],
      [60 * KIB, completeWithLogprobs],
    ] as const)
      it(`given up by the first message, of ${bytes} bytes: another engine gets the request, and its answer is passed on; ${kind}`, () => {
        for (const reason of ['abort', 'error']) {
          start();
          const call = open({ stream: false, ...over });
          const first = latest();
          stack.settle(first.begin());
          send(first, of(reason, bytes));
          stack.settle(first.trailers(0));
          exit(first);
          assert.equal(arrived.length, 2);
          const { request_id, ...asked } = requestIn(latest().body);
          const { request_id: before, ...askedBefore } = requestIn(first.body);
          assert.deepEqual(asked, askedBefore);
          stack.settle(latest().begin());
          send(latest(), of('stop', bytes));
          stack.settle(latest().trailers(0));
          assertEnd(call, WELL, of('stop', bytes), 2);
        }
      });

    for (const of of [complete, completeWithLogprobs])
      for (const frame of [10_000, 900])
        it(`given up by a first message that is too large to be held: it does not end well; ${of.name}, ${kind}, frames of ${frame}`, () => {
          for (const reason of ['abort', 'error']) {
            start();
            const call = open({ stream: false, ...over });
            stack.settle(latest().begin());
            send(latest(), of(reason, 100 * KIB), frame);
            if (reason === 'abort') stack.settle(latest().trailers(0));
            exit(latest());
            assertEnd(call, CUT_OFF, of(reason, 100 * KIB));
          }
        });

    it(`given up by a large message after others: it does not end well; ${kind}`, () => {
      start();
      const call = open(over);
      stack.settle(latest().begin().data(chunk(10)));
      send(latest(), complete('abort', 20 * KIB), 5_000);
      stack.settle(latest().trailers(0));
      exit(latest());
      assertEnd(call, CUT_OFF, Buffer.concat([chunk(10), complete('abort', 20 * KIB)]));
    });

    it(`given up after a large message: it does not end well; ${kind}`, () => {
      start();
      const call = open(over);
      const before = Buffer.concat([chunk(10), chunk(30 * KIB), chunk(8)]);
      stack.settle(latest().begin());
      send(latest(), before, 5_000);
      send(latest(), complete('abort', 6), 9);
      stack.settle(latest().trailers(0));
      exit(latest());
      assertEnd(call, CUT_OFF, before);
    });

    it(`by an Abort that came another way, so that the engine goes on with others: it is passed on as it is; ${kind}`, () => {
      start();
      const call = open({ stream: false, ...over });
      stack.settle(latest().begin());
      const body = complete('abort', 100 * KIB);
      send(latest(), body);
      stack.settle(latest().trailers(0));
      assert.equal(call.isOver, false);
      stack.advance(1_100);
      assertEnd(call, WELL, body);
    });

    it(`as its client asked for it: it is passed on; ${kind}`, () => {
      start();
      const call = open({ stream: false, ...over });
      const engine = latest();
      const body = complete('abort', 100 * KIB);
      stack.settle(engine.begin());
      send(engine, body.subarray(0, 80 * KIB));
      stack.call({ path: ABORT, body: grpcMessage(encodeAbort(['r-1'])) });
      stack.settle(latest().reply(Buffer.alloc(0)));
      send(engine, body.subarray(80 * KIB));
      stack.settle(engine.trailers(0));
      assertEnd(call, WELL, body, 2);
    });

    it(`it is whole, and the engine dies before it ends the call: it ends well; ${kind}`, () => {
      for (const bytes of [20 * KIB, 60 * KIB, 100 * KIB, 400 * KIB]) {
        start();
        const call = open({ stream: false, ...over });
        stack.settle(latest().begin());
        send(latest(), complete('length', bytes), 7_000);
        exit(latest());
        assertEnd(call, WELL, complete('length', bytes));
      }
    });

    it(`the engine dies in the middle of it: it does not end well, and no other engine begins it anew; ${kind}`, () => {
      start();
      const call = open({ stream: false, ...over });
      const body = complete('length', 100 * KIB);
      stack.settle(latest().begin());
      send(latest(), body.subarray(0, 90 * KIB));
      exit(latest());
      assertEnd(call, CUT_OFF, body.subarray(0, call.body.length));
      assert.ok(call.body.length > 64 * KIB);
    });
  }

  it('behind more tokens than are kept of an answer: its end is read all the same', () => {
    for (const end of ['abort', 'length']) {
      start();
      const call = open(KINDS['greedy']!);
      const chunks = Buffer.concat(Array.from({ length: 140 }, () => chunk(15 * KIB)));
      stack.settle(latest().begin());
      send(latest(), chunks, 16_384);
      send(latest(), complete(end, 6));
      if (end === 'abort') stack.settle(latest().trailers(0));
      exit(latest());
      if (end === 'abort') assertEnd(call, CUT_OFF, chunks);
      else assertEnd(call, WELL, Buffer.concat([chunks, complete(end, 6)]));
    }
  });

  it('where there is no memory to keep its tokens: likewise', () => {
    start();
    const call = open(KINDS['greedy']!);
    stack.settle(latest().begin());
    send(latest(), chunk(8 * KIB));
    stack.context.memory.reserve = () => false;
    send(latest(), chunk(8 * KIB));
    send(latest(), chunk(15 * KIB));
    send(latest(), complete('abort', 6));
    stack.settle(latest().trailers(0));
    exit(latest());
    assert.deepEqual([call.status, call.reason, arrived.length], [...CUT_OFF, 1]);
  });

  it('its request is too large to be kept: the end is read all the same', () => {
    for (const bytes of [10, 40 * KIB, 100 * KIB]) {
      start({ routes: [aStreamRoute({ replayBytes: 10 })] });
      const call = open({ stream: false });
      stack.settle(latest().begin());
      send(latest(), complete('abort', bytes));
      stack.settle(latest().trailers(0));
      exit(latest());
      assertEnd(call, CUT_OFF, bytes > 64 * KIB ? complete('abort', bytes) : Buffer.alloc(0));
    }
  });
});
