/** Both sidecars of a call count its tokens: the caller's what its client gets, each engine's what that engine does. */
import assert from 'node:assert/strict';
import {
  aGenerateRequest,
  framedRequest,
  GENERATE,
  messagesFor,
  requestIn,
} from '../../kit/engines/scripted-engine.js';
import type { PeerStream } from '../../kit/http2/scripted-peer.js';
import { Mesh } from '../../kit/scenario/mesh-in-memory.js';
import { aStreamRoute } from '../../kit/stack/stack.js';

const REQUEST = aGenerateRequest({ sampling_params: { temperature: 0, max_tokens: 24, ignore_eos: true } });

describe('Scenario: the tokens of an answer that another engine continues', () => {
  it('are one call of 24 tokens to the caller, and two of its engines', () => {
    const mesh = new Mesh({
      ...{ replicas: 2, routes: [aStreamRoute()] },
      inbound: { engine: 'vllm', routes: [aStreamRoute()] },
      upstream: { engine: 'vllm', budget: { ratio: 1, perSecond: 1_000 } },
    });
    const { stack, replicas } = mesh;
    const arrived: PeerStream[] = [];
    for (const { model } of replicas)
      model.answer = (stream) => {
        if (stream.header(':path') === GENERATE) arrived.push(stream);
        else stream.fail(12);
      };
    const call = stack.settle(mesh.app.call({ path: GENERATE, body: framedRequest(REQUEST) }));
    const first = arrived[0]!;
    stack.settle(first.begin().data(Buffer.concat(messagesFor(REQUEST, () => 2, 1).slice(0, 4))));
    stack.settle(first.trailers(14));
    stack.advance(300);
    const second = arrived[1]!;
    const asked = requestIn(second.body);
    stack.settle(
      second
        .begin()
        .data(Buffer.concat(messagesFor(asked, () => 5, 6)))
        .trailers(0),
    );
    assert.equal(call.status, 0);
    const prompt = REQUEST.tokenized!.input_ids!.length;
    const counted = stack.context.stats.engines.all.map(
      ({ direction, inputTokens, outputTokens, cachedTokens, firstToken }) => ({
        direction,
        ...{ input: inputTokens.sum, output: outputTokens.sum, cached: cachedTokens },
        begun: firstToken.counts.reduce((sum, n) => sum + n, 0),
      }),
    );
    assert.deepEqual(
      counted.find(({ direction }) => direction === 'outbound'),
      { direction: 'outbound', input: prompt, output: 24, cached: 1, begun: 1 },
    );
    // All replicas of a stack count in one place: two calls, of which the second has seven more ids, and makes the eighth token again.
    assert.deepEqual(
      counted.find(({ direction }) => direction === 'inbound'),
      { direction: 'inbound', input: prompt + (prompt + 7), output: 8 + 17, cached: 1 + 6, begun: 2 },
    );
  });
});
