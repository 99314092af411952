/** The engines of an upstream run two models, as during a change of versions: an answer never gets tokens of both. */
import assert from 'node:assert/strict';
import {
  aGenerateRequest,
  framedRequest,
  GENERATE,
  messagesFor,
  readAnswer,
  requestIn,
  tokensFor,
} from '../../kit/engines/scripted-engine.js';
import { encodeResponse } from '../../kit/engines/vllm-messages.js';
import { grpcMessage } from '../../kit/http2/h2-frames.js';
import type { PeerStream } from '../../kit/http2/scripted-peer.js';
import { UpstreamStack } from '../../kit/scenario/upstream-stack.js';
import { aStreamRoute, type UpstreamOptions } from '../../kit/stack/stack.js';

const REQUEST = aGenerateRequest();
const KEY = 'outrider-engine-model';

describe('Scenario: the engines of an answer run different models', () => {
  let stack: UpstreamStack;
  /** What the sidecar of each engine says that it runs; empty: nothing, as that of the version before. */
  let models: ReadonlyMap<string, string>;

  const start = (running: Readonly<Record<string, string>>, more: UpstreamOptions = {}): void => {
    models = new Map(Object.entries(running));
    stack = new UpstreamStack([...models.keys()], {
      routes: [aStreamRoute()],
      engine: 'vllm',
      budget: { ratio: 1, perSecond: 1_000 },
      ...more,
    });
  };
  const at = (name: string): PeerStream => stack.backend(name).last;
  const begin = (name: string): PeerStream => {
    const model = models.get(name)!;
    return at(name).begin(model === '' ? [] : [[KEY, model]]);
  };
  const messages = (name: string): Buffer[] => messagesFor(requestIn(at(name).body), () => 1);
  /** An answer of `a`, which dies after four tokens. */
  const open = (): PeerStream => {
    const call = stack.call({ path: GENERATE, body: framedRequest(REQUEST) });
    stack.settle(begin('a').data(Buffer.concat(messages('a').slice(0, 4))));
    stack.settle(at('a').peer.socket.break());
    stack.advance(300);
    return call;
  };
  const finish = (name: string): void =>
    void stack.settle(
      begin(name)
        .data(Buffer.concat(messages(name)))
        .trailers(0),
    );
  const assertWhole = (call: PeerStream): void => {
    assert.deepEqual([call.status, call.reason], [0, undefined]);
    assert.deepEqual(
      readAnswer(call.body).ids,
      tokensFor(REQUEST).map(({ id }) => id),
    );
    stack.assertIdle();
  };

  for (const [first, second] of [
    ['llama-3.1', 'llama-3.2'],
    ['llama-3.1', ''],
    ['', 'llama-3.2'],
  ] as const)
    it(`"${first}" and then "${second}": it is not resumed, and has tokens of the first one only`, () => {
      start({ a: first, b: second });
      const call = open();
      finish('b');
      assert.deepEqual([call.status, call.reason], [14, 'not-resumed']);
      assert.match(call.trailer('grpc-message')!, /another model/);
      assert.equal(readAnswer(call.body).ids.length, 4);
      stack.assertIdle();
    });

  for (const model of ['llama-3.1', ''])
    it(`"${model}" both times: it continues`, () => {
      start({ a: model, b: model });
      const call = open();
      finish('b');
      assertWhole(call);
    });

  it('a third one runs the same as the first: it continues there, and the second has done nothing wrong', () => {
    start({ a: 'old', b: 'new', c: 'old' });
    const call = open();
    stack.settle(begin('b').data(Buffer.concat(messages('b').slice(0, 1))));
    assert.equal(at('b').resetCode, 8);
    assert.equal(call.isOver, false, call.reason);
    finish('c');
    assertWhole(call);
    assert.deepEqual([...stack.endpoint('b').outcomes].slice(0, 2), [0, 0]);
  });

  /** As many calls as there are engines, of which all but `left` have answered: the call that this one has. */
  const leftAt = (left?: string): PeerStream | undefined => {
    const calls = stack.names.map(() => stack.call({ path: GENERATE, body: framedRequest(REQUEST) }));
    for (const name of stack.names) if (name !== left) finish(name);
    const open = calls.filter(({ isOver }) => !isOver);
    assert.equal(open.length, left === undefined ? 0 : 1);
    return open[0];
  };
  /** Each engine has answered a call. */
  const warm = (): void => void leftAt();
  const brokenAt = (name: string): PeerStream => {
    const call = leftAt(name)!;
    stack.settle(begin(name).data(Buffer.concat(messages(name).slice(0, 4))));
    stack.settle(at(name).peer.socket.break());
    return call;
  };

  it('that the others run another one is known from their answers: none is asked', () => {
    start({ a: 'old', b: 'new', c: '', d: 'new' });
    const call = brokenAt('a');
    const asked = stack.requestsAt('b', 'c', 'd').length;
    stack.advance(2_000);
    assert.equal(stack.requestsAt('b', 'c', 'd').length, asked);
    // Its own engine is back.
    finish('a');
    assertWhole(call);
  });

  it('the one that runs the same is asked first', () => {
    start({ a: 'old', b: 'new', c: 'new', d: 'old' });
    const call = brokenAt('a');
    const others = stack.requestsAt('b', 'c').length;
    stack.advance(300);
    assert.equal(stack.requestsAt('b', 'c').length, others);
    finish('d');
    assertWhole(call);
  });

  it('what an endpoint ran is forgotten with its connection: another process may run another model', () => {
    start({ a: 'old', b: 'new' });
    warm();
    stack.settle(stack.backend('b').last.peer.socket.break());
    stack.advance(2_000);
    models = new Map([
      ['a', 'old'],
      ['b', 'old'],
    ]);
    const call = brokenAt('a');
    stack.advance(300);
    finish('b');
    assertWhole(call);
  });

  describe('one of the others runs another one, and', () => {
    /** Engines that leave requests to the test; the others answer them. */
    let held: ReadonlySet<string>;

    const startAnswering = (running: Readonly<Record<string, string>>): void => {
      start(running);
      held = new Set();
      const answer = (name: string, stream: PeerStream): void => {
        if (stream.header(':path') !== GENERATE) return void stream.fail(12);
        if (held.has(name)) return;
        const body = Buffer.concat(messagesFor(requestIn(stream.body), () => 1));
        stream
          .begin([[KEY, models.get(name)!]])
          .data(body)
          .trailers(0);
      };
      for (const name of stack.names) stack.answers((stream) => answer(name, stream), name);
      while (stack.names.some((name) => stack.endpoint(name).engineModel === null)) ask();
    };
    const ask = (): PeerStream => stack.call({ path: GENERATE, body: framedRequest(REQUEST) });
    /** An answer of `name`, of which the caller has four tokens. */
    const begunAt = (name: string): PeerStream => {
      const before = held;
      held = new Set([name]);
      for (let i = 0; i < 9; i++) {
        const call = ask();
        if (call.isOver) continue;
        held = before;
        stack.settle(begin(name).data(Buffer.concat(messages(name).slice(0, 4))));
        return call;
      }
      throw new Error('no call went there');
    };
    const asked = (...names: readonly string[]): number => stack.requestsAt(...names).length;
    const PAUSE = [['grpc-retry-pushback-ms', '3000']] as const;

    it('no engine is asked that is known to hang, though it runs the same', () => {
      startAnswering({ a: 'old', b: 'new', c: 'old', d: 'old' });
      const left = begunAt('c');
      stack.advance(11_000);
      assertWhole(left);
      const before = asked('c');
      for (let i = 0; i < 4; i++) {
        const call = begunAt('a');
        stack.settle(at('a').trailers(14));
        stack.advance(300);
        assertWhole(call);
      }
      assert.equal(asked('c'), before);
    });

    it('each that runs the same asks for a pause: the answer waits for one of them', () => {
      startAnswering({ a: 'old', b: 'new', c: 'old' });
      const call = begunAt('a');
      held = new Set(['a', 'c']);
      stack.settle(at('a').trailers(14, PAUSE));
      stack.advance(300);
      stack.settle(at('c').fail(14, PAUSE));
      const before = asked('a', 'b', 'c');
      held = new Set();
      stack.advance(2_500);
      assert.equal(asked('a', 'b', 'c'), before);
      stack.advance(700);
      assertWhole(call);
      assert.equal(asked('a', 'b', 'c'), before + 1);
    });

    it('its own is about to be connected to again: the answer waits for that', () => {
      startAnswering({ a: 'old', b: 'new' });
      const call = begunAt('a');
      stack.backend('a').mode = 'silent';
      stack.settle(at('a').peer.socket.break());
      const before = asked('a', 'b');
      stack.advance(600);
      assert.equal(call.isOver, false, call.trailer('grpc-message'));
      stack.revive('a');
      stack.advance(3_000);
      assertWhole(call);
      assert.equal(asked('b'), asked('a', 'b') - asked('a'));
      assert.equal(asked('a', 'b'), before + 1);
    });
  });

  it('a slow engine keeps an answer that no other one could go on with', () => {
    start({ a: 'old', b: 'new' });
    const call = leftAt('a')!;
    stack.settle(begin('a').data(Buffer.concat(messages('a').slice(0, 4))));
    stack.advance(30_000);
    assert.deepEqual([call.isOver, at('a').resetCode], [false, undefined]);
  });

  it('the sidecar of an engine is asked for it, and nobody else is', () => {
    const ASKS = 'outrider-accept-engine-model';
    for (const [more, asked] of [
      [{}, '1'],
      [{ tls: 'plaintext' }, undefined],
    ] as const) {
      start({ a: 'llama-3.1' }, more);
      stack.call({ path: GENERATE, body: framedRequest(REQUEST), metadata: [[ASKS, 'mine']] });
      assert.equal(at('a').header(ASKS), asked);
      assert.equal(
        at('a')
          .lists.flat()
          .filter(([key]) => key === ASKS).length,
        asked === undefined ? 0 : 1,
      );
      stack.close();
    }
    stack = new UpstreamStack(['a'], { routes: [aStreamRoute()] });
    stack.call({ path: '/a.B/Watch' });
    assert.equal(at('a').header(ASKS), undefined);
  });

  it('its own engine is gone, and the others run another one: it ends, and none is asked', () => {
    start({ a: 'old', b: 'new', c: 'new' });
    const call = leftAt('a')!;
    stack.settle(begin('a').data(Buffer.concat(messages('a').slice(0, 4))));
    const asked = stack.requestsAt('b', 'c').length;
    stack.update({ routes: [aStreamRoute()], engine: 'vllm' }, ['b', 'c']);
    stack.settle(at('a').trailers(14));
    stack.advance(300);
    assert.deepEqual([call.status, call.reason], [14, 'not-resumed']);
    assert.match(call.trailer('grpc-message')!, /another model/);
    assert.equal(stack.requestsAt('b', 'c').length, asked);
    stack.assertIdle();
  });

  it('none of the others runs it: each is asked once', () => {
    start({ a: 'old', b: 'new', c: 'new', d: 'new' });
    const call = open();
    for (const name of ['b', 'c', 'd']) if (!call.isOver) stack.settle(begin(name));
    assert.deepEqual([call.status, call.reason, stack.requests.length], [14, 'not-resumed', 4]);
    stack.assertIdle();
  });

  it('the client is not told what they run, nor can it say so itself', () => {
    for (const forward of [false, true]) {
      start({ a: 'llama-3.1', b: 'llama-3.1' }, { loadReports: { intervalMs: 0, forward } });
      const call = stack.call({
        path: GENERATE,
        body: framedRequest(REQUEST),
        metadata: [[KEY, 'mine']],
      });
      assert.equal(at('a').header(KEY), undefined);
      finish('a');
      assert.equal(call.status, 0);
      assert.deepEqual(
        call.lists.flat().filter(([name]) => name === KEY),
        [],
      );
      stack.close();
    }
  });

  /** An answer that `a` has given up before its first token: with a message without a token, or with none. */
  const givenUpAt = (name: string, first: 'a message' | 'none', cached = 0): void => {
    const counts = { prompt_tokens: 4, completion_tokens: 0, cached_tokens: cached };
    const messages = [
      ...(first === 'none' ? [] : [{ chunk: { token_ids: [], ...counts } }]),
      { complete: { output_ids: [], finish_reason: 'error', ...counts } },
    ];
    const body = Buffer.concat(messages.map((each) => grpcMessage(encodeResponse(each))));
    stack.settle(begin(name).data(body).trailers(0));
    stack.advance(300);
  };

  for (const first of ['a message', 'none'] as const) {
    it(`it is given up without a token, after ${first}: an engine with another model begins it anew`, () => {
      start({ a: 'old', b: 'new' });
      const call = stack.call({ path: GENERATE, body: framedRequest(REQUEST) });
      givenUpAt('a', first);
      finish('b');
      assertWhole(call);
    });

    it(`so also where that model is known, and then an engine with that one continues it; after ${first}`, () => {
      start({ a: 'old', b: 'new', c: 'old', d: 'new' });
      warm();
      const call = leftAt('a')!;
      const before = stack.names.map((name) => stack.requestsAt(name).length);
      const asked = () => stack.names.filter((name, i) => stack.requestsAt(name).length > before[i]!);
      givenUpAt('a', first);
      const [second] = asked();
      assert.ok(second !== undefined, 'another one is asked');
      stack.settle(begin(second).data(Buffer.concat(messages(second).slice(0, 4))));
      stack.settle(at(second).trailers(14));
      stack.advance(300);
      const [third] = asked().filter((name) => name !== second);
      assert.equal(models.get(third!), models.get(second));
      finish(third!);
      assertWhole(call);
    });

    it(`the client and metrics get the counts of the engine that begins it anew; after ${first}`, () => {
      start({ a: 'old', b: 'new' });
      const call = stack.call({ path: GENERATE, body: framedRequest(REQUEST) });
      givenUpAt('a', first, 4);
      const { body } = at('b');
      const anew = Buffer.concat(messagesFor(requestIn(body), () => 1, 3));
      stack.settle(begin('b').data(anew).trailers(0));
      const { chunks, complete } = readAnswer(call.body);
      const counted = [...chunks.filter(({ token_ids: ids }) => ids.length > 0), complete!];
      assert.deepEqual(new Set(counted.map(({ cached_tokens: cached }) => cached)), new Set([3]));
      assert.equal(stack.context.stats.engines.all[0]!.cachedTokens, 3);
      assertWhole(call);
    });
  }

  it('a reload takes the engine out of the file: answers on their way continue, at the same model only', () => {
    start({ a: 'old', b: 'old' });
    const call = stack.call({ path: GENERATE, body: framedRequest(REQUEST) });
    stack.settle(begin('a').data(Buffer.concat(messages('a').slice(0, 4))));
    stack.update({ routes: [aStreamRoute()], budget: { ratio: 1, perSecond: 1_000 } });
    stack.settle(at('a').peer.socket.break());
    stack.advance(300);
    assert.equal(at('b').header('outrider-accept-engine-model'), '1');
    // A sidecar says it only where it is asked.
    finish('b');
    assertWhole(call);
    stack.call({ path: GENERATE, body: framedRequest(REQUEST) });
    const later = stack.requests.at(-1)!;
    assert.equal(
      later.header('outrider-accept-engine-model'),
      undefined,
      'new calls are no answers of an engine',
    );
  });
});
