/** Limits in tokens before a language-model engine: what a call reserves, what it gets back, and what cannot be read. */
import assert from 'node:assert/strict';
import type { GenerateRequest } from '../../../proto/vllm-service.js';
import type { RateLimitConfig } from '../../../sidecar/config/model.js';
import {
  ABORT,
  aGenerateRequest,
  framedRequest,
  GENERATE,
  messagesFor,
  requestIn,
} from '../../kit/engines/scripted-engine.js';
import { encodeAbort, encodeRequest, encodeResponse } from '../../kit/engines/vllm-messages.js';
import { Flag, grpcMessage } from '../../kit/http2/h2-frames.js';
import type { PeerStream } from '../../kit/http2/scripted-peer.js';
import { assertEnd, assertUnprocessed } from '../../kit/stack/call-ends.js';
import { metricsIn } from '../../kit/stack/metrics.js';
import { ModelStack } from '../../kit/stack/model-stack.js';
import { type Application, aRoute, aStreamRoute, type InboundOptions } from '../../kit/stack/stack.js';

const ANY_CALLER = [{ from: '*', to: 'digits', action: 'allow' }] as const;
const tokens = (tokensPerMinute: number, over: Partial<RateLimitConfig> = {}): RateLimitConfig => ({
  ...{ callers: ['*'], methods: ['*'], tokensPerMinute },
  ...over,
});
/** A method of vLLM that waits in the queue as Generate does; Abort does not. */
const EMBED = '/vllm.grpc.engine.VllmEngine/Embed';
/** A request that may use so many tokens: four ids of a prompt, and the rest. */
const ofTokens = (total: number, over: Partial<GenerateRequest> = {}): GenerateRequest =>
  aGenerateRequest({ sampling_params: { temperature: 0, max_tokens: total - 4, ignore_eos: true }, ...over });

describe('Inbound limits in tokens', () => {
  let stack: ModelStack;
  let web: Application;
  let batch: Application;
  let options: InboundOptions;

  const start = (over: InboundOptions = {}): void => {
    options = { intentions: ANY_CALLER, engine: 'vllm', routes: [aStreamRoute()], ...over };
    stack = new ModelStack(options);
    web = stack.caller('web');
    batch = stack.caller('batch');
  };
  const limited = (perMinute: number, over: InboundOptions = {}): void =>
    start({ rateLimits: [tokens(perMinute)], queue: { concurrency: 100 }, ...over });
  const call = (request: GenerateRequest | Buffer, from = web): PeerStream => {
    const body = Buffer.isBuffer(request) ? request : framedRequest(request);
    return stack.call({ path: GENERATE, body }, from);
  };
  const at = (n: number): PeerStream => stack.requests.at(n)!;
  const answer = (stream: PeerStream, cached = 0, batch = 1): Buffer[] =>
    messagesFor(requestIn(stream.body), () => batch, cached);
  /** The engine has sent the first so many messages of its answer. */
  const begin = (stream: PeerStream, messages: number): void =>
    void stack.settle(stream.begin().data(Buffer.concat(answer(stream).slice(0, messages))));
  /** Of all of its answer. */
  const finish = (stream: PeerStream, cached = 0): void =>
    void stack.settle(
      stream
        .begin()
        .data(Buffer.concat(answer(stream, cached, 20)))
        .trailers(0),
    );
  /** It ends the answer before its first token, with the status OK. */
  const giveUp = (stream: PeerStream, finish_reason: string, isStreamed = true): void => {
    const counts = { prompt_tokens: 4, completion_tokens: 0, cached_tokens: 0 };
    const messages = [
      ...(isStreamed ? [{ chunk: { token_ids: [], ...counts } }] : []),
      { complete: { output_ids: [], finish_reason, ...counts } },
    ];
    const body = Buffer.concat(messages.map((each) => grpcMessage(encodeResponse(each))));
    stack.settle(stream.begin().data(body).trailers(0));
  };
  const ledger = (): number => stack.side.inbound.state.limits.ledger.reserved;
  /** Whether a call for so many tokens is let in; it is taken back, and costs nothing, as the engine fails it. */
  const hasRoomFor = (total: number, from = web): boolean => {
    const before = stack.requests.length;
    const tried = call(ofTokens(total), from);
    if (stack.requests.length === before) {
      assert.equal(tried.reason, 'rate-limited');
      return false;
    }
    stack.settle(at(-1).fail(13));
    return true;
  };
  const assertLeft = (left: number, from = web): void => {
    assert.ok(hasRoomFor(left, from), `no room for ${left}`);
    assert.ok(!hasRoomFor(left + 1, from), `room for more than ${left}`);
  };

  it('a call reserves its prompt and max_tokens, and one over the budget is refused until there will be room', () => {
    limited(600);
    call(ofTokens(400));
    assert.equal(ledger(), 400);
    const refused = call(ofTokens(300));
    assertUnprocessed(refused, [8, 'rate-limited'], {
      'grpc-retry-pushback-ms': '10000',
      'grpc-message':
        'web asks digits for more tokens than it may: this request may use 300 (4 of its prompt and 296 more), and 200 of 600 a minute are left',
    });
    assert.equal(stack.requests.length, 1);
    assert.equal(ledger(), 400);
    assertLeft(600, batch);
    stack.advance(10_000);
    call(ofTokens(300));
    assert.equal(ledger(), 700);
  });

  it('metrics say how many tokens are reserved and how many wait, where they count', () => {
    const samples = (name: string) =>
      metricsIn(stack, { inbound: stack.side.inbound.state }).find((each) => each.name === name)?.samples;
    const both = () => [samples('outrider_tokens_reserved'), samples('outrider_queue_waiting_tokens')];
    limited(600, { queue: { concurrency: 1, cost: 'tokens' } });
    call(ofTokens(100));
    call(ofTokens(200));
    assert.deepEqual(both(), [[{ labels: {}, value: 300 }], [{ labels: {}, value: 200 }]]);
    start();
    call(ofTokens(100));
    assert.deepEqual(both(), [undefined, [{ labels: {}, value: 0 }]]);
  });

  it('a call gets back what did not come, and what of its prompt was cached', () => {
    limited(1_000);
    const request = aGenerateRequest({
      sampling_params: { temperature: 0, max_tokens: 500, stop_token_ids: [] },
    });
    const done = call(request);
    assertLeft(1_000 - 504);
    const came = answer(at(0)).length - 1;
    assert.ok(came < 500, 'the answer ends before');
    finish(at(0), 3);
    assert.equal(done.status, 0);
    assert.equal(ledger(), 0);
    assertLeft(1_000 - (4 - 3) - came);
  });

  it('a call that its caller leaves gets back what has not come', () => {
    limited(1_000);
    const left = call(ofTokens(504));
    begin(at(0), 7);
    stack.settle(left.reset());
    assert.equal(ledger(), 0);
    assertLeft(1_000 - 4 - 7);
    const early = call(ofTokens(504));
    stack.settle(early.reset());
    assertLeft(1_000 - 4 - 7 - 4);
  });

  it('a call that its engine fails gets back all if no token came, else what has not come', () => {
    for (const [messages, used] of [
      [0, 0],
      [200, 204],
    ] as const)
      for (const fail of [
        (stream: PeerStream) => (messages === 0 ? stream.fail(13) : stream.trailers(13)),
        (stream: PeerStream) => stream.reset(2),
        (stream: PeerStream) => void stream.peer.socket.break(),
      ]) {
        limited(1_000);
        call(ofTokens(504));
        if (messages > 0) begin(at(0), messages);
        stack.settle(fail(at(0)));
        stack.settle(stack.side.instance.setState({ kind: 'ready' }));
        stack.advance(5_000);
        assert.equal(ledger(), 0);
        const brought = Math.floor(5_000 / 60);
        assertLeft(Math.min(1_000, 1_000 - used + brought));
      }
  });

  it('a call that its engine gives up before its first token gets back all, and counts nowhere', () => {
    for (const reason of ['abort', 'error'])
      for (const isStreamed of [true, false]) {
        limited(1_000);
        call(ofTokens(504));
        giveUp(at(0), reason, isStreamed);
        assert.equal(ledger(), 0);
        assertLeft(1_000);
        assert.deepEqual(
          stack.context.stats.engines.all.map(({ inputTokens }) => inputTokens.sum),
          [0],
        );
      }
  });

  it('one that its caller aborts pays for its prompt', () => {
    limited(1_000);
    call(ofTokens(504));
    const [generating] = stack.requests;
    stack.call({ path: ABORT, body: grpcMessage(encodeAbort(['r-1'])) }, web);
    stack.settle(at(-1).reply(Buffer.alloc(0)));
    giveUp(generating!, 'abort');
    assertLeft(1_000 - 4);
    stack.advance(60_000);
    call(ofTokens(504));
    giveUp(at(-1), 'abort');
    assertLeft(1_000);
  });

  it('a call that is refused by the queue, or leaves it, gets back all', () => {
    limited(1_000, { queue: { concurrency: 1, maxWaiting: 1 } });
    call(ofTokens(100));
    const waits = call(ofTokens(100));
    assert.equal(ledger(), 200);
    assert.equal(call(ofTokens(100)).reason, 'overloaded');
    assert.equal(ledger(), 200);
    stack.settle(waits.reset());
    assert.equal(ledger(), 100);
  });

  it('a request of a caller that has no tokens left is not read', () => {
    limited(600);
    call(ofTokens(600));
    const refused = stack.call({ path: GENERATE, body: null }, web);
    assertUnprocessed(refused, [8, 'rate-limited'], {
      'grpc-retry-pushback-ms': '100',
      'grpc-message': /this request is not read, and 0 of 600 a minute are left$/,
    });
    assert.equal(stack.call({ path: ABORT, body: null }, web).isOver, false, 'it needs none');
    stack.advance(100);
    assert.equal(stack.call({ path: GENERATE, body: null }, web).isOver, false);
  });

  it('a request that may use more than a minute has is refused for good', () => {
    limited(600);
    for (const [over, pattern] of [
      [{ max_tokens: 597 }, /601 \(4 of its prompt and 597 more\), which is more than the 600 a minute/],
      [{ max_tokens: 2 ** 32 - 1 }, /4294967299/],
      [{ max_tokens: 1, n: 1_000 }, /1004 \(4 of its prompt and 1000 more\)/],
      [{}, /4100 \(4 of its prompt and 4096 more\)/],
    ] as const) {
      const refused = call(aGenerateRequest({ sampling_params: { temperature: 0, ...over } }));
      const trailers = { 'grpc-retry-pushback-ms': '-1', 'grpc-message': pattern };
      assertUnprocessed(refused, [8, 'rate-limited'], trailers);
    }
    assert.equal(stack.requests.length, 0);
    assert.equal(hasRoomFor(600), true);
  });

  it('a prompt of a million ids counts as such', () => {
    limited(2_000_000);
    const input_ids = Array.from({ length: 1_000_000 }, (_, i) => i);
    call(ofTokens(104, { tokenized: { input_ids } }));
    assert.equal(ledger(), 1_000_100);
  });

  it('a prompt of text counts by its bytes until the engine says how many tokens it has', () => {
    limited(1_000);
    const text = 'x'.repeat(400);
    const body = grpcMessage(
      encodeRequest({ request_id: 'r', text, sampling_params: { max_tokens: 50 }, stream: true }),
    );
    call(body);
    assert.equal(ledger(), 150);
    const said = aGenerateRequest({
      tokenized: { input_ids: Array.from({ length: 160 }, (_, i) => i) },
      sampling_params: { temperature: 0, max_tokens: 10, ignore_eos: true },
    });
    stack.settle(
      at(0)
        .begin()
        .data(Buffer.concat(messagesFor(said, () => 1)))
        .trailers(0),
    );
    assertLeft(1_000 - 160 - 10);
  });

  it('a request without max_tokens counts as the default, and what comes beyond as it comes', () => {
    limited(1_000, { defaultMaxTokens: 16 });
    call(aGenerateRequest({ sampling_params: { temperature: 0, ignore_eos: true } }));
    assert.equal(ledger(), 20);
    const long = messagesFor(ofTokens(104), () => 1);
    stack.settle(
      at(0)
        .begin()
        .data(Buffer.concat(long.slice(0, 40))),
    );
    assertLeft(1_000 - 44);
    stack.settle(
      at(0)
        .data(Buffer.concat(long.slice(40)))
        .trailers(0),
    );
    assertLeft(1_000 - 104);
  });

  it('a request that cannot be read waits for the whole minute, and pays what the engine says', () => {
    const compressed = framedRequest(ofTokens(50));
    compressed[0] = 1;
    const garbled = grpcMessage(Buffer.from([0xff, 0xff, 0xff]));
    for (const body of [compressed, garbled, Buffer.alloc(0)]) {
      limited(1_000);
      call(ofTokens(50));
      const refused = call(body);
      assertUnprocessed(refused, [8, 'rate-limited'], {
        'grpc-message': /cannot be read, and waits for all/,
      });
      finish(at(0));
      stack.advance(3_000);
      call(body);
      assert.equal(ledger(), 1_000);
      stack.settle(
        at(1)
          .begin()
          .data(Buffer.concat(messagesFor(ofTokens(50), () => 1)))
          .trailers(0),
      );
      assert.equal(ledger(), 0);
      assertLeft(950);
    }
  });

  it('a request that is longer than what is kept of one waits for the whole minute', () => {
    limited(100_000);
    const long = aGenerateRequest({
      tokenized: { original_text: 'x'.repeat(5 * 1024 * 1024), input_ids: [1] },
    });
    call(long);
    stack.advance(1);
    assert.equal(ledger(), 100_000);
    assert.equal(stack.requests.length, 1);
  });

  it('an answer that cannot be read is taken for as long as it may be', () => {
    limited(1_000);
    call(ofTokens(404));
    const compressed = Buffer.concat(answer(at(0)).slice(0, 1));
    compressed[0] = 1;
    stack.settle(at(0).begin().data(compressed).trailers(0));
    assertLeft(1_000 - 404);
  });

  it('an answer that comes in any pieces, or is held as that of a unary method, is counted', () => {
    limited(1_000);
    call(ofTokens(54));
    const all = Buffer.concat(answer(at(0)));
    at(0).begin();
    for (let i = 0; i < all.length; i += 7) at(0).data(all.subarray(i, i + 7));
    stack.settle(at(0).trailers(0));
    assertLeft(1_000 - 54);
    limited(1_000, { routes: [aRoute()] });
    call(ofTokens(504));
    finish(at(0));
    assertLeft(1_000 - 504);
  });

  it('calls beside Generate use no tokens, and both limits of an entry hold', () => {
    limited(100, { rateLimits: [tokens(100, { perSecond: 1, burst: 2 })] });
    const embed = () => stack.call({ path: EMBED, body: grpcMessage(Buffer.alloc(0)) }, web);
    call(ofTokens(90));
    assertEnd(call(ofTokens(90)), [8, 'rate-limited'], { 'grpc-message': /may use 90/ });
    embed();
    assert.equal(stack.requests.length, 2, 'the call that was over its tokens is not counted as a call');
    assertEnd(embed(), [8, 'rate-limited'], { 'grpc-message': /more often than it may/ });
    assert.equal(ledger(), 90);
  });

  it('a slow request holds no place, and is read when it is whole', () => {
    limited(1_000, { queue: { concurrency: 1 } });
    const body = framedRequest(ofTokens(104));
    const slow = stack.call({ path: GENERATE, body: null }, web);
    stack.settle(slow.data(body.subarray(0, 9)));
    assert.deepEqual([stack.requests.length, ledger()], [0, 0]);
    call(ofTokens(50));
    finish(at(0));
    stack.settle(slow.data(body.subarray(9), Flag.endStream));
    assert.deepEqual([stack.requests.length, ledger()], [2, 104]);
  });

  it('limits that change while calls run lose nothing of them', () => {
    limited(1_000);
    const running = call(ofTokens(504));
    stack.reload({ ...options, rateLimits: [tokens(2_000)] });
    assert.equal(ledger(), 504);
    assertLeft(496);
    stack.reload({ ...options, rateLimits: [tokens(300)] });
    assertLeft(300);
    begin(at(0), 3);
    stack.reload(options);
    stack.settle(running.reset());
    assert.equal(ledger(), 0);
    call(ofTokens(200));
    const { rateLimits: _, ...without } = options;
    stack.reload(without);
    assert.equal(ledger(), 200);
    call(ofTokens(5_000));
    finish(at(-2));
    finish(at(-1));
    assert.equal(ledger(), 0);
  });

  describe('in the queue', () => {
    const queued = (maxWaitingTokens: number): void =>
      start({ queue: { concurrency: 1, cost: 'tokens', maxWaitingTokens } });
    const waiting = () => {
      const { waiting: calls, waitingCost } = stack.side.backend.queue;
      return [calls, waitingCost];
    };

    it('calls wait up to a number of tokens', () => {
      queued(1_000);
      call(ofTokens(5_000));
      call(ofTokens(600));
      const pushback = { 'grpc-retry-pushback-ms': /^\d+$/ };
      const over = /600 tokens are waiting, and this call may use 500$/;
      assertUnprocessed(call(ofTokens(500)), [8, 'overloaded'], { 'grpc-message': over, ...pushback });
      call(ofTokens(400));
      assert.deepEqual(waiting(), [2, 1_000]);
      // Its request need not be read.
      const full = /1000 tokens are waiting$/;
      assertUnprocessed(call(ofTokens(5)), [8, 'overloaded'], { 'grpc-message': full, ...pushback });
      assert.equal(ledger(), 0, 'no limit reserves any');
      for (let i = 0; i < 3; i++) finish(at(i));
      assert.deepEqual(waiting(), [0, 0]);
    });

    it('callers get as many tokens, not as many calls', () => {
      queued(100_000);
      call(ofTokens(10));
      for (let i = 0; i < 3; i++) call(ofTokens(400), batch);
      for (let i = 0; i < 8; i++) call(ofTokens(100));
      // The list grows meanwhile.
      for (const stream of stack.requests) finish(stream);
      const order = stack.requests
        .slice(1)
        .map((stream) => requestIn(stream.body).sampling_params!.max_tokens);
      const [large, small] = [396, 96];
      assert.deepEqual(order, [
        ...[large, small, small, small, small],
        ...[large, small, small, small, small],
        large,
      ]);
    });

    it('a caller of large prompts does not push out one of small ones, which may push out its own', () => {
      queued(1_000);
      call(ofTokens(10));
      const small = Array.from({ length: 9 }, () => call(ofTokens(100)));
      assert.equal(call(ofTokens(950), batch).reason, 'overloaded');
      assert.ok(small.every(({ isOver }) => !isOver));
      for (const each of small.splice(2)) stack.settle(each.reset());
      const large = call(ofTokens(790), batch);
      assert.equal(large.isOver, false);
      call(ofTokens(50));
      assertUnprocessed(large, [8, 'overloaded'], { 'grpc-message': /others go first/ });
    });

    it('calls that wait count as well when tokens begin to count, and when they do not any more', () => {
      start({ queue: { concurrency: 1 } });
      call(ofTokens(10));
      call(ofTokens(100));
      stack.reload({ ...options, queue: { concurrency: 1, cost: 'tokens', maxWaitingTokens: 200 } });
      call(ofTokens(100));
      assert.deepEqual(waiting(), [2, 200]);
      assert.equal(call(ofTokens(10)).reason, 'overloaded');
      stack.reload({ ...options, queue: { concurrency: 1 } });
      call(ofTokens(100));
      assert.deepEqual(waiting(), [3, 300]);
      for (const stream of stack.requests) finish(stream);
      assert.deepEqual(waiting(), [0, 0]);
    });
  });
});
