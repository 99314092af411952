/**
 * A language-model engine dies in the middle of an answer that another one cannot go on with exactly, as it is drawn by chance. Where its route says
 * `resume: approximate`, it goes on behind the tokens that the caller has, and a trailer says so.
 */
import assert from 'node:assert/strict';
import type { GenerateRequest, SamplingParams } from '../../../proto/vllm-service.js';
import { chunkOf, completeOf } from '../../../services/engine/engine-core.js';
import { END_OF_SEQUENCE, type Token } from '../../../services/engine/greedy-model.js';
import {
  aGenerateRequest,
  framedRequest,
  GENERATE,
  messagesFor,
  type ReadAnswer,
  readAnswer,
  requestIn,
  tokensFor,
} from '../../kit/engines/scripted-engine.js';
import { encodeResponse } from '../../kit/engines/vllm-messages.js';
import { ErrorCode, grpcMessage } from '../../kit/http2/h2-frames.js';
import type { PeerStream } from '../../kit/http2/scripted-peer.js';
import { runs } from '../../kit/mocha/effort.js';
import { UpstreamStack } from '../../kit/scenario/upstream-stack.js';
import { aStreamRoute, type UpstreamOptions } from '../../kit/stack/stack.js';
import { seeded } from '../../kit/time/seeded-random.js';

const APPROXIMATE = { resume: 'approximate' } as const;
const PATIENT = { attempts: 8, on: [13, 14], backoff: { baseMs: 0, maxMs: 0 } };
const MODEL = [['outrider-engine-model', 'tiny']] as const;
const asking = (sampling_params: SamplingParams, over: Partial<GenerateRequest> = {}): GenerateRequest =>
  aGenerateRequest({ sampling_params: { max_tokens: 20, ...sampling_params }, ...over });
const DRAWN = asking({ temperature: 0.8 });

/** A request whose answer ends by itself, before its limit. */
function endingBy(sampling: SamplingParams): GenerateRequest {
  for (let id = 3; ; id++) {
    const tokenized = { input_ids: [1, id] };
    const request = asking({ max_tokens: 200, ...sampling }, { request_id: `e-${id}`, tokenized });
    const tokens = tokensFor(request);
    if (tokens.at(-1)!.finish === 'stop' && tokens.length > 4) return request;
  }
}

describe('Scenario: an answer of a language-model engine goes on in tokens that may be others', () => {
  let stack: UpstreamStack;
  let arrived: PeerStream[];
  /** What the sidecar of an engine says that it runs. */
  let modelSaid: readonly (readonly [string, string])[];

  const start = (more: UpstreamOptions = {}, names = ['a', 'b', 'c']): void => {
    stack = new UpstreamStack(names, {
      routes: [aStreamRoute(APPROXIMATE)],
      engine: 'vllm',
      budget: { ratio: 1, perSecond: 1_000 },
      ...more,
    });
    arrived = [];
    modelSaid = MODEL;
    stack.answers((stream) => {
      if (stream.header(':path')?.startsWith('/vllm.')) arrived.push(stream);
      else stream.fail(12);
    });
  };
  const open = (request: GenerateRequest): PeerStream =>
    stack.call({ path: GENERATE, body: framedRequest(request) });
  const latest = (): PeerStream => arrived.at(-1)!;
  const one = (): number => 1;
  const answer = (stream: PeerStream, batch: () => number = one): Buffer[] =>
    messagesFor(requestIn(stream.body), batch);
  const send = (stream: PeerStream, messages: readonly Buffer[]): void =>
    void stack.settle(stream.begin(modelSaid).data(Buffer.concat(messages)));
  const finish = (stream: PeerStream, batch: () => number = one): void => {
    send(stream, answer(stream, batch));
    stack.settle(stream.trailers(0));
  };
  const kill = (stream: PeerStream): void => {
    stack.settle(stream.peer.socket.break());
    stack.advance(300);
  };
  /** An answer whose engine dies behind so many messages of one token. */
  const broken = (request: GenerateRequest, count: number): PeerStream => {
    const call = open(request);
    const engine = latest();
    send(engine, answer(engine).slice(0, count));
    kill(engine);
    return call;
  };
  const idsOf = (request: GenerateRequest): number[] => tokensFor(request).map(({ id }) => id);
  const askedIds = (): readonly number[] => requestIn(latest().body).tokenized!.input_ids!;
  const assertWhole = (call: PeerStream, request: GenerateRequest, resumed?: string): ReadAnswer => {
    const read = readAnswer(call.body);
    assert.deepEqual([call.status, call.reason], [0, undefined]);
    assert.deepEqual(read.ids, idsOf(request));
    const { finish: reason, matched } = tokensFor(request).at(-1)!;
    assert.deepEqual(
      [read.complete!.finish_reason, read.complete!.matched_token_id ?? 0],
      [reason, matched ?? 0],
    );
    const counts = [...read.chunks, read.complete!].map((each) => each.prompt_tokens);
    assert.deepEqual(new Set(counts), new Set([request.tokenized!.input_ids!.length]));
    assert.equal(call.trailer('outrider-resumed'), resumed);
    assert.equal(call.lists.length, 2, 'headers once, trailers once');
    stack.assertIdle();
    return read;
  };

  for (const [what, sampling] of [
    ['temperature above 0', { temperature: 0.8 }],
    ['no temperature said', {}],
    ['a presence penalty', { temperature: 0, presence_penalty: 0.5 }],
    ['a frequency penalty', { temperature: 0, frequency_penalty: -0.5 }],
  ] as const)
    it(`${what}: behind all tokens that the caller has, and a trailer says so`, () => {
      start();
      const request = asking({ ...sampling, min_tokens: 19 });
      const call = broken(request, 5);
      const ids = idsOf(request);
      assert.deepEqual(askedIds(), [...request.tokenized!.input_ids!, ...ids.slice(0, 5)]);
      const { max_tokens, min_tokens } = requestIn(latest().body).sampling_params!;
      assert.deepEqual([max_tokens, min_tokens], [15, 14]);
      finish(latest());
      assertWhole(call, request, 'approximate');
    });

  it('a stop string: the last token is made again, as at temperature 0', () => {
    start();
    const request = asking({ temperature: 0, stop: ['\n'] });
    const call = broken(request, 5);
    assert.equal(askedIds().length, request.tokenized!.input_ids!.length + 4);
    finish(latest());
    assertWhole(call, request, 'approximate');
  });

  it('the engine that goes on draws other tokens: each place has one', () => {
    start();
    const call = broken(DRAWN, 5);
    const asked = requestIn(latest().body);
    const others = Array.from({ length: 15 }, (_, i): Token => {
      return { id: 900 + i, finish: i === 14 ? 'length' : '', matched: undefined };
    });
    const messages = [
      ...others.map((token) => chunkOf(asked, [token])),
      completeOf(asked, others.slice(-1)),
    ].map((each) => grpcMessage(encodeResponse(each)));
    send(latest(), messages);
    stack.settle(latest().trailers(0));
    assert.deepEqual(readAnswer(call.body).ids, [...idsOf(DRAWN).slice(0, 5), ...others.map(({ id }) => id)]);
    assert.deepEqual([call.status, call.trailer('outrider-resumed')], [0, 'approximate']);
    stack.assertIdle();
  });

  it('no other seed would be the same: it draws as for the first tokens no more', () => {
    start();
    broken(asking({ temperature: 1, seed: 7 }), 5);
    assert.equal(requestIn(latest().body).sampling_params!['seed'], 12);
  });

  it('an answer that is exact anyway says nothing, and one that nothing befalls neither', () => {
    start();
    const request = asking({ temperature: 0 });
    const call = broken(request, 5);
    finish(latest());
    assertWhole(call, request);
    const undisturbed = open(DRAWN);
    finish(latest());
    assertWhole(undisturbed, DRAWN);
  });

  it('before its first token it is begun anew, which is exact', () => {
    start();
    const call = broken(DRAWN, 0);
    finish(latest());
    assertWhole(call, DRAWN);
  });

  describe('temperature 0, and the other engine makes another token:', () => {
    const GREEDY = asking({ temperature: 0 });
    const makeAnother = (): void => {
      const asked = requestIn(latest().body);
      const token = { id: 31_999, finish: '', matched: undefined } as const;
      send(latest(), [grpcMessage(encodeResponse(chunkOf(asked, [token, token])))]);
    };

    it('it is asked once more, behind all tokens', () => {
      start({}, ['a', 'b']);
      const call = broken(GREEDY, 5);
      const first = latest();
      makeAnother();
      assert.equal(first.resetCode, ErrorCode.cancel);
      assert.equal(askedIds().length, GREEDY.tokenized!.input_ids!.length + 5);
      assert.equal(stack.backend('b').requests.filter((each) => arrived.includes(each)).length, 2);
      finish(latest());
      assertWhole(call, GREEDY, 'approximate');
      assert.deepEqual([...stack.endpoint('b').outcomes].slice(0, 2), [1, 0], 'no fault of it');
    });

    it('where all tokens are there, it ends', () => {
      start();
      const call = broken(GREEDY, 20);
      makeAnother();
      assert.deepEqual(readAnswer(call.body).ids, idsOf(GREEDY));
      assert.equal(readAnswer(call.body).complete!.finish_reason, 'length');
      assert.deepEqual([call.status, arrived.length], [0, 2]);
      stack.assertIdle();
    });

    it('without the option it ends with not-resumed', () => {
      start({ routes: [aStreamRoute()] });
      const call = broken(GREEDY, 5);
      makeAnother();
      assert.deepEqual([call.status, call.reason], [14, 'not-resumed']);
    });
  });

  describe('its engine dies behind the last token, and before it says that this was the end:', () => {
    for (const [how, sampling] of [
      ['the model ends it', {}],
      ['a token of its request ends it', { stop_token_ids: Array.from({ length: 400 }, (_, i) => i + 5) }],
    ] as const)
      it(`${how}: no engine goes on behind it`, () => {
        start();
        const request = endingBy({ temperature: 0.8, ...sampling });
        // By its own end the model is known once an answer has ended so.
        const before = open(endingBy({ temperature: 0.8 }));
        finish(latest());
        assert.equal(readAnswer(before.body).ids.at(-1), END_OF_SEQUENCE);
        const call = broken(request, tokensFor(request).length);
        assert.equal(arrived.length, 2);
        assertWhole(call, request);
      });

    it('its limit ends it', () => {
      start();
      const call = broken(DRAWN, 20);
      assert.equal(arrived.length, 1);
      assertWhole(call, DRAWN);
    });

    it('the end of the model is none where the request ignores it', () => {
      start();
      open(endingBy({ temperature: 0.8 }));
      finish(latest());
      const { tokenized } = endingBy({});
      const request = asking({ max_tokens: 200, ignore_eos: true }, { tokenized: tokenized! });
      const ids = idsOf(request);
      const call = broken(request, ids.indexOf(END_OF_SEQUENCE) + 1);
      finish(latest());
      assertWhole(call, request, 'approximate');
    });
  });

  describe('a token that is an end to one request is none to others:', () => {
    /** An answer ends by `stop` behind its first four tokens, without a word of what ended it. */
    const endsByFour = (sampling: SamplingParams): number => {
      const request = asking({ temperature: 0.8, ...sampling }, { tokenized: DRAWN.tokenized! });
      const call = open(request);
      const four = tokensFor(request).slice(0, 4);
      const last: Token = { id: four[3]!.id, finish: 'stop', matched: undefined };
      const messages = [chunkOf(request, four), completeOf(request, [last])];
      send(
        latest(),
        messages.map((each) => grpcMessage(encodeResponse(each))),
      );
      stack.settle(latest().trailers(0));
      assert.deepEqual([call.status, readAnswer(call.body).complete!.finish_reason], [0, 'stop']);
      return last.id;
    };

    for (const [what, sampling] of [
      ['a stop string', { stop: ['\n'] }],
      ['stop strings among which its engine ignores the end', { stop: ['a', 'b'], ignore_eos: true }],
      ['the end of which is ignored', { ignore_eos: true }],
    ] as const)
      it(`${what}: an answer whose engine dies behind it continues`, () => {
        start();
        const id = endsByFour(sampling);
        assert.equal(idsOf(DRAWN)[3], id);
        const call = broken(DRAWN, 4);
        assert.equal(call.isOver, false, 'it was cut short');
        finish(latest());
        assertWhole(call, DRAWN, 'approximate');
      });

    for (const hasRestarted of [false, true])
      it(`what ends answers of a model without a name is known${hasRestarted ? ', also when its engine has started again' : ''}`, () => {
        start({}, ['a']);
        modelSaid = [];
        endsByFour({});
        if (hasRestarted) {
          stack.settle(latest().peer.socket.break());
          stack.advance(2_000);
        }
        const call = broken(DRAWN, 4);
        assert.equal(call.isOver, true);
      });
  });

  it('a request without parameters continues, as one with empty ones', () => {
    start();
    const { sampling_params: _, ...request } = DRAWN;
    const call = open(request);
    const tokens = tokensFor(DRAWN);
    const chunks = tokens.map((token) => grpcMessage(encodeResponse(chunkOf(DRAWN, [token]))));
    send(latest(), chunks.slice(0, 5));
    kill(latest());
    assert.deepEqual(askedIds(), [...DRAWN.tokenized!.input_ids!, ...idsOf(DRAWN).slice(0, 5)]);
    assert.equal(requestIn(latest().body).sampling_params ?? null, null);
    const complete = grpcMessage(encodeResponse(completeOf(DRAWN, tokens.slice(-1))));
    send(latest(), [...chunks.slice(5), complete]);
    stack.settle(latest().trailers(0));
    assertWhole(call, DRAWN, 'approximate');
  });

  it('again and again, at any byte, in frames of any size: no token is lost or doubled', () => {
    const random = seeded(29);
    const batch = (): number => 1 + Math.floor(random() * 5);
    const pick = <T>(items: readonly T[]): T => items[Math.floor(random() * items.length)]!;
    for (let run = 0; run < runs(20); run++) {
      start({ routes: [aStreamRoute({ ...APPROXIMATE, retry: PATIENT })] }, ['a', 'b', 'c', 'd']);
      open(endingBy({ temperature: 0.8 }));
      finish(latest());
      const request = asking({
        max_tokens: 1 + Math.floor(random() * 60),
        ...pick<SamplingParams>([{}, { temperature: 1 }, { temperature: 0 }]),
        ...pick<SamplingParams>([{}, { presence_penalty: 0.5 }, { logprobs: 2 }]),
        ...pick<SamplingParams>([{}, { stop_token_ids: [5, 6, 7] }]),
      });
      const call = open(request);
      for (let tries = 0; tries < 3 && !call.isOver; tries++) {
        const engine = latest();
        const body = Buffer.concat(answer(engine, batch));
        const diesAt = Math.floor(random() * (body.length + 1));
        stack.settle(engine.begin(MODEL));
        for (let sent = 0; sent < diesAt; ) {
          const frame = Math.min(diesAt - sent, 1 + Math.floor(random() * 40));
          stack.settle(engine.data(body.subarray(sent, sent + frame)));
          sent += frame;
        }
        if (run % 2 === 0) stack.settle(engine.peer.socket.break());
        else stack.settle(engine.trailers(14));
        stack.advance(300);
      }
      if (!call.isOver) finish(latest(), batch);
      const resumed = call.trailer('outrider-resumed');
      const isExact =
        request.sampling_params!.temperature === 0 && !request.sampling_params!['presence_penalty'];
      assert.ok(resumed === undefined || !isExact, `${JSON.stringify(request)} is exact`);
      assertWhole(call, request, resumed);
      stack.close();
    }
  });

  it('a silent engine is left, as one is whose answers are exact', () => {
    start();
    const call = open(DRAWN);
    const first = latest();
    send(first, answer(first).slice(0, 4));
    stack.advance(10_900);
    assert.equal(first.resetCode, ErrorCode.cancel);
    finish(latest());
    assertWhole(call, DRAWN, 'approximate');
  });

  it('while its caller reads nothing: what waits is neither lost nor credited to the next engine', () => {
    start();
    const caller = stack.app(stack.out.listener, undefined, { settings: [[4, 100]], replenishes: false });
    const call = stack.settle(caller.call({ path: GENERATE, body: framedRequest(DRAWN) }));
    const first = latest();
    send(first, answer(first).slice(0, 20));
    kill(first);
    stack.settle(call.credit(10_000));
    assertWhole(call, DRAWN);
  });

  it('breaks at each engine: the failure says that it was approximate, too', () => {
    start({}, ['a', 'b']);
    const call = broken(DRAWN, 5);
    const second = latest();
    send(second, answer(second).slice(0, 3));
    kill(second);
    for (let n = 0; n < 12 && !call.isOver; n++) {
      stack.settle(latest().trailers(14));
      stack.advance(1_000);
    }
    assert.deepEqual([call.status, call.reason], [14, 'not-resumed']);
    assert.equal(readAnswer(call.body).ids.length, 8);
    assert.equal(call.trailer('outrider-resumed'), 'approximate');
  });

  for (const [what, request] of [
    ['json_schema', asking({ json_schema: '{}' })],
    ['regex', asking({ temperature: 1, regex: 'a+' })],
    ['n is more than 1', asking({ temperature: 1, n: 2 })],
    ['prompt_logprobs', asking({ temperature: 0, prompt_logprobs: 1 })],
    ['truncate_prompt_tokens', asking({ truncate_prompt_tokens: 2 })],
  ] as const)
    it(`${what}: it ends with not-resumed, which names that`, () => {
      start();
      const call = broken(request, 5);
      assert.deepEqual([call.status, call.reason, arrived.length], [14, 'not-resumed', 1]);
      assert.ok(call.trailer('grpc-message')!.includes(what), call.trailer('grpc-message'));
      assert.equal(call.trailer('outrider-resumed'), undefined);
    });

  it('another model never goes on with it', () => {
    start({}, ['a', 'b']);
    const call = broken(DRAWN, 5);
    stack.settle(latest().begin([['outrider-engine-model', 'other']]));
    assert.deepEqual([call.status, call.reason], [14, 'not-resumed']);
  });

  it('without the option it ends with not-resumed', () => {
    start({ routes: [aStreamRoute()] });
    const call = broken(DRAWN, 5);
    assert.deepEqual([call.status, call.reason, arrived.length], [14, 'not-resumed', 1]);
    assert.match(call.trailer('grpc-message')!, /temperature is not 0/);
  });
});
