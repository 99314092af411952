/** An answer whose engines die or freeze again and again: it goes on as long as they bring something, and is bounded where they do not. */
import assert from 'node:assert/strict';
import type { GenerateRequest } from '../../../proto/vllm-service.js';
import { OutboundCall } from '../../../sidecar/outbound/call.js';
import { FIRST_WINDOW, WIDE_WINDOW } from '../../../sidecar/transport/memory-budget.js';
import {
  aGenerateRequest,
  CORE_DIED,
  framedRequest,
  GENERATE,
  messagesFor,
  readAnswer,
  requestIn,
  tokensFor,
} from '../../kit/engines/scripted-engine.js';
import { ErrorCode } from '../../kit/http2/h2-frames.js';
import type { PeerStream } from '../../kit/http2/scripted-peer.js';
import { UpstreamStack } from '../../kit/scenario/upstream-stack.js';
import { anUpstream, aStreamRoute, type UpstreamOptions } from '../../kit/stack/stack.js';

/** Also engines that die before their first new token are followed by another. */
const PATIENT = { attempts: 8, on: [13, 14], backoff: { baseMs: 0, maxMs: 0 } };
const USUAL_BUDGET = { ratio: 0.2, perSecond: 3 };

describe('Scenario: the engines of an answer die again and again', () => {
  let stack: UpstreamStack;
  let arrived: PeerStream[];
  let brought: WeakMap<PeerStream, number>;

  const start = (more: UpstreamOptions = {}, names = ['a', 'b']): void => {
    stack = new UpstreamStack(names, {
      routes: [aStreamRoute()],
      engine: 'vllm',
      budget: { ratio: 1, perSecond: 1_000 },
      // They are back at once.
      ejection: { mode: 'observe' },
      ...more,
    });
    arrived = [];
    brought = new WeakMap();
    stack.answers((stream) => {
      if (stream.header(':path')?.startsWith('/vllm.')) arrived.push(stream);
      else stream.fail(12);
    });
  };
  const longRequest = (max_tokens: number): GenerateRequest =>
    aGenerateRequest({ sampling_params: { temperature: 0, max_tokens, ignore_eos: true } });
  const open = (request: GenerateRequest): PeerStream =>
    stack.call({ path: GENERATE, body: framedRequest(request) });
  const at = (name: string): PeerStream => stack.backend(name).last;
  const latest = (): PeerStream => arrived.at(-1)!;
  const settleAfterRetry = (): void => stack.advance(300);
  const answer = (stream: PeerStream): Buffer[] => messagesFor(requestIn(stream.body), () => 1);
  /** So many more messages of its answer. */
  const bring = (engine: PeerStream, count: number): void => {
    const from = brought.get(engine) ?? 0;
    if (from === 0) engine.begin();
    brought.set(engine, from + count);
    stack.settle(engine.data(Buffer.concat(answer(engine).slice(from, from + count))));
  };
  /** All that is left of its answer. */
  const finish = (engine: PeerStream): void => {
    bring(engine, 1_000);
    stack.settle(engine.trailers(0));
  };
  const assertAnswer = (call: PeerStream, request: GenerateRequest): void => {
    assert.deepEqual([call.status, call.reason], [0, undefined]);
    assert.deepEqual(
      readAnswer(call.body).ids,
      tokensFor(request).map(({ id }) => id),
    );
  };
  const assertWhole = (call: PeerStream, request: GenerateRequest): void => {
    assertAnswer(call, request);
    stack.assertIdle();
  };

  it('and it goes on as often, if each engine gets on; it goes to the one that did not die last', () => {
    start();
    const request = longRequest(400);
    const call = open(request);
    for (let deaths = 0; deaths < 20; deaths++) {
      const engine = latest();
      assert.equal(engine.peer, stack.backend(deaths % 2 === 0 ? 'a' : 'b').last.peer, `death ${deaths}`);
      stack.settle(engine.begin().data(Buffer.concat(answer(engine).slice(0, 17))));
      stack.settle(engine.trailers(14));
      settleAfterRetry();
      assert.equal(call.isOver, false, `after ${deaths + 1} deaths: ${call.reason}`);
    }
    finish(latest());
    assertWhole(call, request);
  });

  it('and one that ends each engine after a few tokens is tried eight times, whatever ends them', () => {
    start();
    const call = open(longRequest(400));
    for (let deaths = 0; deaths < 20 && !call.isOver; deaths++) {
      const engine = latest();
      stack.settle(engine.begin().data(Buffer.concat(answer(engine).slice(0, 9))));
      stack.settle(engine.trailers(14));
      settleAfterRetry();
    }
    assert.deepEqual([call.status, call.reason, arrived.length], [14, 'not-resumed', 8]);
  });

  it('and the answer of an upstream that it fell back to says nothing for the request', () => {
    start({ routes: [aStreamRoute({ fallback: [{ kind: 'upstream', upstream: 'small' }] })] });
    stack.outbound(anUpstream(['s'], { name: 'small', routes: [aStreamRoute()] }));
    stack.answers((stream) => void stream.reply(Buffer.from('small')), 's');
    const fail = (...how: Parameters<PeerStream['fail']>): void => {
      stack.settle(latest().fail(...how));
      settleAfterRetry();
    };
    const died = [14, [['outrider-reason', 'model-crashed']]] as const;
    const convicted = open(longRequest(40));
    for (let deaths = 0; deaths < 2; deaths++) fail(...died);
    assert.equal(convicted.reason, 'poison');
    const records = () =>
      stack.poison.list(stack.clock.now()).map(({ upstream, crashes }) => [upstream, crashes]);
    const { name } = stack.out.outbound;
    assert.deepEqual(records(), [[name, 1]]);
    // Its next death alone is no proof.
    const call = open(longRequest(40));
    fail(...died);
    for (let tries = 0; tries < 2; tries++) fail(14);
    assert.deepEqual([call.status, call.body.toString()], [0, 'small']);
    assert.deepEqual(records(), [[name, 1]]);
  });

  describe('engines without a sidecar, whose connections break:', () => {
    const PLAINTEXT = { tls: 'plaintext' } as const;
    const SHORT = { attempts: 2, on: [14], backoff: { baseMs: 25, maxMs: 100 } };
    const names = ['a', 'b', 'c', 'd'];
    /** The engine of a call dies, so long after it came there and after so many of its messages. */
    const dieUnder = (count: number, afterMs: number): void => {
      const engine = latest();
      if (count > 0) bring(engine, count);
      stack.advance(afterMs);
      const { name } = names.map((each) => stack.backend(each)).find(({ peer }) => peer === engine.peer)!;
      stack.settle(stack.kill(name));
      stack.revive(name);
      settleAfterRetry();
    };

    it('a request that ends each at once is convicted at the second one, also while nothing new comes', () => {
      for (const count of [0, 3]) {
        start(PLAINTEXT, names);
        const call = open(longRequest(400));
        dieUnder(3, 100);
        if (!call.isOver) dieUnder(count, 100);
        assert.deepEqual([call.status, call.reason, arrived.length], [7, 'poison', 2]);
        stack.assertIdle();
        stack.close();
      }
    });

    it('without a wait between attempts, at the third: that the second has died is not known yet', () => {
      start({ ...PLAINTEXT, routes: [aStreamRoute({ retry: PATIENT })] }, names);
      const call = open(longRequest(400));
      for (let deaths = 0; deaths < 8 && !call.isOver; deaths++) dieUnder(0, 50);
      assert.deepEqual([call.reason, arrived.length], ['poison', 3]);
    });

    it('before its first token as well, and after two such calls it is refused', () => {
      start(PLAINTEXT, names);
      for (const id of ['x', 'y']) {
        const call = open({ ...longRequest(400), request_id: id });
        dieUnder(0, 50);
        dieUnder(0, 50);
        assert.deepEqual([call.status, call.reason], [7, 'poison']);
        stack.advance(5_000);
      }
      const before = arrived.length;
      const again = open({ ...longRequest(400), request_id: 'z' });
      assert.deepEqual([again.reason, arrived.length], ['poison', before]);
    });

    it('a request goes on however often it happens, where engines die as often without it', () => {
      start({ ...PLAINTEXT, routes: [aStreamRoute({ retry: SHORT })] }, names);
      // Others have died lately: each under a request of its own.
      for (let i = 0; i < 12; i++) {
        const other = open({
          ...longRequest(40),
          request_id: `other-${i}`,
          tokenized: { input_ids: [i + 3] },
        });
        dieUnder(2, 300);
        finish(latest());
        assert.equal(other.status, 0, other.reason);
      }
      const request = longRequest(400);
      const call = open(request);
      dieUnder(3, 200);
      // None brings a message: more often than the route has attempts.
      for (let deaths = 0; deaths < 9; deaths++) {
        dieUnder(0, 1_000);
        assert.equal(call.isOver, false, `after ${deaths + 2} deaths: ${call.reason}`);
      }
      finish(latest());
      assertWhole(call, request);
    });

    it('a network that breaks the connections to several within seconds says nothing against a request', () => {
      start(PLAINTEXT, names);
      const request = longRequest(400);
      const call = open(request);
      for (let breaks = 0; breaks < 6; breaks++) {
        bring(latest(), 3);
        stack.advance(100);
        stack.settle(latest().peer.socket.break());
        settleAfterRetry();
        assert.equal(call.isOver, false, `after ${breaks + 1}: ${call.reason}`);
      }
      finish(latest());
      assertWhole(call, request);
    });

    it('what is remembered of a death holds on to no call', () => {
      start(PLAINTEXT, names);
      const call = open({ ...longRequest(40), sampling_params: { max_tokens: 20 } });
      dieUnder(3, 100);
      assert.equal(call.reason, 'not-resumed');
      const [death] = stack.out.outbound.state.poison['deaths']['deaths'];
      assert.deepEqual(
        [...death!.requests].map((each) => each instanceof OutboundCall),
        [false],
      );
    });

    it('the death of one engine and a lost connection to another do not convict it either', () => {
      start(PLAINTEXT, names);
      const request = longRequest(400);
      const call = open(request);
      dieUnder(3, 100);
      bring(latest(), 3);
      stack.settle(latest().peer.socket.break());
      settleAfterRetry();
      finish(latest());
      assertWhole(call, request);
    });

    const bringSlowly = (): void => {
      bring(latest(), 1);
      stack.advance(6_000);
    };

    it('one that ends each engine slowly is convicted at the fourth', () => {
      start(PLAINTEXT, names);
      const call = open(longRequest(400));
      for (let deaths = 0; deaths < 8 && !call.isOver; deaths++) {
        for (let messages = 0; messages < 10; messages++) bringSlowly();
        dieUnder(0, 1_000);
      }
      assert.deepEqual([call.reason, arrived.length], ['poison', 4]);
    });
  });

  it('one that ends the core of an engine does so again once a new process serves', () => {
    start({ tls: 'plaintext' }, ['a', 'b']);
    const killer = { ...longRequest(400), tokenized: { input_ids: [666] } };
    for (const id of ['x', 'y']) {
      const call = open({ ...killer, request_id: id });
      for (let deaths = 0; deaths < 2; deaths++) {
        const engine = latest();
        bring(engine, 2);
        stack.settle(engine.trailers(13, CORE_DIED));
        // It is started again before any answer came of it.
        stack.settle(engine.peer.socket.break());
        stack.advance(2_000);
      }
      assert.deepEqual([call.reason, call.isOver], ['poison', true], id);
    }
    const before = arrived.length;
    assert.equal(open({ ...killer, request_id: 'z' }).reason, 'poison');
    assert.equal(arrived.length, before);
  });

  it('of sixty answers, with the usual budget: they go on when it dies, and when the other one does', () => {
    start({ budget: USUAL_BUDGET });
    const requests = Array.from({ length: 60 }, (_, i) => ({ ...longRequest(300), request_id: `r-${i}` }));
    const calls = requests.map((request) => open(request));
    const gone = new Set<PeerStream['peer']>();
    const atWork = (): PeerStream[] => arrived.filter(({ peer }) => !gone.has(peer));
    for (const name of ['a', 'b', 'a', 'b']) {
      // Long enough that each pays for its own attempt.
      for (let seconds = 0; seconds < 6; seconds++) {
        for (const engine of atWork()) bring(engine, 4);
        stack.advance(1_000);
      }
      const { peer } = at(name);
      gone.add(peer);
      stack.settle(peer.socket.break());
      stack.advance(2_000);
      const ended = calls.filter(({ isOver }) => isOver);
      assert.equal(ended.length, 0, `${ended.length} of 60 when ${name} died: ${ended[0]?.reason}`);
    }
    for (const engine of atWork()) {
      bring(engine, 1_000);
      stack.settle(engine.trailers(0));
    }
    for (const [i, call] of calls.entries()) assertWhole(call, requests[i]!);
  });

  it('of 256 answers that have just begun, with the usual budget: all go on, also those without a token', () => {
    start({ budget: USUAL_BUDGET });
    const requests = Array.from({ length: 256 }, (_, i) => ({ ...longRequest(40), request_id: `r-${i}` }));
    const calls = requests.map((request) => open(request));
    const { peer } = at('a');
    const atFirst = arrived.filter((engine) => engine.peer === peer);
    assert.ok(atFirst.length >= 100);
    for (const [i, engine] of atFirst.entries()) if (i % 2 === 0) bring(engine, 3);
    stack.settle(peer.socket.break());
    stack.advance(2_000);
    for (const engine of arrived) if (engine.peer !== peer) finish(engine);
    for (const [i, call] of calls.entries()) assertAnswer(call, requests[i]!);
    stack.assertIdle();
  });

  it('of sixty answers, and those that are to go on bring nothing: engines are spared', () => {
    start({ budget: USUAL_BUDGET }, ['a', 'b', 'c']);
    for (let i = 0; i < 60; i++) open({ ...longRequest(300), request_id: `r-${i}` });
    for (let seconds = 0; seconds < 6; seconds++) {
      for (const engine of arrived) bring(engine, 4);
      stack.advance(1_000);
    }
    stack.answers((stream) => {
      if (stream.header(':path')?.startsWith('/vllm.')) arrived.push(stream);
      stream.fail(14);
    });
    for (const name of ['a', 'b', 'c']) stack.settle(at(name).peer.socket.break());
    stack.advance(2_000);
    // Each answer pays for one attempt; thirty more could be saved up.
    assert.ok(arrived.length <= 60 + 60 + 10, `${arrived.length - 60} attempts more`);
  });

  it('and one whose engines bring nothing is tried a few times', () => {
    start({ routes: [aStreamRoute({ retry: PATIENT })] });
    const call = open(longRequest(20));
    const first = latest();
    stack.settle(first.begin().data(Buffer.concat(answer(first).slice(0, 3))));
    stack.settle(first.trailers(14));
    for (let seen = 1; seen < 20 && !call.isOver; seen++) {
      settleAfterRetry();
      if (arrived.length > seen) stack.settle(latest().fail(14));
    }
    assert.deepEqual([call.status, call.reason], [14, 'not-resumed']);
    assert.ok(arrived.length <= 9, `${arrived.length} attempts`);
  });

  it('and its windows take the memory of one wide window, however often it goes on', () => {
    start();
    const request = longRequest(16_000);
    const call = open(request);
    for (let deaths = 0; deaths < 4; deaths++) {
      for (let part = 0; part < 4; part++) bring(latest(), 800);
      assert.equal(stack.context.memory.reservedBytes, WIDE_WINDOW - FIRST_WINDOW, `after ${deaths} deaths`);
      stack.settle(latest().trailers(14));
      settleAfterRetry();
    }
    bring(latest(), 16_000);
    stack.settle(latest().trailers(0));
    assertWhole(call, request);
  });

  describe('and one is silent though its connection lives: it is left', () => {
    it('also for the one that died before, and is back', () => {
      start();
      const request = longRequest(60);
      const call = open(request);
      bring(at('a'), 20);
      stack.settle(at('a').peer.socket.break());
      stack.advance(2_000);
      bring(at('b'), 20);
      stack.advance(11_000);
      assert.equal(at('b').resetCode, ErrorCode.cancel);
      settleAfterRetry();
      finish(at('a'));
      assertWhole(call, request);
    });

    it('also at its ninth attempt', () => {
      start();
      const request = longRequest(400);
      const call = open(request);
      for (let deaths = 0; deaths < 8; deaths++) {
        bring(latest(), 20);
        stack.settle(latest().trailers(14));
        settleAfterRetry();
      }
      const ninth = latest();
      bring(ninth, 20);
      stack.advance(11_000);
      assert.equal(ninth.resetCode, ErrorCode.cancel);
      settleAfterRetry();
      finish(latest());
      assertWhole(call, request);
    });

    it('but not where the answer has used up its attempts', () => {
      start();
      const request = longRequest(400);
      const call = open(request);
      for (let deaths = 0; deaths < 7; deaths++) {
        bring(latest(), 5);
        stack.settle(latest().trailers(14));
        settleAfterRetry();
      }
      const eighth = latest();
      bring(eighth, 5);
      stack.advance(60_000);
      assert.equal(eighth.resetCode, undefined);
      bring(eighth, 1_000);
      stack.settle(eighth.trailers(0));
      assertWhole(call, request);
    });
  });
});
