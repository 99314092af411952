/**
 * A language-model engine dies in the middle of an answer. Another one goes on after the tokens that the caller has, in messages of its
 * own, and the caller sees one answer; where that would not be exact, it gets a status and a reason.
 */
import assert from 'node:assert/strict';
import type { GenerateRequest } from '../../../proto/vllm-service.js';
import {
  ABORT,
  aGenerateRequest,
  CORE_DIED,
  framedRequest,
  GENERATE,
  messagesFor,
  type ReadAnswer,
  readAnswer,
  requestIn,
  tokensFor,
} from '../../kit/engines/scripted-engine.js';
import { decodeAbort, encodeAbort, encodeResponse } from '../../kit/engines/vllm-messages.js';
import { ErrorCode, grpcMessage } from '../../kit/http2/h2-frames.js';
import type { PeerStream } from '../../kit/http2/scripted-peer.js';
import { EFFORT, runs } from '../../kit/mocha/effort.js';
import { UpstreamStack } from '../../kit/scenario/upstream-stack.js';
import { aStreamRoute, type UpstreamOptions } from '../../kit/stack/stack.js';
import { seeded } from '../../kit/time/seeded-random.js';

const REQUEST = aGenerateRequest();
/** Also engines that die before their first new token are followed by another. */
const PATIENT = { attempts: 8, on: [13, 14], backoff: { baseMs: 0, maxMs: 0 } };

describe('Scenario: a language-model engine dies in the middle of an answer', () => {
  let stack: UpstreamStack;
  let arrived: PeerStream[];

  const start = (more: UpstreamOptions = {}, names = ['a', 'b', 'c']): void => {
    const routes = [aStreamRoute()];
    stack = new UpstreamStack(names, {
      routes,
      engine: 'vllm',
      budget: { ratio: 1, perSecond: 1_000 },
      ...more,
    });
    arrived = [];
    // An ejected engine is asked for its health, too.
    stack.answers((stream) => {
      if (stream.header(':path')?.startsWith('/vllm.')) arrived.push(stream);
      else stream.fail(12);
    });
  };
  const open = (request: GenerateRequest = REQUEST): PeerStream =>
    stack.call({ path: GENERATE, body: framedRequest(request) });
  const at = (name: string): PeerStream => stack.backend(name).last;
  /** The request that came last, wherever. */
  const latest = (): PeerStream => arrived.at(-1)!;
  const one = (): number => 1;
  const answer = (stream: PeerStream, batch: () => number = one, cached = 0): Buffer[] =>
    messagesFor(requestIn(stream.body), batch, cached);
  const finish = (stream: PeerStream, batch: () => number = one): void =>
    void stack.settle(
      stream
        .begin()
        .data(Buffer.concat(answer(stream, batch, 40)))
        .trailers(0),
    );
  const settleAfterRetry = (): void => stack.advance(300);
  const assertWhole = (call: PeerStream, request: GenerateRequest = REQUEST): ReadAnswer => {
    const read = readAnswer(call.body);
    const all = tokensFor(request);
    assert.deepEqual([call.status, call.reason], [0, undefined]);
    assert.deepEqual(
      read.ids,
      all.map(({ id }) => id),
    );
    const { finish: reason, matched } = all.at(-1)!;
    assert.equal(read.complete!.finish_reason, reason);
    if (matched !== undefined) assert.equal(read.complete!.matched_token_id, matched);
    const promptTokens = request.tokenized!.input_ids!.length;
    for (const each of [...read.chunks, read.complete!]) assert.equal(each.prompt_tokens, promptTokens);
    assert.equal(
      read.chunks.reduce((sum, each) => sum + each.completion_tokens, 0),
      all.length,
    );
    if (read.logprobIds.length > 0) assert.deepEqual(read.logprobIds, read.ids);
    assert.equal(call.lists.length, 2, 'headers once, trailers once');
    stack.assertIdle();
    return read;
  };

  it('and another goes on: it gets the prompt, the tokens and lower limits', () => {
    start();
    const request = aGenerateRequest({ sampling_params: { temperature: 0, max_tokens: 20, min_tokens: 18 } });
    const call = open(request);
    const first = at('a');
    stack.settle(first.begin().data(Buffer.concat(answer(first).slice(0, 5))));
    stack.settle(first.peer.socket.break());
    settleAfterRetry();
    const second = at('b');
    const asked = requestIn(second.body);
    const ids = tokensFor(request).map(({ id }) => id);
    assert.deepEqual(asked.tokenized!.input_ids, [...request.tokenized!.input_ids!, ...ids.slice(0, 4)]);
    assert.deepEqual([asked.sampling_params!.max_tokens, asked.sampling_params!.min_tokens], [16, 14]);
    assert.match(asked.request_id!, /^r-1~1-[0-9a-z]+$/);
    assert.equal(second.header('outrider-resume-after'), undefined);
    finish(second);
    const { chunks, complete } = assertWhole(call, request);
    assert.deepEqual(new Set([...chunks, complete!].map(({ cached_tokens: n }) => n)), new Set([0]));
    assert.equal(stack.out.outbound.state.resumed, 1);
  });

  for (const [how, die] of [
    ['its connection breaks', (stream: PeerStream) => stream.peer.socket.break()],
    ['it resets the stream', (stream: PeerStream) => stream.reset(ErrorCode.internalError)],
    ['it ends it with UNAVAILABLE', (stream: PeerStream) => stream.trailers(14)],
    [
      'it ends it with INTERNAL, as vLLM does when its core has died',
      (stream: PeerStream) => stream.trailers(13, CORE_DIED),
    ],
  ] as const) {
    // By day every third token but for the first way.
    const step = EFFORT > 1 || how === 'its connection breaks' ? 1 : 3;
    it(`at every ${step === 1 ? '' : 'third '}token, in whatever messages: ${how}`, () => {
      const random = seeded(7);
      const batch = (): number => 1 + Math.floor(random() * 4);
      const requests = [
        REQUEST,
        aGenerateRequest({ sampling_params: { temperature: 0, max_tokens: 200, logprobs: 1 } }),
        aGenerateRequest({ sampling_params: { temperature: 0, max_tokens: 9, stop_token_ids: [5, 6, 7] } }),
        aGenerateRequest({ sampling_params: { temperature: 0 } }),
        aGenerateRequest({ sampling_params: { temperature: 0, max_tokens: 1 } }),
      ];
      for (const request of requests)
        for (let cut = 0; ; cut += step) {
          start();
          const call = open(request);
          const first = at('a');
          const messages = answer(first, batch);
          stack.settle(first.begin().data(Buffer.concat(messages.slice(0, cut))));
          stack.settle(die(first));
          settleAfterRetry();
          const isWhole = cut >= messages.length;
          assert.equal(stack.requests.length, isWhole ? 1 : 2, `after ${cut} of ${messages.length}`);
          if (!isWhole) finish(latest(), batch);
          assertWhole(call, request);
          stack.close();
          if (isWhole) break;
        }
    });
  }

  it('again and again, at any byte, in frames of any size: no token is lost or doubled', () => {
    const random = seeded(23);
    const batch = (): number => 1 + Math.floor(random() * 5);
    for (let run = 0; run < runs(30); run++) {
      start({ routes: [aStreamRoute({ retry: PATIENT })] }, ['a', 'b', 'c', 'd']);
      const sampling = {
        temperature: 0,
        max_tokens: 1 + Math.floor(random() * 60),
        ...(run % 3 === 0 && { logprobs: 2 }),
      };
      const request = aGenerateRequest({ sampling_params: sampling });
      const call = open(request);
      for (let tries = 0; tries < 3 && !call.isOver; tries++) {
        const engine = latest();
        const body = Buffer.concat(answer(engine, batch, run % 5));
        const diesAt = Math.floor(random() * (body.length + 1));
        stack.settle(engine.begin());
        for (let sent = 0; sent < diesAt; ) {
          const frame = Math.min(diesAt - sent, 1 + Math.floor(random() * 40));
          stack.settle(engine.data(body.subarray(sent, sent + frame)));
          sent += frame;
        }
        if (run % 2 === 0) stack.settle(engine.peer.socket.break());
        else stack.settle(engine.trailers(14));
        settleAfterRetry();
      }
      if (!call.isOver) finish(latest(), batch);
      assertWhole(call, request);
      stack.close();
    }
  });

  it('while its caller reads nothing: what waits is neither lost nor credited to the next engine', () => {
    start();
    const caller = stack.app(stack.out.listener, undefined, { settings: [[4, 100]], replenishes: false });
    const call = stack.settle(caller.call({ path: GENERATE, body: framedRequest(REQUEST) }));
    const first = at('a');
    stack.settle(first.begin().data(Buffer.concat(answer(first).slice(0, 9))));
    assert.ok(call.bytes <= 100);
    stack.settle(first.peer.socket.break());
    settleAfterRetry();
    finish(at('b'));
    stack.settle(call.credit(10_000));
    assertWhole(call);
  });

  it('whose caller told how long its request is: the next engine gets a longer one', () => {
    start();
    const body = framedRequest(REQUEST);
    const metadata = [['content-length', String(body.length)]] as const;
    const call = stack.call({ path: GENERATE, body, metadata });
    const first = at('a');
    stack.settle(first.begin([['content-length', '7777']]).data(Buffer.concat(answer(first).slice(0, 5))));
    stack.settle(first.peer.socket.break());
    settleAfterRetry();
    const second = at('b');
    assert.equal(first.header('content-length'), String(body.length));
    assert.notEqual(second.body.length, body.length);
    assert.equal(second.header('content-length'), undefined);
    assert.equal(call.header('content-length'), undefined);
    finish(second);
    assertWhole(call);
  });

  it('whose request has 70 KB of text before its ids', () => {
    start();
    const input_ids = Array.from({ length: 30_000 }, (_, i) => i + 3);
    const request = aGenerateRequest({ tokenized: { original_text: 'x'.repeat(70_000), input_ids } });
    const call = open(request);
    const first = at('a');
    stack.settle(first.begin().data(Buffer.concat(answer(first).slice(0, 3))));
    stack.settle(first.peer.socket.break());
    settleAfterRetry();
    const second = at('b');
    assert.equal(requestIn(second.body).tokenized!.input_ids!.length, 30_002);
    finish(second);
    assertWhole(call, request);
  });

  describe('and is silent though its connection lives:', () => {
    const begun = (
      count: number,
      more: UpstreamOptions = {},
      names?: string[],
    ): readonly [PeerStream, PeerStream] => {
      start(more, names);
      const call = open();
      const first = at('a');
      stack.settle(first.begin().data(Buffer.concat(answer(first).slice(0, count))));
      return [call, first];
    };

    it('another goes on, and its silence counts as a fault', () => {
      const [call, first] = begun(4);
      stack.advance(9_900);
      assert.equal(stack.requests.length, 1);
      stack.advance(700);
      assert.equal(first.resetCode, ErrorCode.cancel);
      settleAfterRetry();
      finish(at('b'));
      assertWhole(call);
      assert.equal(stack.endpoint('a').outcomes[1], 1);
    });

    it('as the route says, sooner', () => {
      const [call] = begun(4, { routes: [aStreamRoute({ messageTimeoutMs: 500 })] });
      stack.advance(1_200);
      finish(at('b'));
      assertWhole(call);
    });

    it('one that is slow is left alone', () => {
      const [call, first] = begun(0);
      for (const message of answer(first)) {
        stack.settle(first.data(message));
        stack.advance(8_000);
      }
      stack.settle(first.trailers(0));
      assertWhole(call);
      assert.equal(stack.requests.length, 1);
    });

    it('one that has no other beside it is left alone', () => {
      const [call, first] = begun(4, {}, ['a']);
      stack.advance(60_000);
      stack.settle(first.data(Buffer.concat(answer(first).slice(4))).trailers(0));
      assertWhole(call);
    });

    it('one whose answer could not go on elsewhere is left alone', () => {
      start();
      const request = aGenerateRequest({ sampling_params: { max_tokens: 20 } });
      const call = open(request);
      const first = at('a');
      stack.settle(first.begin().data(Buffer.concat(answer(first).slice(0, 4))));
      stack.advance(60_000);
      stack.settle(first.data(Buffer.concat(answer(first).slice(4))).trailers(0));
      assertWhole(call, request);
    });

    it('one that waits for its caller to read is left alone', () => {
      start();
      const caller = stack.app(stack.out.listener, undefined, { settings: [[4, 100]], replenishes: false });
      const call = stack.settle(caller.call({ path: GENERATE, body: framedRequest(REQUEST) }));
      const first = at('a');
      stack.settle(first.begin().data(Buffer.concat(answer(first).slice(0, 9))));
      stack.advance(60_000);
      assert.equal(first.resetCode, undefined);
      stack.settle(call.credit(10_000));
      stack.settle(first.data(Buffer.concat(answer(first).slice(9))).trailers(0));
      assertWhole(call);
    });

    it('a stream of any service ends where the route says so', () => {
      const routes = [aStreamRoute({ messageTimeoutMs: 500 })];
      stack = new UpstreamStack(['a', 'b'], { routes });
      const call = stack.call({ path: '/a.B/Watch' });
      stack.settle(
        at('a')
          .begin()
          .data(grpcMessage(Buffer.from('one'))),
      );
      stack.advance(1_000);
      assert.deepEqual(
        [call.status, call.reason, at('a').resetCode],
        [4, 'message-timeout', ErrorCode.cancel],
      );
      assert.equal(stack.endpoint('a').outcomes[1], 1);
      stack.assertIdle();
    });

    it('a stream whose caller has more to say is left alone', () => {
      stack = new UpstreamStack(['a'], { routes: [aStreamRoute({ messageTimeoutMs: 500 })] });
      const call = stack.call({ path: '/a.B/Chat', body: null });
      stack.settle(call.data(grpcMessage(Buffer.from('hi'))));
      stack.settle(
        at('a')
          .begin()
          .data(grpcMessage(Buffer.from('one'))),
      );
      stack.advance(5_000);
      assert.equal(at('a').resetCode, undefined);
    });
  });

  describe('with a request that ends engines:', () => {
    const CRASHED = [['outrider-reason', 'model-crashed']] as const;
    const losses = [
      ['their processes crash', (stream: PeerStream) => stream.trailers(14, CRASHED)],
      [
        'their processes are lost',
        (stream: PeerStream) => stream.trailers(14, [['outrider-reason', 'connection-lost']]),
      ],
      ['their cores die', (stream: PeerStream) => stream.trailers(13, CORE_DIED)],
    ] as const;
    /** Each engine dies after so many of its messages. Which of them were asked. */
    const runThrough = (
      call: PeerStream,
      die: (stream: PeerStream) => unknown,
      counts: readonly number[],
    ): number => {
      const before = arrived.length - 1;
      for (const count of counts) {
        if (call.isOver) break;
        const engine = latest();
        stack.settle(engine.begin().data(Buffer.concat(answer(engine).slice(0, count))));
        stack.settle(die(engine));
        settleAfterRetry();
      }
      return arrived.length - before;
    };

    for (const [how, die] of losses)
      it(`the second one ends it, and after two such calls no engine gets it: ${how}`, () => {
        start();
        for (const id of ['x', 'y']) {
          const call = open(aGenerateRequest({ request_id: id }));
          assert.equal(runThrough(call, die, [3, 3, 3]), 2);
          assert.deepEqual([call.status, call.reason], [7, 'poison']);
          stack.advance(1_000);
        }
        const before = arrived.length;
        const again = open(aGenerateRequest({ request_id: 'z' }));
        assert.deepEqual([again.status, again.reason, arrived.length], [7, 'poison', before]);
        const other = open(aGenerateRequest({ tokenized: { input_ids: [9] } }));
        finish(latest());
        assert.equal(other.status, 0);
        stack.assertIdle();
      });

    it('one that comes to engines that are dead already has ended none', () => {
      start({}, ['a', 'b']);
      const inside = ['x', 'y'].map((id) =>
        open(aGenerateRequest({ request_id: id, tokenized: { input_ids: [8] } })),
      );
      for (const name of ['a', 'b']) {
        const engine = at(name);
        stack.settle(engine.begin().data(Buffer.concat(answer(engine).slice(0, 3))));
      }
      stack.answers((stream) => {
        if (stream.header(':path')?.startsWith('/vllm.')) arrived.push(stream);
        stream.fail(13, CORE_DIED);
      });
      for (const name of ['a', 'b']) stack.settle(at(name).trailers(13, CORE_DIED));
      stack.advance(2_000);
      assert.ok(inside.every(({ isOver }) => isOver));
      for (let i = 0; i < 4; i++) {
        const call = open(aGenerateRequest({ request_id: `late-${i}` }));
        stack.advance(2_000);
        assert.notEqual(call.reason, 'poison', `call ${i}`);
      }
      stack.answers((stream) => {
        if (stream.header(':path')?.startsWith('/vllm.')) arrived.push(stream);
        else stream.fail(12);
      });
      stack.advance(60_000);
      const again = open(aGenerateRequest({ request_id: 'again' }));
      finish(latest());
      assert.equal(again.status, 0);
    });

    it('one that gets on at each is not such a request', () => {
      start({ routes: [aStreamRoute({ retry: PATIENT })] }, ['a', 'b', 'c', 'd']);
      const request = aGenerateRequest({
        sampling_params: { temperature: 0, max_tokens: 90, ignore_eos: true },
      });
      const call = open(request);
      runThrough(call, losses[0][1], [20, 20, 20]);
      finish(latest());
      assertWhole(call, request);
    });
  });

  describe('and its client aborts it:', () => {
    const abort = (...ids: string[]): PeerStream => {
      const body = grpcMessage(encodeAbort(ids));
      return stack.call({ path: ABORT, body, metadata: [['content-length', String(body.length)]] as const });
    };
    const begin = (engine: PeerStream): void =>
      void stack.settle(engine.begin().data(Buffer.concat(answer(engine).slice(0, 3))));

    it('Abort goes to the engine that has the request', () => {
      start();
      const calls = ['x', 'y', 'z'].map((id) => open(aGenerateRequest({ request_id: id })));
      for (const name of ['a', 'b', 'c']) begin(at(name));
      for (const [i, name] of ['b', 'a', 'c', 'b'].entries()) {
        const id = requestIn(at(name).body).request_id!;
        const generating = at(name);
        const call = abort(id);
        const aborting = at(name);
        assert.notEqual(aborting, generating, `abort ${i}`);
        assert.deepEqual(decodeAbort(aborting.body.subarray(5)), [id]);
        stack.settle(aborting.reply(Buffer.alloc(0)));
        assert.equal(call.status, 0);
        // The stream of the request itself is the latest again.
        stack.backend(name).requests.pop();
      }
      for (const name of ['a', 'b', 'c']) stack.settle(at(name).trailers(0));
      assert.ok(calls.every(({ status }) => status === 0));
      assert.equal(stack.out.outbound.state.engineCalls.size, 0);
      stack.assertIdle();
    });

    it('under the id that the next engine knows it by', () => {
      start();
      const call = open();
      begin(at('a'));
      stack.settle(at('a').peer.socket.break());
      settleAfterRetry();
      const second = at('b');
      stack.settle(second.begin());
      abort('r-1');
      assert.notEqual(at('b'), second);
      assert.deepEqual(decodeAbort(at('b').body.subarray(5)), [requestIn(second.body).request_id]);
      assert.equal(at('b').header('content-length'), undefined, 'it would be another one');
      stack.settle(at('b').reply(Buffer.alloc(0)));
      stack.settle(second.trailers(14));
      assert.notEqual(call.status, 0);
    });

    it('one that no sidecar knows goes where the load says', () => {
      start();
      const call = abort('unknown');
      stack.settle(latest().reply(Buffer.alloc(0)));
      assert.equal(call.status, 0);
      stack.assertIdle();
    });
  });

  describe('and the answer ends with a reason, as', () => {
    const assertBroken = (call: PeerStream, why: RegExp): void => {
      assert.deepEqual([call.status, call.reason], [14, 'not-resumed']);
      assert.match(call.trailer('grpc-message')!, why);
      stack.assertIdle();
    };

    for (const [what, sampling, why] of [
      ['it was drawn by chance', { max_tokens: 20 }, /temperature is not 0/],
      ['it has a stop string', { temperature: 0, stop: ['\n'] }, /stop/],
      ['it follows a grammar', { temperature: 0, json_object: true }, /json_object/],
      ['it has penalties', { temperature: 0, presence_penalty: 0.5 }, /presence_penalty/],
      ['it has several sequences', { temperature: 0, n: 2 }, /n is more than 1/],
    ] as const)
      it(`${what}: no other engine is asked`, () => {
        start();
        const call = open(aGenerateRequest({ sampling_params: sampling }));
        const first = at('a');
        stack.settle(first.begin().data(Buffer.concat(answer(first).slice(0, 4))));
        stack.settle(first.trailers(13));
        settleAfterRetry();
        assert.equal(stack.requests.length, 1);
        assertBroken(call, why);
      });

    it('the budget is spent', () => {
      start({ budget: { ratio: 0, perSecond: 0 } });
      const call = open();
      const first = at('a');
      stack.settle(first.begin().data(Buffer.concat(answer(first).slice(0, 4))));
      // What shows that the engine has died moves its load, and needs no budget.
      stack.settle(first.trailers(14));
      settleAfterRetry();
      assertBroken(call, /after message 4/);
    });

    it('the other engine makes another token where one is known', () => {
      start();
      const call = open();
      const first = at('a');
      stack.settle(first.begin().data(Buffer.concat(answer(first).slice(0, 4))));
      stack.settle(first.peer.socket.break());
      settleAfterRetry();
      const other = { token_ids: [9], prompt_tokens: 7, completion_tokens: 1, cached_tokens: 0 };
      stack.settle(
        at('b')
          .begin()
          .data(grpcMessage(encodeResponse({ chunk: other }))),
      );
      assertBroken(call, /another token/);
      assert.equal(readAnswer(call.body).ids.length, 4);
    });

    it('the other engine ends it without completing it', () => {
      start();
      const call = open();
      const first = at('a');
      stack.settle(first.begin().data(Buffer.concat(answer(first).slice(0, 4))));
      stack.settle(first.peer.socket.break());
      settleAfterRetry();
      const second = at('b');
      stack.settle(
        second
          .begin()
          .data(Buffer.concat(answer(second).slice(0, 3)))
          .trailers(0),
      );
      assertBroken(call, /ended it sooner/);
    });

    it('the other engine compresses', () => {
      start();
      const call = open();
      const first = at('a');
      stack.settle(first.begin().data(Buffer.concat(answer(first).slice(0, 4))));
      stack.settle(first.peer.socket.break());
      settleAfterRetry();
      stack.settle(at('b').begin([['grpc-encoding', 'gzip']]));
      assertBroken(call, /encodes messages otherwise/);
    });

    it('the other engine refuses the request', () => {
      start();
      const call = open();
      const first = at('a');
      stack.settle(first.begin().data(Buffer.concat(answer(first).slice(0, 4))));
      stack.settle(first.peer.socket.break());
      settleAfterRetry();
      stack.settle(at('b').fail(3));
      assertBroken(call, /status 3/);
    });
  });

  it('before its first token: the call is repeated, also one that could not be resumed', () => {
    start();
    const call = open(aGenerateRequest({ sampling_params: { max_tokens: 20 } }));
    stack.settle(at('a').fail(13));
    settleAfterRetry();
    finish(at('b'));
    assert.deepEqual([call.status, readAnswer(call.body).complete!.finish_reason], [0, 'length']);
  });

  it('after a message that cannot be read: it goes through as it is, and is not resumed', () => {
    start();
    const call = open();
    const first = at('a');
    const odd = grpcMessage(Buffer.from([0x0a, 0x02, 0x38, 0x01])); // chunk of sequence 1
    stack.settle(first.begin().data(Buffer.concat([...answer(first).slice(0, 2), odd, odd])));
    assert.equal(call.body.length, Buffer.concat([...answer(first).slice(0, 2), odd, odd]).length);
    stack.settle(first.peer.socket.break());
    settleAfterRetry();
    assert.deepEqual([call.status, stack.requests.length], [14, 1]);
    stack.assertIdle();
  });

  it('of an upstream that says no engine: nothing is read, and nothing resumed', () => {
    stack = new UpstreamStack(['a', 'b'], { routes: [aStreamRoute()] });
    const call = open();
    const first = at('a');
    stack.settle(first.begin().data(Buffer.concat(answer(first).slice(0, 4))));
    stack.settle(first.trailers(13));
    assert.deepEqual([call.status, stack.requests.length], [13, 1]);
  });
});
