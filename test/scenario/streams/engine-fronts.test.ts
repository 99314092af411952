/** The core of an engine is dead, and its front goes on: what the front answers by itself says nothing of the engine. */
import assert from 'node:assert/strict';
import { HEALTH_CHECK, healthAnswer } from '../../../sidecar/codec/health.js';
import {
  ABORT,
  aGenerateRequest,
  framedRequest,
  GENERATE,
  messagesFor,
  requestIn,
} from '../../kit/engines/scripted-engine.js';
import { encodeAbort } from '../../kit/engines/vllm-messages.js';
import { grpcMessage } from '../../kit/http2/h2-frames.js';
import type { PeerStream } from '../../kit/http2/scripted-peer.js';
import { UpstreamStack } from '../../kit/scenario/upstream-stack.js';
import { aRoute, aStreamRoute } from '../../kit/stack/stack.js';

const VLLM = '/vllm.grpc.engine.VllmEngine';
const POLLS = [`${VLLM}/HealthCheck`, `${VLLM}/GetLoads`, `${VLLM}/GetTokenizer`, ABORT, HEALTH_CHECK];
const EMBED = `${VLLM}/Embed`;
const OUT_MS = 30_000;

describe('Scenario: the front of a dead engine answers', () => {
  let stack: UpstreamStack;
  /** Engines whose core is dead: Generate ends with INTERNAL in words that name no death, and all else is well. */
  let dead: ReadonlySet<string>;
  /** What the standard health check says of all of them. */
  let isServing: boolean;

  const start = (routes = [aStreamRoute()]): void => {
    stack = new UpstreamStack(['a', 'b', 'c'], {
      routes,
      engine: 'vllm',
      budget: { ratio: 1, perSecond: 1_000 },
      ejection: { consecutiveFaults: 5, baseMs: OUT_MS },
    });
    dead = new Set();
    isServing = true;
    const answer = (name: string, stream: PeerStream): void => {
      const path = stream.header(':path')!;
      if (path === HEALTH_CHECK) return void stream.reply(healthAnswer(isServing));
      if (path !== GENERATE && path !== EMBED) return void stream.reply(Buffer.alloc(0));
      if (dead.has(name)) return void stream.fail(14);
      if (path === EMBED) return void stream.reply(Buffer.alloc(0));
      const body = Buffer.concat(messagesFor(requestIn(stream.body), () => 5));
      stream.begin().data(body).trailers(0);
    };
    for (const name of stack.names) stack.answers((stream) => answer(name, stream), name);
  };
  const generate = (): PeerStream => {
    const call = stack.call({ path: GENERATE, body: framedRequest(aGenerateRequest()) });
    // It may be repeated at another engine.
    if (!call.isOver) stack.advance(300);
    return call;
  };
  const poll = (): void => {
    for (const path of POLLS)
      for (const _ of stack.names)
        assert.equal(stack.call({ path, body: grpcMessage(encodeAbort([])) }).status, 0);
  };
  const state = (name: string): string => stack.report(name).state;
  const generatedAt = (name: string): number =>
    stack.requestsAt(name).filter((stream) => stream.header(':path') === GENERATE).length;
  /** The engine `a` fails five answers, with polls in between. */
  const eject = (): void => {
    dead = new Set(['a']);
    for (let i = 0; i < 40 && state('a') === 'eligible'; i++) {
      poll();
      assert.equal(generate().status, 0);
      stack.advance(10);
    }
    assert.equal(state('a'), 'ejected');
  };

  for (const [what, routes] of [
    ['by the route of all methods', [aStreamRoute()]],
    ['by unary routes', [aStreamRoute({ methods: [GENERATE] }), aRoute()]],
  ] as const)
    describe(`${what}:`, () => {
      it('that does not make up for answers that fail', () => {
        start([...routes]);
        eject();
        assert.equal(generatedAt('a'), 5);
      });

      it('no such call is the probe: Generate is, at once', () => {
        start([...routes]);
        eject();
        stack.advance(OUT_MS);
        poll();
        assert.equal(state('a'), 'ejected');
        dead = new Set();
        const before = generatedAt('a');
        assert.equal(generate().status, 0);
        assert.deepEqual([generatedAt('a'), state('a')], [before + 1, 'eligible']);
      });
    });

  it('where nothing else is called, a health check that passes brings the engine back, soon after its time', () => {
    start();
    eject();
    isServing = false;
    for (let s = 0; s < 60; s++) {
      stack.advance(1_000);
      poll();
    }
    assert.equal(state('a'), 'ejected', 'its health check fails');
    isServing = true;
    for (let s = 0; s < 10; s++) {
      stack.advance(1_000);
      poll();
    }
    assert.deepEqual([state('a'), generatedAt('a')], ['eligible', 5]);
  });

  it('a call that the engine itself answers counts, whatever its method is', () => {
    start();
    dead = new Set(['a']);
    for (let i = 0; i < 20 && state('a') === 'eligible'; i++) stack.call({ path: EMBED });
    assert.equal(state('a'), 'ejected');
    dead = new Set();
    stack.advance(OUT_MS + 5_000);
    assert.equal(stack.call({ path: EMBED }).status, 0);
    assert.equal(state('a'), 'eligible');
  });

  it('its polls that fail eject no engine that answers', () => {
    start();
    const well = stack.backend('a').answer;
    stack.answers(
      (stream) => (stream.header(':path') === GENERATE ? well(stream) : void stream.fail(14)),
      'a',
    );
    for (let i = 0; i < 30; i++) {
      stack.call({ path: POLLS[0]! });
      generate();
    }
    assert.equal(state('a'), 'eligible');
  });
});
