/**
 * An engine ends an answer with the status OK and a `finish_reason` that says it gave the answer up, as vLLM does to all its answers when it
 * is told to stop. That is no end: another engine goes on, and the engine has failed.
 */
import assert from 'node:assert/strict';
import type { GenerateRequest } from '../../../proto/vllm-service.js';
import {
  ABORT,
  aGenerateRequest,
  framedRequest,
  GENERATE,
  messagesFor,
  readAnswer,
  requestIn,
  tokensFor,
} from '../../kit/engines/scripted-engine.js';
import { decodeAbort, encodeAbort, encodeResponse } from '../../kit/engines/vllm-messages.js';
import { ErrorCode, grpcMessage } from '../../kit/http2/h2-frames.js';
import type { PeerStream } from '../../kit/http2/scripted-peer.js';
import { UpstreamStack } from '../../kit/scenario/upstream-stack.js';
import { aStreamRoute, type UpstreamOptions } from '../../kit/stack/stack.js';

const BY_CHANCE = aGenerateRequest({ sampling_params: { max_tokens: 20 } });
const NO_COUNTS = { prompt_tokens: 4, completion_tokens: 0, cached_tokens: 0 };
/** As vLLM writes it: a chunk without a token first. */
const givenUp = (finish_reason: string): Buffer =>
  Buffer.concat([
    grpcMessage(encodeResponse({ chunk: { token_ids: [], ...NO_COUNTS } })),
    completed(finish_reason),
  ]);
const completed = (finish_reason: string): Buffer =>
  grpcMessage(encodeResponse({ complete: { output_ids: [], finish_reason, ...NO_COUNTS } }));

describe('Scenario: a language-model engine gives an answer up under the status OK', () => {
  let stack: UpstreamStack;
  let arrived: PeerStream[];

  const start = (more: UpstreamOptions = {}, names = ['a', 'b', 'c']): void => {
    stack = new UpstreamStack(names, {
      routes: [aStreamRoute()],
      engine: 'vllm',
      budget: { ratio: 1, perSecond: 1_000 },
      ...more,
    });
    arrived = [];
    stack.answers((stream) => {
      if (stream.header(':path')?.startsWith('/vllm.')) arrived.push(stream);
      else stream.fail(12);
    });
  };
  const open = (request: GenerateRequest = aGenerateRequest()): PeerStream =>
    stack.call({ path: GENERATE, body: framedRequest(request) });
  const latest = (): PeerStream => arrived.at(-1)!;
  const answer = (stream: PeerStream): Buffer[] => messagesFor(requestIn(stream.body), () => 1);
  const giveUp = (stream: PeerStream, count: number, reason: string, split = 0): void => {
    const body = Buffer.concat([...answer(stream).slice(0, count), givenUp(reason)]);
    stack.settle(stream.begin().data(body.subarray(0, body.length - split)));
    if (split > 0) stack.settle(stream.data(body.subarray(body.length - split)));
    stack.settle(stream.trailers(0));
    exit(stream);
  };
  /** The process of an engine ends: so it does soon after it has given its answers up. */
  const exit = (stream: PeerStream): void => {
    stack.settle(stream.peer.socket.break());
    stack.advance(300);
  };
  const finish = (stream: PeerStream): void =>
    void stack.settle(
      stream
        .begin()
        .data(Buffer.concat(answer(stream)))
        .trailers(0),
    );
  const assertWhole = (call: PeerStream, request = aGenerateRequest()): void => {
    const read = readAnswer(call.body);
    assert.deepEqual([call.status, call.reason], [0, undefined]);
    assert.deepEqual(
      read.ids,
      tokensFor(request).map(({ id }) => id),
    );
    assert.equal(read.complete!.finish_reason, tokensFor(request).at(-1)!.finish);
    stack.assertIdle();
  };

  for (const reason of ['abort', 'error'])
    for (const count of [0, 1, 5])
      for (const split of [0, 3, 40])
        it(`${reason} after ${count} tokens, its last ${split} bytes apart: another goes on`, () => {
          start();
          const call = open();
          giveUp(latest(), count, reason, split);
          assert.equal(arrived.length, 2);
          finish(latest());
          assertWhole(call);
          if (reason === 'error') assert.deepEqual([...stack.endpoint('a').outcomes].slice(0, 2), [0, 1]);
        });

  it('the next engine gives it up as well: a third goes on', () => {
    start();
    const call = open();
    giveUp(latest(), 4, 'abort');
    giveUp(latest(), 3, 'abort', 5);
    finish(latest());
    assertWhole(call);
    assert.equal(arrived.length, 3);
  });

  for (const stream of [true, false])
    it(`before its first token, an answer that could not be resumed is repeated; stream: ${stream}`, () => {
      start();
      const request = { ...BY_CHANCE, stream };
      const call = open(request);
      const first = latest();
      stack.settle(
        first
          .begin()
          .data(stream ? givenUp('abort') : completed('abort'))
          .trailers(0),
      );
      exit(first);
      assert.equal(arrived.length, 2);
      assert.deepEqual(requestIn(latest().body), requestIn(first.body));
      finish(latest());
      assertWhole(call, request);
    });

  it('after its first token, an answer that cannot be resumed does not end well', () => {
    start();
    const call = open(BY_CHANCE);
    const first = latest();
    giveUp(first, 3, 'error', 12);
    assert.deepEqual([call.status, call.reason, arrived.length], [14, 'not-resumed', 1]);
    assert.match(call.trailer('grpc-message')!, /temperature is not 0/);
    const { ids, complete } = readAnswer(call.body);
    assert.deepEqual([ids.length, complete], [3, null]);
    assert.equal(first.resetCode, ErrorCode.cancel);
    assert.equal(stack.endpoint('a').outcomes[1], 1);
    stack.assertIdle();
  });

  it('an answer of several sequences does not end well either', () => {
    start();
    const call = open(aGenerateRequest({ sampling_params: { temperature: 0, n: 2 } }));
    const first = latest();
    const chunk = (index: number) => ({ chunk: { token_ids: [9], ...NO_COUNTS, index } });
    const both = [chunk(1), chunk(0)].map((each) => grpcMessage(encodeResponse(each)));
    stack.settle(first.begin().data(Buffer.concat([...both, completed('stop'), completed('abort')])));
    stack.settle(first.trailers(0));
    exit(first);
    assert.deepEqual([call.status, call.reason], [14, 'not-resumed']);
    stack.assertIdle();
  });

  it('an answer that ends otherwise passes as it is, also byte by byte', () => {
    for (const reason of ['stop', 'length', 'repetition'])
      for (const request of [aGenerateRequest(), BY_CHANCE]) {
        start();
        const call = open(request);
        const body = Buffer.concat([...answer(latest()).slice(0, 2), completed(reason)]);
        stack.settle(latest().begin());
        for (const byte of body) stack.settle(latest().data(Buffer.from([byte])));
        stack.settle(latest().trailers(0));
        assert.deepEqual([call.status, arrived.length], [0, 1]);
        assert.deepEqual(call.body, body);
        stack.assertIdle();
        stack.close();
      }
  });

  it('all that an engine has end by abort: all of them continue, though its connection stays', () => {
    start();
    const requests = Array.from({ length: 30 }, (_, i) => aGenerateRequest({ request_id: `r-${i}` }));
    const calls = requests.map((request) => open(request));
    const { peer } = latest();
    const there = arrived.filter((each) => each.peer === peer);
    assert.ok(there.length > 5);
    for (const [i, each] of there.entries())
      stack.settle(each.begin().data(Buffer.concat(answer(each).slice(0, i % 4))));
    for (const each of there) stack.settle(each.data(givenUp('abort')).trailers(0));
    stack.advance(500);
    for (const each of arrived) if (!there.includes(each)) finish(each);
    for (const [i, call] of calls.entries()) {
      assert.deepEqual([call.status, call.reason], [0, undefined]);
      assert.deepEqual(
        readAnswer(call.body).ids,
        tokensFor(requests[i]!).map(({ id }) => id),
      );
    }
    stack.assertIdle();
  });

  it('all 256 that an engine has had for less than a second, with the usual budget: all continue', () => {
    start({ budget: { ratio: 0.2, perSecond: 3 } });
    const requests = Array.from({ length: 256 }, (_, i) => aGenerateRequest({ request_id: `r-${i}` }));
    const calls = requests.map((request) => open(request));
    const { peer } = latest();
    const there = arrived.filter((each) => each.peer === peer);
    assert.ok(there.length > 70);
    stack.advance(300);
    for (const [i, each] of there.entries())
      stack.settle(each.begin().data(Buffer.concat(answer(each).slice(0, i % 3))));
    for (const each of there) stack.settle(each.data(givenUp('abort')).trailers(0));
    stack.advance(500);
    for (const each of arrived) if (!there.includes(each)) finish(each);
    for (const [i, call] of calls.entries()) {
      assert.deepEqual([call.status, call.reason], [0, undefined], `answer ${i}`);
      assert.deepEqual(
        readAnswer(call.body).ids,
        tokensFor(requests[i]!).map(({ id }) => id),
      );
    }
    stack.assertIdle();
  });

  it('answers that end by error, with the usual budget: each is paid for by it, as after any failure', () => {
    start({ budget: { ratio: 0, perSecond: 3 } });
    const calls = Array.from({ length: 60 }, (_, i) => open(aGenerateRequest({ request_id: `r-${i}` })));
    const there = [...arrived];
    for (const each of there) {
      stack.settle(each.begin().data(Buffer.concat(answer(each).slice(0, 3))));
      stack.settle(each.data(givenUp('error')).trailers(0));
    }
    stack.advance(500);
    assert.ok(calls.filter(({ isOver }) => isOver).length >= 20, `${arrived.length - 60} more attempts`);
  });

  describe('by an Abort that came another way, so that the engine goes on with others:', () => {
    for (const [what, request] of [
      ['greedy', aGenerateRequest()],
      ['by chance', BY_CHANCE],
    ] as const)
      for (const count of [0, 3])
        for (const split of [0, 12])
          it(`${what}, after ${count} tokens, its last ${split} bytes apart: the end is passed on as it is`, () => {
            start();
            const other = open(aGenerateRequest({ request_id: 'other' }));
            const well = latest();
            stack.settle(well.begin().data(Buffer.concat(answer(well).slice(0, 2))));
            const call = open(request);
            const stream = latest();
            const body = Buffer.concat([...answer(stream).slice(0, count), givenUp('abort')]);
            stack.settle(stream.begin().data(body.subarray(0, body.length - split)));
            if (split > 0) stack.settle(stream.data(body.subarray(body.length - split)));
            stack.settle(stream.trailers(0));
            stack.advance(1_100);
            assert.deepEqual([call.status, call.reason, arrived.length], [0, undefined, 2]);
            assert.deepEqual(call.body, body);
            stack.settle(well.data(Buffer.concat(answer(well).slice(2))).trailers(0));
            assert.equal(other.status, 0);
            assert.deepEqual(
              stack.names.map((name) => stack.endpoint(name).outcomes[1]),
              [0, 0, 0],
            );
            stack.assertIdle();
          });

    it('of several sequences: all of their ends are passed on', () => {
      start();
      const call = open(aGenerateRequest({ sampling_params: { temperature: 0, n: 2 } }));
      const chunk = grpcMessage(encodeResponse({ chunk: { token_ids: [9], ...NO_COUNTS } }));
      const body = Buffer.concat([chunk, completed('abort'), completed('abort')]);
      stack.settle(
        latest()
          .begin()
          .data(body.subarray(0, body.length - 4)),
      );
      stack.settle(
        latest()
          .data(body.subarray(body.length - 4))
          .trailers(0),
      );
      stack.advance(1_100);
      assert.deepEqual([call.status, arrived.length], [0, 1]);
      assert.deepEqual(call.body, body);
      stack.assertIdle();
    });

    const held = (): number => stack.context.memory.waiting.bytes;
    const ENDS: readonly (readonly [what: string, end: (call: PeerStream, stream: PeerStream) => void])[] = [
      ['it is passed on', () => void stack.advance(1_100)],
      ['its caller leaves', (call) => stack.settle(call.reset())],
      ['the engine ends', (_, stream) => exit(stream)],
      ['its time is over', () => void stack.advance(3_100)],
    ];
    for (const [what, end] of ENDS)
      for (const [kind, request] of [
        ['greedy', aGenerateRequest()],
        ['by chance', BY_CHANCE],
      ] as const)
        it(`what is held is in the memory budget until ${what}: ${kind}`, () => {
          start();
          const call = stack.call({ path: GENERATE, body: framedRequest(request), timeout: '3S' });
          const stream = latest();
          stack.settle(stream.begin().data(Buffer.concat(answer(stream).slice(0, 2))));
          const before = held();
          const last = completed('abort');
          stack.settle(stream.data(last.subarray(0, 7)));
          stack.settle(stream.data(last.subarray(7)));
          assert.equal(held() - before, last.length, 'while the engine may go on');
          if (what !== 'its time is over') {
            stack.settle(stream.trailers(0));
            assert.equal(held() - before, last.length, 'while that is judged');
          }
          end(call, stream);
          assert.ok(held() <= before, `${held()} of ${before}`);
          if (!call.isOver) stack.settle(call.reset());
        });

    it('its caller leaves, or its time is over, while that is judged', () => {
      start();
      const [first, second] = [
        open(),
        stack.call({ path: GENERATE, body: framedRequest(BY_CHANCE), timeout: '500m' }),
      ];
      for (const each of arrived) stack.settle(each.begin().data(givenUp('abort')).trailers(0));
      stack.settle(first.reset());
      stack.advance(600);
      assert.equal(second.status, 4);
      stack.advance(2_000);
      assert.equal(arrived.length, 2);
      stack.assertIdle();
    });
  });

  describe('as its client asked for it:', () => {
    const abort = (id: string): PeerStream =>
      stack.call({ path: ABORT, body: grpcMessage(encodeAbort([id])) });

    for (const request of [aGenerateRequest(), BY_CHANCE])
      it(`the end is passed on, ${request === BY_CHANCE ? 'by chance' : 'greedy'}`, () => {
        start();
        const call = open(request);
        const first = latest();
        stack.settle(first.begin().data(Buffer.concat(answer(first).slice(0, 3))));
        abort('r-1');
        stack.settle(latest().reply(Buffer.alloc(0)));
        stack.settle(first.data(givenUp('abort')).trailers(0));
        assert.deepEqual([call.status, call.reason], [0, undefined]);
        assert.equal(readAnswer(call.body).complete!.finish_reason, 'abort');
        assert.equal(stack.endpoint('a').outcomes[1], 0);
        stack.assertIdle();
      });

    it('no other engine goes on when its engine breaks then', () => {
      start();
      const call = open();
      const first = latest();
      stack.settle(first.begin().data(Buffer.concat(answer(first).slice(0, 3))));
      abort('r-1');
      stack.settle(latest().reply(Buffer.alloc(0)));
      const before = arrived.length;
      stack.settle(first.trailers(14));
      stack.advance(5_000);
      assert.deepEqual([call.status, call.reason, arrived.length], [1, 'answer-aborted', before]);
      stack.assertIdle();
    });

    it('before its engine has said anything: it ends at once, as it may wait in front of the engine', () => {
      start();
      const call = open();
      const first = latest();
      abort('r-1');
      assert.equal(latest().peer, first.peer);
      assert.deepEqual([call.status, call.reason, first.resetCode], [1, 'answer-aborted', ErrorCode.cancel]);
      stack.settle(latest().reply(Buffer.alloc(0)));
      stack.assertIdle();
    });

    it('an Abort that its engine refuses goes to no other one, also under another id', () => {
      start();
      const call = open();
      const first = latest();
      stack.settle(first.begin().data(Buffer.concat(answer(first).slice(0, 3))));
      stack.settle(first.trailers(14));
      stack.advance(300);
      const second = latest();
      stack.settle(second.begin().data(Buffer.concat(answer(second).slice(0, 3))));
      const aborting = abort('r-1');
      for (let tries = 0; tries < 3 && !aborting.isOver; tries++) {
        assert.equal(latest().peer, second.peer);
        assert.deepEqual(decodeAbort(latest().body.subarray(5)), [requestIn(second.body).request_id]);
        stack.settle(latest().fail(8, [['outrider-unprocessed', '1']]));
        stack.advance(300);
      }
      assert.equal(aborting.isOver, true);
      stack.settle(second.data(givenUp('abort')).trailers(0));
      assert.equal(call.status, 0);
    });

    it('it ends while it waits between two engines', () => {
      const backoff = { baseMs: 1_000, maxMs: 1_000 };
      start({ routes: [aStreamRoute({ retry: { attempts: 3, on: [13, 14], backoff } })] });
      const call = open();
      const first = latest();
      stack.settle(first.begin().data(Buffer.concat(answer(first).slice(0, 3))));
      stack.settle(first.trailers(14));
      assert.equal(call.isOver, false);
      const aborting = abort('r-1');
      assert.deepEqual([call.status, call.reason], [1, 'answer-aborted']);
      stack.settle(latest().reply(Buffer.alloc(0)));
      assert.equal(aborting.status, 0);
      const before = arrived.length;
      stack.advance(5_000);
      assert.equal(arrived.length, before);
      stack.assertIdle();
    });
  });
});
