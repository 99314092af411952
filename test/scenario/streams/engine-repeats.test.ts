/** A request ends or stalls its engine after the first token, and no other may go on with its answer: its client sends it again and again. */
import assert from 'node:assert/strict';
import type { GenerateRequest } from '../../../proto/vllm-service.js';
import type { RouteConfig } from '../../../sidecar/config/model.js';
import {
  aGenerateRequest,
  CORE_DIED,
  framedRequest,
  GENERATE,
  messagesFor,
  requestIn,
} from '../../kit/engines/scripted-engine.js';
import { ErrorCode } from '../../kit/http2/h2-frames.js';
import type { PeerStream } from '../../kit/http2/scripted-peer.js';
import { UpstreamStack } from '../../kit/scenario/upstream-stack.js';
import { aStreamRoute, type UpstreamOptions } from '../../kit/stack/stack.js';

const NAMES = ['a', 'b', 'c', 'd'];
const NOT_RESUMED = [14, 'not-resumed'] as const;
const POISON = [7, 'poison'] as const;

describe('Scenario: a request whose answer cannot be resumed ends engines', () => {
  let stack: UpstreamStack;
  let arrived: PeerStream[];
  let made: number;

  const start = (more: UpstreamOptions = {}): void => {
    stack = new UpstreamStack(NAMES, {
      routes: [aStreamRoute()],
      engine: 'vllm',
      tls: 'plaintext',
      budget: { ratio: 1, perSecond: 1_000 },
      ejection: { mode: 'observe' },
      ...more,
    });
    arrived = [];
    made = 0;
    stack.answers((stream) => {
      if (stream.header(':path')?.startsWith('/vllm.')) arrived.push(stream);
      else stream.fail(12);
    });
  };
  /** Each call has an id of its own, as clients make one. */
  const open = (over: Partial<GenerateRequest> = {}): PeerStream => {
    const request = aGenerateRequest({
      sampling_params: { max_tokens: 60, ignore_eos: true },
      ...over,
      request_id: `r-${made++}`,
    });
    return stack.call({ path: GENERATE, body: framedRequest(request) });
  };
  const latest = (): PeerStream => arrived.at(-1)!;
  const bring = (engine: PeerStream, count: number): void =>
    void stack.settle(
      engine.begin().data(Buffer.concat(messagesFor(requestIn(engine.body), () => 1).slice(0, count))),
    );
  const finish = (engine: PeerStream): void => {
    bring(engine, 1_000);
    stack.settle(engine.trailers(0));
  };
  const resultOf = ({ status, reason }: PeerStream) => [status, reason];

  /** The engine brings some tokens and dies, and is started again. */
  const DEATHS = {
    'its core': (engine: PeerStream): void => {
      stack.settle(engine.trailers(13, CORE_DIED));
      stack.settle(engine.peer.socket.break());
      stack.advance(2_000);
    },
    'its process': (engine: PeerStream): void => {
      const name = NAMES.find((each) => stack.backend(each).peers.includes(engine.peer))!;
      stack.settle(stack.kill(name));
      stack.advance(300);
      stack.revive(name);
      stack.advance(2_000);
    },
  };
  const die = (call: PeerStream, count = 3, death: keyof typeof DEATHS = 'its core'): void => {
    const engine = latest();
    bring(engine, count);
    stack.advance(100);
    DEATHS[death](engine);
    assert.ok(call.isOver);
  };
  const REQUESTS: Record<string, Partial<GenerateRequest>> = {
    'by chance': {},
    'of a JSON schema': {
      sampling_params: { temperature: 0, max_tokens: 60, ignore_eos: true, json_schema: '{"type":"object"}' },
    },
    'of several sequences': { sampling_params: { temperature: 0, n: 2, max_tokens: 60 } },
  };

  for (const [kind, request] of Object.entries(REQUESTS))
    for (const count of [1, 30])
      it(`${kind}, after ${count} tokens: the second call ends with poison, and after two of these no engine gets it`, () => {
        start();
        for (let round = 0; round < 2; round++) {
          const first = open(request);
          die(first, count);
          assert.deepEqual(resultOf(first), NOT_RESUMED);
          const second = open(request);
          die(second, count);
          assert.deepEqual(resultOf(second), POISON);
        }
        const before = arrived.length;
        assert.deepEqual(resultOf(open(request)), POISON);
        assert.equal(arrived.length, before);
        const other = open({ tokenized: { input_ids: [7, 8] } });
        finish(latest());
        assert.equal(other.status, 0, 'another request');
        stack.assertIdle();
      });

  it('whose connections break: it counts once the next one was refused, so that the third call goes nowhere', () => {
    start();
    for (let i = 0; i < 2; i++) {
      const call = open();
      die(call, 3, 'its process');
      assert.deepEqual(resultOf(call), NOT_RESUMED);
    }
    assert.deepEqual(resultOf(open()), POISON);
    assert.equal(arrived.length, 2);
    stack.assertIdle();
  });

  it('a network that breaks connections says nothing against it', () => {
    start();
    for (let i = 0; i < 6; i++) {
      const call = open();
      bring(latest(), 3);
      stack.advance(100);
      stack.settle(latest().peer.socket.break());
      stack.advance(1_000);
      assert.deepEqual(resultOf(call), NOT_RESUMED);
    }
    assert.equal(arrived.length, 6);
    assert.equal(stack.out.outbound.state.poison.crashes, 0);
  });

  it('an answer that ends well clears it', () => {
    start();
    for (let i = 0; i < 4; i++) {
      const call = open();
      die(call);
      assert.deepEqual(resultOf(call), NOT_RESUMED, `call ${i}`);
      const again = open();
      finish(latest());
      assert.equal(again.status, 0);
    }
    assert.equal(stack.out.outbound.state.poison.hasSuspects(stack.clock.now()), false);
  });

  it('another request in the second engine, or ten minutes between them, say nothing against it', () => {
    start();
    die(open());
    const other = open({ tokenized: { input_ids: [4, 5, 6] } });
    die(other);
    assert.deepEqual(resultOf(other), NOT_RESUMED);
    stack.advance(600_000);
    const late = open();
    die(late);
    assert.deepEqual(resultOf(late), NOT_RESUMED);
  });

  it('copies that run beside each other meet one cause, in one engine or in two', () => {
    start();
    const calls = Array.from({ length: 8 }, () => open());
    for (const engine of arrived) bring(engine, 3);
    stack.advance(100);
    for (const engine of arrived) stack.settle(engine.trailers(13, CORE_DIED));
    for (const call of calls) assert.deepEqual(resultOf(call), NOT_RESUMED);
    for (const name of NAMES) for (const peer of stack.backend(name).peers) stack.settle(peer.socket.break());
    stack.advance(2_000);
    assert.equal(stack.out.outbound.state.poison.crashes, 0);
  });

  describe('or stalls them for ten seconds each:', () => {
    const over = { tokenized: { input_ids: [666] } };
    const ENDS: Record<string, { readonly route: Partial<RouteConfig>; end(call: PeerStream): void }> = {
      'a `message_timeout` ends it': {
        route: { messageTimeoutMs: 10_000 },
        end: (call) => {
          stack.advance(12_000);
          assert.deepEqual(resultOf(call), NOT_RESUMED);
        },
      },
      'its client leaves': {
        route: {},
        end: (call) => {
          stack.advance(12_000);
          assert.equal(call.isOver, false, call.reason);
          stack.settle(call.reset(ErrorCode.cancel));
        },
      },
    };

    for (const [how, { route, end }] of Object.entries(ENDS)) {
      const stall = (): PeerStream => {
        const call = open(over);
        bring(latest(), 3);
        return call;
      };

      it(`${how}: it is found out at the third, and after two such rounds no engine gets it`, () => {
        start({ routes: [aStreamRoute(route)] });
        const { poison } = stack.out.outbound.state;
        for (let i = 0; i < 6; i++) {
          assert.equal(poison.crashes, i < 3 ? 0 : 1);
          const call = stall();
          if (how.startsWith('a') && i % 3 === 2) {
            stack.advance(12_000);
            assert.deepEqual(resultOf(call), POISON);
          } else end(call);
        }
        const before = arrived.length;
        assert.deepEqual([resultOf(open(over)), arrived.length], [POISON, before]);
      });

      it(`${how}: engines that were slow say nothing against it`, () => {
        start({ routes: [aStreamRoute(route)] });
        for (let i = 0; i < 6; i++) {
          end(stall());
          const engine = latest();
          // Another answer of the same process.
          for (let n = 0; n < 40; n++) {
            const other = open({ tokenized: { input_ids: [8, n + 1] } });
            const isThere = latest().peer === engine.peer;
            finish(latest());
            assert.equal(other.status, 0);
            if (isThere) break;
          }
        }
        assert.equal(stack.out.outbound.state.poison.crashes, 0);
      });
    }
  });
});
