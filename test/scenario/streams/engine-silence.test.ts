/** A language-model engine stands still for everybody, as vLLM does when its core is frozen: its health says nothing of it. */
import assert from 'node:assert/strict';
import type { GenerateRequest } from '../../../proto/vllm-service.js';
import type { RouteConfig } from '../../../sidecar/config/model.js';
import { MODEL_READINESS, Readiness } from '../../../sidecar/http2/constants.js';
import {
  aGenerateRequest,
  framedRequest,
  GENERATE,
  messagesFor,
  readAnswer,
  requestIn,
  tokensFor,
} from '../../kit/engines/scripted-engine.js';
import { ErrorCode, settings } from '../../kit/http2/h2-frames.js';
import type { PeerStream } from '../../kit/http2/scripted-peer.js';
import { UpstreamStack } from '../../kit/scenario/upstream-stack.js';
import { aStreamRoute } from '../../kit/stack/stack.js';

const REQUEST = aGenerateRequest();

describe('Scenario: a language-model engine stands still for everybody, and its pace is known', () => {
  let stack: UpstreamStack;
  let arrived: PeerStream[];

  const start = (
    names = ['a', 'b', 'c'],
    route: Partial<RouteConfig> = {},
    kind: 'round-robin' | 'least-loaded' = 'round-robin',
  ): void => {
    stack = new UpstreamStack(names, {
      routes: [aStreamRoute(route)],
      engine: 'vllm',
      balance: { kind },
      budget: { ratio: 1, perSecond: 1_000 },
    });
    arrived = [];
    stack.answers((stream) => {
      if (stream.header(':path')?.startsWith('/vllm.')) arrived.push(stream);
      else stream.fail(12);
    });
  };
  const open = (request: GenerateRequest = REQUEST): PeerStream =>
    stack.call({ path: GENERATE, body: framedRequest(request) });
  const latest = (): PeerStream => arrived.at(-1)!;
  const answer = (stream: PeerStream): Buffer[] => messagesFor(requestIn(stream.body), () => 1);
  const finish = (stream: PeerStream): void =>
    void stack.settle(
      stream
        .begin()
        .data(Buffer.concat(answer(stream)))
        .trailers(0),
    );
  const settleAfterRetry = (): void => stack.advance(300);
  /** So many answers, a token every 20 ms, at each of the engines in turn. */
  const learnPace = (count = 60): void => {
    for (let i = 0; i < count; i++) {
      const call = open(aGenerateRequest({ request_id: `learn-${i}` }));
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
  const begun = (): { call: PeerStream; engine: PeerStream } => {
    const call = open(aGenerateRequest({ request_id: 'begun' }));
    const engine = latest();
    stack.settle(engine.begin().data(Buffer.concat(answer(engine).slice(0, 4))));
    return { call, engine };
  };
  /** Calls until one of them is at `engine`; the others end. */
  const openAt = (engine: PeerStream, request = REQUEST): { call: PeerStream; waiting: PeerStream } => {
    for (let i = 0; i < 9; i++) {
      const call = open({ ...request, request_id: `waits-${i}` });
      const waiting = latest();
      if (waiting.peer === engine.peer) return { call, waiting };
      finish(waiting);
    }
    throw new Error('no call went there');
  };

  it('an answer goes on elsewhere after three times its longest silence and a second', () => {
    start();
    learnPace();
    const { call, engine } = begun();
    stack.advance(1_000);
    assert.equal(engine.resetCode, undefined);
    stack.advance(1_400);
    assert.equal(engine.resetCode, ErrorCode.cancel);
    settleAfterRetry();
    finish(latest());
    assert.equal(call.status, 0);
    assert.deepEqual(
      readAnswer(call.body).ids,
      tokensFor(REQUEST).map(({ id }) => id),
    );
  });

  it('and no later', () => {
    start();
    learnPace();
    const { engine } = begun();
    stack.advance(1_050);
    assert.equal(engine.resetCode, undefined);
    stack.advance(20);
    assert.equal(engine.resetCode, ErrorCode.cancel);
  });

  it('a call that waits for its first token there follows within half a second', () => {
    start();
    learnPace();
    const { engine } = begun();
    const { waiting } = openAt(engine);
    stack.advance(1_070 + 520);
    assert.equal(waiting.resetCode, ErrorCode.cancel);
  });

  describe('and is known to hang:', () => {
    /** So many calls that come one after the other, each answered at once but at `engine`: those that went there. */
    const callsTo = (engine: PeerStream, count: number): { call: PeerStream; waiting: PeerStream }[] => {
      const there: { call: PeerStream; waiting: PeerStream }[] = [];
      for (let i = 0; i < count; i++) {
        const call = open(aGenerateRequest({ request_id: `later-${arrived.length}` }));
        const waiting = latest();
        if (waiting.peer === engine.peer) there.push({ call, waiting });
        else finish(waiting);
        stack.advance(20);
      }
      return there;
    };
    const hang = (...how: Parameters<typeof start>): PeerStream => {
      start(...how);
      learnPace();
      const { engine } = begun();
      stack.advance(1_400);
      finish(latest());
      return engine;
    };

    it('no call goes there while others are there, but for one that tries it', () => {
      const engine = hang();
      assert.equal(callsTo(engine, 30).length, 0, 'in the first second');
      stack.advance(1_000);
      const there = callsTo(engine, 200);
      assert.equal(there.length, 1);
      // It does not wait for long.
      assert.equal(there[0]!.waiting.resetCode, ErrorCode.cancel);
      const { call, waiting } = there[0]!;
      const idOf = (stream: PeerStream): string => requestIn(stream.body).request_id!;
      const again = arrived.filter((each) => idOf(each) === idOf(waiting)).at(-1)!;
      assert.notEqual(again.peer, engine.peer);
      finish(again);
      assert.equal(call.status, 0);
    });

    it('and gets calls again once one that tries it is answered', () => {
      const engine = hang();
      stack.advance(1_000);
      let [tried] = callsTo(engine, 1);
      for (let i = 0; tried === undefined && i < 200; i++) [tried] = callsTo(engine, 1);
      finish(tried!.waiting);
      assert.equal(tried!.call.status, 0);
      for (let i = 0, there = 0; there < 3; i++) {
        assert.ok(i < 100, 'no call goes there');
        const call = open(aGenerateRequest({ request_id: `after-${i}` }));
        if (latest().peer === engine.peer) there++;
        finish(latest());
        assert.equal(call.status, 0);
      }
    });

    /** The call that tries it, as soon as one does. */
    const nextTrial = (engine: PeerStream): { call: PeerStream; waiting: PeerStream } => {
      for (let i = 0; i < 2_000; i++) {
        const [tried] = callsTo(engine, 1);
        if (tried !== undefined) return tried;
      }
      throw new Error('no call went there');
    };

    for (const [what, ends] of [
      ['whose client goes away', ({ call }) => void stack.settle(call.reset())],
      ['that its front refuses', ({ waiting }) => void stack.settle(waiting.fail(8))],
      ['that its front finds wrong', ({ waiting }) => void stack.settle(waiting.fail(3))],
    ] as const satisfies readonly (readonly [
      string,
      (tried: { call: PeerStream; waiting: PeerStream }) => void,
    ])[])
      it(`a trial ${what} at once shows nothing: another one follows a second later`, () => {
        const engine = hang();
        ends(nextTrial(engine));
        assert.equal(callsTo(engine, 40).length, 0, 'it may hang, and refuse the more');
        stack.advance(200);
        assert.equal(callsTo(engine, 6).length, 1);
      });

    it('another process of it is called as any other, whatever the one before did', () => {
      const engine = hang();
      for (let i = 0; i < 2; i++) {
        const { waiting } = nextTrial(engine);
        stack.advance(30_000);
        assert.equal(waiting.resetCode, ErrorCode.cancel);
        finish(latest());
      }
      for (const readiness of [Readiness.loading, Readiness.serving])
        stack.settle(engine.peer.queue(0, settings([[MODEL_READINESS, readiness]])));
      const [first] = callsTo(engine, 3);
      stack.settle(first!.call.reset());
      assert.equal(callsTo(engine, 30).length, 10);
    });

    describe('a late call is hedged', () => {
      const HEDGE = { percentile: 0.95, minDelayMs: 50, maxRatio: 0.5 };
      /** Where the copies of so many calls went that are late elsewhere. */
      const copiesOf = (engine: PeerStream, count: number): PeerStream[] => {
        const copies: PeerStream[] = [];
        for (let i = 0; i < count; i++) {
          open(aGenerateRequest({ request_id: `late-${i}` }));
          const late = latest();
          assert.ok(late.peer !== engine.peer);
          stack.advance(70);
          if (latest() !== late) copies.push(latest());
          assert.ok(latest().peer !== engine.peer, 'a copy is at the engine that hangs');
          finish(latest());
        }
        return copies;
      };

      it('at an engine that does not hang', () => {
        const engine = hang(undefined, { hedge: HEDGE }, 'least-loaded');
        assert.equal(copiesOf(engine, 6).length, 6);
      });

      it('and not at all where there is no other, nor as a trial, which is left to a call', () => {
        const engine = hang(['a', 'b'], { hedge: HEDGE }, 'least-loaded');
        assert.equal(copiesOf(engine, 3).length, 0);
        const late = open(aGenerateRequest({ request_id: 'late' }));
        const at = latest();
        stack.advance(1_500);
        assert.equal(latest(), at, 'no copy');
        finish(at);
        assert.equal(late.status, 0);
        assert.equal(callsTo(engine, 2).length, 1);
      });
    });

    describe('an answer that no other one can go on with', () => {
      const BY_CHANCE = aGenerateRequest({ request_id: 'drawn', sampling_params: { max_tokens: 20 } });
      /** It has begun at an engine that then says nothing to anybody. */
      const drawn = (): { call: PeerStream; engine: PeerStream } => {
        start();
        learnPace();
        const call = open(BY_CHANCE);
        const engine = latest();
        stack.settle(engine.begin().data(Buffer.concat(answer(engine).slice(0, 4))));
        return { call, engine };
      };
      /** So many seconds, with a call in each half of them: the other engines answer, and this one does not. */
      const calls = (engine: PeerStream, seconds: number, each = () => {}): void => {
        for (let i = 0; i < 2 * seconds; i++) {
          open(aGenerateRequest({ request_id: `later-${arrived.length}` }));
          stack.advance(500);
          for (const stream of arrived.splice(0))
            if (stream.peer !== engine.peer && stream.resetCode === undefined) finish(stream);
          each();
        }
      };

      it('ends once others have tried its engine in vain, again and again', () => {
        const { call, engine } = drawn();
        calls(engine, 55);
        assert.equal(call.isOver, false);
        calls(engine, 30);
        assert.deepEqual([call.status, call.reason], [14, 'not-resumed']);
        assert.equal(engine.resetCode, ErrorCode.cancel);
        assert.equal(readAnswer(call.body).ids.length, 4);
      });

      it('is left alone while nobody else tries it', () => {
        const { call, engine } = drawn();
        stack.advance(250_000);
        assert.equal(call.isOver, false);
        stack.settle(engine.data(Buffer.concat(answer(engine).slice(4))).trailers(0));
        assert.equal(call.status, 0);
      });

      it('is left alone while its engine sends anything to anybody', () => {
        const { call, engine } = drawn();
        const other = openAt(engine, BY_CHANCE).waiting;
        const messages = answer(other);
        stack.settle(other.begin().data(messages.shift()!));
        let halves = 0;
        calls(engine, 190, () => {
          if (++halves % 20 === 0) stack.settle(other.data(messages.shift()!));
        });
        assert.deepEqual([call.isOver, engine.resetCode], [false, undefined]);
      });
    });

    it('calls go there where no other one is left', () => {
      const engine = hang();
      for (const name of stack.names) {
        const backend = stack.backend(name);
        if (backend.peer === engine.peer) continue;
        backend.mode = 'refuses';
        stack.settle(backend.peer.socket.break());
      }
      assert.equal(callsTo(engine, 3).length, 3);
    });
  });

  it('a call that waits for its first token there goes elsewhere, too', () => {
    start();
    learnPace();
    const { engine } = begun();
    const { call, waiting } = openAt(engine);
    stack.advance(4_000);
    assert.equal(waiting.resetCode, ErrorCode.cancel);
    settleAfterRetry();
    assert.notEqual(latest().peer, engine.peer);
    finish(latest());
    assert.equal(call.status, 0);
  });

  it('a call that waits long for its first token, while others get theirs, is left alone', () => {
    start();
    learnPace();
    const { engine } = begun();
    const { call, waiting } = openAt(engine);
    const rest = answer(engine).slice(4);
    for (const message of rest) {
      stack.advance(900);
      stack.settle(engine.data(message));
    }
    stack.settle(engine.trailers(0));
    stack.advance(20_000);
    assert.equal(waiting.resetCode, undefined);
    finish(waiting);
    assert.equal(call.status, 0);
  });

  it('a long prompt, for which all others have to wait, is left alone, and so are they', () => {
    start();
    learnPace();
    const { call, engine } = begun();
    const long = aGenerateRequest({ tokenized: { input_ids: Array.from({ length: 2_000 }, (_, i) => i) } });
    const { call: longCall, waiting } = openAt(engine, long);
    stack.advance(8_000);
    assert.deepEqual([engine.resetCode, waiting.resetCode], [undefined, undefined]);
    stack.settle(engine.data(Buffer.concat(answer(engine).slice(4))).trailers(0));
    finish(waiting);
    assert.deepEqual([call.status, longCall.status], [0, 0]);
  });

  it('the only engine there is is left alone', () => {
    start(['a']);
    learnPace(25);
    const { call, engine } = begun();
    const { call: other, waiting } = openAt(engine);
    stack.advance(30_000);
    stack.settle(engine.data(Buffer.concat(answer(engine).slice(4))).trailers(0));
    finish(waiting);
    assert.deepEqual([call.status, other.status], [0, 0]);
  });
});
