/** A request stalls each engine that works on it, as one whose core hangs in a step; others stall by chance, and are well again. */
import assert from 'node:assert/strict';
import type { GenerateRequest } from '../../../proto/vllm-service.js';
import type { RouteConfig } from '../../../sidecar/config/model.js';
import {
  aGenerateRequest,
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
import { aStreamRoute } from '../../kit/stack/stack.js';

const NAMES = ['a', 'b', 'c', 'd', 'e'];

describe('Scenario: language-model engines stall under a request', () => {
  let stack: UpstreamStack;
  let arrived: PeerStream[];

  const start = (route: Partial<RouteConfig> = {}, names = NAMES): void => {
    stack = new UpstreamStack(names, {
      routes: [aStreamRoute(route)],
      engine: 'vllm',
      budget: { ratio: 1, perSecond: 1_000 },
      ejection: { mode: 'observe' },
    });
    arrived = [];
    stack.answers((stream) => {
      if (stream.header(':path')?.startsWith('/vllm.')) arrived.push(stream);
      else stream.fail(12);
    });
  };
  const request = (id: string, ids: readonly number[] = [1, 5], over: object = {}): GenerateRequest =>
    aGenerateRequest({
      request_id: id,
      tokenized: { input_ids: [...ids] },
      sampling_params: { temperature: 0, max_tokens: 60, ignore_eos: true, ...over },
    });
  const open = (asked: GenerateRequest): PeerStream =>
    stack.call({ path: GENERATE, body: framedRequest(asked) });
  const latest = (): PeerStream => arrived.at(-1)!;
  const answer = (stream: PeerStream): Buffer[] => messagesFor(requestIn(stream.body), () => 1);
  const bring = (engine: PeerStream, count: number): void =>
    void stack.settle(engine.begin().data(Buffer.concat(answer(engine).slice(0, count))));
  const finish = (engine: PeerStream): void =>
    void stack.settle(
      engine
        .begin()
        .data(Buffer.concat(answer(engine)))
        .trailers(0),
    );
  /** So many answers, a token every 20 ms, at each of the engines in turn. */
  const learnPace = (): void => {
    for (let i = 0; i < 25 * stack.names.length; i++) {
      const call = open(request(`learn-${i}`, [7, i + 3], { max_tokens: 10 }));
      const engine = latest();
      stack.settle(engine.begin());
      for (const message of answer(engine)) {
        stack.settle(engine.data(message));
        stack.advance(20);
      }
      stack.settle(engine.trailers(0));
      assert.equal(call.status, 0);
    }
  };
  /** The engine that has the call brings some messages, and then nothing to anybody, until the call has left it. */
  const stall = (call: PeerStream, count = 3): void => {
    const engine = latest();
    bring(engine, count);
    for (let i = 0; i < 60 && !call.isOver && latest() === engine; i++) stack.advance(250);
    assert.ok(call.isOver || latest() !== engine, 'it has not left');
  };
  /** How many engines it stalls until it is over. */
  const stallAll = (call: PeerStream, count?: number): number => {
    const before = arrived.length - 1;
    for (let i = 0; i < 12 && !call.isOver; i++) stall(call, count);
    return arrived.length - before;
  };
  const nameOf = (engine: PeerStream): string =>
    stack.names.find((name) => stack.backend(name).peers.includes(engine.peer))!;
  const assertWhole = (call: PeerStream, asked: GenerateRequest): void => {
    assert.deepEqual([call.status, call.reason], [0, undefined]);
    assert.deepEqual(
      readAnswer(call.body).ids,
      tokensFor(asked).map(({ id }) => id),
    );
  };

  /** An answer that stays there whatever happens, as no other engine could go on with it, has begun at the engine that has the latest call. */
  const hangBeside = (): PeerStream => {
    const engine = latest();
    for (let i = 0; i < 30; i++) {
      const call = open(request(`beside-${arrived.length}`, [9, i], { temperature: 0.8 }));
      const beside = latest();
      if (beside.peer === engine.peer) {
        bring(beside, 2);
        arrived.push(engine);
        return beside;
      }
      stack.settle(call.reset(ErrorCode.cancel));
    }
    throw new Error('no call went there');
  };

  it('beside others that hang there, the second one ends it, and after two such calls no engine gets it', () => {
    start();
    learnPace();
    for (const id of ['x', 'y']) {
      const call = open(request(id, [666]));
      for (let i = 0; i < 2; i++) {
        assert.equal(call.isOver, false, `after ${i}: ${call.reason}`);
        hangBeside();
        stall(call);
      }
      assert.deepEqual([call.status, call.reason], [7, 'poison']);
      stack.advance(1_000);
    }
    const before = arrived.length;
    assert.equal(open(request('z', [666])).reason, 'poison');
    assert.equal(arrived.length, before);
  });

  it('for ten seconds each, the third one', () => {
    start();
    const call = open(request('x', [666]));
    assert.equal(stallAll(call), 3);
    assert.deepEqual([call.status, call.reason], [7, 'poison']);
  });

  /** A call stalls so many engines for as long as they usually take, and waits at the next one, which goes on after 8 s. */
  const assertGoesOnAfter = (moves: number): void => {
    const asked = request('x', [666]);
    const call = open(asked);
    for (let i = 0; i < moves; i++) {
      stall(call);
      assert.equal(call.isOver, false, `after ${i + 1}: ${call.reason}`);
    }
    const last = latest();
    bring(last, 3);
    stack.advance(8_000);
    assert.deepEqual([call.isOver, last.resetCode], [false, undefined]);
    stack.settle(last.data(Buffer.concat(answer(last).slice(3))).trailers(0));
    assertWhole(call, asked);
  };
  /** An engine falls silent under another request. */
  const stallAnother = (): void => {
    const asked = request('other', [4_000]);
    const call = open(asked);
    stall(call);
    finish(latest());
    assertWhole(call, asked);
  };

  it('for as long as they usually take, with nobody else there: it moves, waits at the third, and nothing is held against it', () => {
    start();
    learnPace();
    assertGoesOnAfter(2);
  });

  it('and where the third one hangs, too, it ends, and after two such calls no engine gets it', () => {
    start();
    learnPace();
    for (const id of ['x', 'y']) {
      const call = open(request(id, [666]));
      assert.equal(stallAll(call), 3);
      assert.deepEqual([call.status, call.reason], [7, 'poison']);
    }
    const before = arrived.length;
    assert.equal(open(request('z', [666])).reason, 'poison');
    assert.equal(arrived.length, before);
  });

  describe('where an engine has stalled under another request lately', () => {
    beforeEach(() => {
      // So many that the call comes to none of them twice.
      start({}, [...NAMES, 'f', 'g', 'h']);
      stallAnother();
      // Its silence is no part of the pace any more.
      stack.advance(130_000);
      learnPace();
    });

    it('it moves, and waits at the fifth', () => assertGoesOnAfter(4));

    it('and where the fifth one hangs, too, the caller learns that, and may ask again', () => {
      const call = open(request('x', [666]));
      assert.equal(stallAll(call), 5);
      assert.deepEqual([call.status, call.reason], [4, 'message-timeout']);
      open(request('again', [666]));
      assert.equal(requestIn(latest().body).request_id, 'again');
    });
  });

  it('`message_timeout` ends it at the fifth one', () => {
    start({ messageTimeoutMs: 2_000 });
    const call = open(request('x', [666]));
    assert.equal(stallAll(call), 5);
    assert.deepEqual([call.status, call.reason], [4, 'message-timeout']);
  });

  it('a stream that gets far at each of them moves on', () => {
    start({ messageTimeoutMs: 2_000 });
    const asked = request('x', [5], { max_tokens: 200 });
    const call = open(asked);
    for (let i = 0; i < 8; i++) {
      stall(call, 18);
      assert.equal(call.isOver, false, `after ${i + 1}: ${call.reason}`);
    }
    finish(latest());
    assertWhole(call, asked);
  });

  it('engines that are slow and well again say nothing against it', () => {
    start();
    learnPace();
    const asked = request('x');
    const call = open(asked);
    for (let stalls = 0; stalls < 6; stalls++) {
      const beside = hangBeside();
      stall(call);
      assert.equal(call.isOver, false, `after ${stalls + 1}: ${call.reason}`);
      // The engine makes the next token of the answer that waited.
      stack.settle(beside.data(answer(beside)[2]!));
    }
    finish(latest());
    assertWhole(call, asked);
  });

  it('nor do those that are connected again, and are well', () => {
    start();
    const asked = request('x');
    const call = open(asked);
    for (let stalls = 0; stalls < 4; stalls++) {
      const name = nameOf(latest());
      stall(call);
      assert.equal(call.isOver, false, `after ${stalls + 1}: ${call.reason}`);
      for (const peer of stack.backend(name).open) peer.socket.break();
      stack.advance(3_000);
      // The engine, which was there all the time, answers the next request that comes there.
      const moved = latest();
      let isThere = false;
      for (let i = 0; i < 30 && !isThere; i++) {
        open(request(`other-${stalls}-${i}`, [8, i]));
        isThere = nameOf(latest()) === name;
        finish(latest());
      }
      assert.ok(isThere, 'no call went there');
      arrived.push(moved);
    }
    finish(latest());
    assertWhole(call, asked);
  });

  it('an engine that goes on for others has not stalled', () => {
    start({ messageTimeoutMs: 2_000 });
    learnPace();
    const call = open(request('x'));
    let resets = 0;
    for (let left = 0; left < 3 && !call.isOver; left++) {
      const engine = latest();
      bring(engine, 3);
      // A call without an end there, which gets a token now and then.
      const others: PeerStream[] = [];
      while (others.at(-1)?.peer !== engine.peer) {
        open(request(`beside-${left}-${others.length}`, [9, others.length]));
        others.push(latest());
      }
      const beside = others.at(-1)!;
      const rest = answer(beside);
      stack.settle(beside.begin());
      for (let i = 0; i < 12 && engine.resetCode === undefined; i++) {
        stack.settle(beside.data(rest[i]!));
        stack.advance(250);
      }
      if (engine.resetCode !== undefined) resets++;
      arrived.push(arrived.findLast((each) => requestIn(each.body).request_id!.startsWith('x'))!);
    }
    assert.deepEqual([resets, call.reason], [3, undefined]);
  });

  it('and where many stall without it, it goes on', () => {
    start({ messageTimeoutMs: 2_000 });
    for (let i = 0; i < 8; i++) {
      const asked = request(`other-${i}`, [i + 3]);
      const other = open(asked);
      stall(other);
      finish(latest());
      assertWhole(other, asked);
      stack.advance(3_000);
    }
    const asked = request('x', [4_000]);
    const call = open(asked);
    for (let stalls = 0; stalls < 4; stalls++) {
      stall(call);
      assert.equal(call.isOver, false, `after ${stalls + 1}: ${call.reason}`);
    }
    finish(latest());
    assertWhole(call, asked);
  });
});
