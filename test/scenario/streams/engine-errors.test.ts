/** Engines answer a request with INTERNAL: vLLM says so of an error of the request, and in other words once its core has died. */
import assert from 'node:assert/strict';
import {
  aGenerateRequest,
  CORE_DIED,
  framedRequest,
  GENERATE,
  messagesFor,
  requestIn,
} from '../../kit/engines/scripted-engine.js';
import type { Field } from '../../kit/http2/hpack-lite.js';
import type { PeerStream } from '../../kit/http2/scripted-peer.js';
import { UpstreamStack } from '../../kit/scenario/upstream-stack.js';
import { aStreamRoute } from '../../kit/stack/stack.js';

/** vLLM has no words for what it takes for recoverable (`EngineGenerateError`), and those of the error otherwise. */
const ERRORS: readonly (readonly Field[])[] = [
  [],
  [['grpc-message', "'NoneType' object has no attribute 'shape'"]],
];

describe('Scenario: engines answer a request with INTERNAL', () => {
  let stack: UpstreamStack;
  let arrived: PeerStream[];

  const start = (): void => {
    stack = new UpstreamStack(['a', 'b', 'c', 'd'], {
      routes: [aStreamRoute()],
      engine: 'vllm',
      budget: { ratio: 1, perSecond: 1_000 },
      ejection: { mode: 'observe' },
    });
    arrived = [];
    stack.answers((stream) => void arrived.push(stream));
  };
  const open = (id = 'r-1'): PeerStream =>
    stack.call({ path: GENERATE, body: framedRequest(aGenerateRequest({ request_id: id })) });
  /** Each engine that gets it fails it after so many messages. */
  const failAll = (call: PeerStream, count: number, words: readonly Field[]): number => {
    const before = arrived.length - 1;
    for (let i = 0; i < 8 && !call.isOver; i++) {
      const engine = arrived.at(-1)!;
      if (count === 0) stack.settle(engine.fail(13, words));
      else {
        const some = messagesFor(requestIn(engine.body), () => 1).slice(0, count);
        stack.settle(engine.begin().data(Buffer.concat(some)).trailers(13, words));
      }
      stack.advance(300);
    }
    return arrived.length - before;
  };

  for (const [i, words] of ERRORS.entries()) {
    it(`before a token, in the words of an error ${i}: the client gets them, after the attempts of the route`, () => {
      start();
      const call = open();
      assert.equal(failAll(call, 0, words), 3);
      assert.deepEqual(
        [call.status, call.reason, call.trailer('grpc-message') ?? ''],
        [13, undefined, words[0]?.[1] ?? ''],
      );
      stack.assertIdle();
    });

    it(`and the same request is let in again ${i}`, () => {
      start();
      for (const id of ['x', 'y', 'z']) {
        assert.equal(failAll(open(id), 0, words), 3, id);
        stack.advance(1_000);
      }
    });

    it(`after some tokens, in the words of an error ${i}: it is not taken for one that ends engines`, () => {
      start();
      const call = open();
      failAll(call, 3, words);
      assert.deepEqual([call.status, call.reason], [14, 'not-resumed']);
      assert.equal(stack.out.outbound.state.poison.crashes, 0);
    });
  }

  for (const count of [0, 3])
    it(`in the words of a core that has died, after ${count} messages: at the second it ends with poison`, () => {
      start();
      const call = open();
      assert.equal(failAll(call, count, CORE_DIED), 2);
      assert.deepEqual([call.status, call.reason], [7, 'poison']);
    });
});
