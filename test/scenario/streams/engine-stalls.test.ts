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
import type { PeerStream } from '../../kit/http2/scripted-peer.js';
import { UpstreamStack } from '../../kit/scenario/upstream-stack.js';
import { aStreamRoute } from '../../kit/stack/stack.js';

const NAMES = ['a', 'b', 'c', 'd', 'e'];

describe('Scenario: language-model engines stall under a request', () => {
  let stack: UpstreamStack;
  let arrived: PeerStream[];

  const start = (route: Partial<RouteConfig> = {}): void => {
    stack = new UpstreamStack(NAMES, {
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
    for (let i = 0; i < 25 * NAMES.length; i++) {
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
    NAMES.find((name) => stack.backend(name).peers.includes(engine.peer))!;
  const assertWhole = (call: PeerStream, asked: GenerateRequest): void => {
    assert.deepEqual([call.status, call.reason], [0, undefined]);
    assert.deepEqual(
      readAnswer(call.body).ids,
      tokensFor(asked).map(({ id }) => id),
    );
  };

  it('where their pace is known, the second one ends it, and after two such calls no engine gets it', () => {
    start();
    learnPace();
    for (const id of ['x', 'y']) {
      const call = open(request(id, [666]));
      assert.equal(stallAll(call), 2);
      assert.deepEqual([call.status, call.reason], [7, 'poison']);
      stack.advance(1_000);
    }
    const before = arrived.length;
    assert.equal(open(request('z', [666])).reason, 'poison');
    assert.equal(arrived.length, before);
  });

  it('where it is not, the third one', () => {
    start();
    const call = open(request('x', [666]));
    assert.equal(stallAll(call), 3);
    assert.deepEqual([call.status, call.reason], [7, 'poison']);
  });

  it('also where `message_timeout` finds it', () => {
    start({ messageTimeoutMs: 2_000 });
    const call = open(request('x', [666]));
    assert.equal(stallAll(call), 2);
    assert.deepEqual([call.status, call.reason], [7, 'poison']);
  });

  it('engines that are slow and well again say nothing against it', () => {
    start({ messageTimeoutMs: 2_000 });
    learnPace();
    const asked = request('x');
    const call = open(asked);
    for (let stalls = 0; stalls < 4; stalls++) {
      const name = nameOf(latest());
      const engine = latest();
      stall(call);
      assert.equal(call.isOver, false, `after ${stalls + 1}: ${call.reason}`);
      // The engine makes tokens for the next request that comes there.
      let isThere = false;
      for (let i = 0; i < 9 && !isThere; i++) {
        const moved = latest();
        const other = open(request(`other-${stalls}-${i}`, [8, i]));
        isThere = nameOf(latest()) === name;
        finish(latest());
        assert.equal(other.status, 0);
        arrived.push(moved);
      }
      assert.ok(isThere, 'no call went there');
      assert.notEqual(engine.resetCode, undefined);
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
