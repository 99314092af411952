/** What the sidecar of a caller counts of the answers of a language-model engine: what the client has got of it, and when. */
import assert from 'node:assert/strict';
import type { GenerateRequest } from '../../../proto/vllm-service.js';
import type { EngineStats } from '../../../sidecar/telemetry/engine-stats.js';
import { SpanQueue } from '../../../sidecar/telemetry/traces/span-queue.js';
import { Tracer } from '../../../sidecar/telemetry/traces/tracer.js';
import { WallOffset } from '../../../sidecar/telemetry/traces/wall-offset.js';
import {
  aGenerateRequest,
  framedRequest,
  GENERATE,
  messagesFor,
  requestIn,
  tokensFor,
} from '../../kit/engines/scripted-engine.js';
import type { PeerStream } from '../../kit/http2/scripted-peer.js';
import { UpstreamStack } from '../../kit/scenario/upstream-stack.js';
import { metricsIn } from '../../kit/stack/metrics.js';
import { aStreamRoute, type UpstreamOptions } from '../../kit/stack/stack.js';
import { readSpans } from '../../kit/traces/decode-spans.js';

/** Greedy, so that it can be resumed. */
const GREEDY = aGenerateRequest({ sampling_params: { temperature: 0, max_tokens: 24, ignore_eos: true } });
/** By chance, so that it cannot. */
const SAMPLED = aGenerateRequest({
  request_id: 'r-2',
  sampling_params: { temperature: 0.7, max_tokens: 24, ignore_eos: true },
});
const PROMPT = GREEDY.tokenized!.input_ids!.length;

describe('Scenario: the tokens of a language-model engine are counted', () => {
  let stack: UpstreamStack;

  const start = (over: UpstreamOptions = {}): void => {
    stack = new UpstreamStack(['a', 'b'], {
      ...{ routes: [aStreamRoute()], engine: 'vllm', budget: { ratio: 1, perSecond: 1_000 } },
      ...over,
    });
    stack.answers(() => {});
  };
  const open = (request: GenerateRequest): PeerStream =>
    stack.call({ path: GENERATE, body: framedRequest(request) });
  const at = (name: string): PeerStream => stack.backend(name).last;
  const stats = (): EngineStats => {
    const { all } = stack.context.stats.engines;
    assert.equal(all.length, 1);
    return all[0]!;
  };
  const count = ({ counts }: { counts: Float64Array }): number => counts.reduce((sum, n) => sum + n, 0);
  const near = (value: number, expected: number): void =>
    assert.ok(Math.abs(value - expected) < 1e-9, `${value}, expected ${expected}`);
  const usage = () => {
    const { inputTokens, outputTokens, cachedTokens, firstToken, perToken } = stats();
    return {
      calls: count(outputTokens),
      input: inputTokens.sum,
      output: outputTokens.sum,
      cached: cachedTokens,
      begun: count(firstToken),
      paced: count(perToken),
    };
  };
  /** Sends messages `everyMs` apart, the first one after that time. */
  const send = (stream: PeerStream, messages: readonly Buffer[], everyMs: number): void => {
    for (const message of messages) {
      stack.advance(everyMs);
      stack.settle(stream.data(message));
    }
  };

  for (const [kind, request] of [
    ['that may be resumed', GREEDY],
    ['that may not', SAMPLED],
  ] as const)
    it(`of an answer ${kind}: each token once, whatever message it comes in`, () => {
      start();
      const call = open(request);
      const engine = at('a');
      stack.settle(engine.begin());
      const messages = messagesFor(request, () => 3, 2);
      assert.equal(messages.length, 9, 'eight of three tokens, and the end');
      send(engine, messages, 50);
      stack.settle(engine.trailers(0));
      assert.equal(call.status, 0);
      assert.deepEqual(usage(), { calls: 1, input: PROMPT, output: 24, cached: 2, begun: 1, paced: 1 });
      near(stats().firstToken.sum, 0.05);
      // 21 tokens after the first message, in seven messages.
      near(stats().perToken.sum, (7 * 0.05) / 21);
    });

  it('of an answer that another engine continues: once, from the client’s first token on, and with the gap', () => {
    start();
    const call = open(GREEDY);
    const first = at('a');
    stack.settle(first.begin());
    send(first, messagesFor(GREEDY, () => 2, 2).slice(0, 4), 10);
    stack.settle(first.peer.socket.break());
    stack.advance(300);
    const second = at('b');
    stack.settle(second.begin());
    // Its prompt has the tokens so far, of which it has most in its cache, and it makes the last one again.
    send(
      second,
      messagesFor(requestIn(second.body), () => 5, 9),
      20,
    );
    stack.settle(second.trailers(0));
    assert.equal(call.status, 0);
    assert.equal(tokensFor(GREEDY).length, 24);
    assert.deepEqual(usage(), { calls: 1, input: PROMPT, output: 24, cached: 2, begun: 1, paced: 1 });
    near(stats().firstToken.sum, 0.01);
    const gap = stats().perToken.sum * 22;
    assert.ok(gap > 0.3, `${gap} s for the 22 tokens after the first message`);
  });

  it('of a call that was retried before its first token: from its arrival on', () => {
    start();
    const call = open(GREEDY);
    stack.advance(700);
    stack.settle(at('a').fail(14));
    stack.advance(300);
    const second = at('b');
    stack.settle(second.begin());
    send(
      second,
      messagesFor(requestIn(second.body), () => 24),
      100,
    );
    stack.settle(second.trailers(0));
    assert.equal(call.status, 0);
    assert.deepEqual(usage(), { calls: 1, input: PROMPT, output: 24, cached: 0, begun: 1, paced: 0 });
    near(stats().firstToken.sum, 1.1);
  });

  it('of a call that its client cancels: those that came before', () => {
    start();
    const call = open(SAMPLED);
    const engine = at('a');
    stack.settle(engine.begin());
    send(engine, messagesFor(SAMPLED, () => 4).slice(0, 2), 10);
    stack.settle(call.reset());
    assert.deepEqual(usage(), { calls: 1, input: PROMPT, output: 8, cached: 0, begun: 1, paced: 1 });
    stack.assertIdle();
  });

  it('of a call that no engine answers: none', () => {
    start();
    const call = open(GREEDY);
    for (let i = 0; i < 3; i++) {
      stack.settle(stack.requests.at(-1)!.fail(14));
      for (const name of ['a', 'b'])
        for (const each of stack.backend(name).requests) if (!each.isOver) stack.settle(each.fail(14));
      stack.advance(300);
    }
    assert.equal(call.status, 14);
    assert.deepEqual(usage(), { calls: 0, input: 0, output: 0, cached: 0, begun: 0, paced: 0 });
  });

  it('and told with the labels of the conventions, by caller and service', () => {
    start();
    open(GREEDY);
    const engine = at('a');
    stack.settle(engine.begin());
    send(
      engine,
      messagesFor(GREEDY, () => 24),
      10,
    );
    stack.settle(engine.trailers(0));
    const family = metricsIn(stack).find(({ name }) => name === 'gen_ai_client_token_usage')!;
    assert.deepEqual(
      family.samples.map(({ labels }) => labels),
      ['input', 'output'].map((type) => ({
        ...{ direction: 'outbound', caller: 'app', gen_ai_request_model: 'digits' },
        ...{ gen_ai_provider_name: 'vllm', gen_ai_operation_name: 'text_completion' },
        gen_ai_token_type: type,
      })),
    );
  });

  it('only where an engine is known', () => {
    const { engine: _, ...none } = { engine: 'vllm' as const };
    stack = new UpstreamStack(['a', 'b'], { routes: [aStreamRoute()], ...none });
    stack.answers(() => {});
    const call = open(GREEDY);
    stack.settle(
      at('a')
        .begin()
        .data(Buffer.concat(messagesFor(GREEDY, () => 3)))
        .trailers(0),
    );
    assert.equal(call.status, 0);
    assert.equal(stack.context.stats.engines.all.length, 0);
    assert.ok(!metricsIn(stack).some(({ name }) => name.startsWith('gen_ai_')));
  });

  it('and stand on the span of the call', () => {
    start();
    const queue = new SpanQueue();
    const settings = { sample: 1, parent: 'follow', errorsPerSecond: 1, requestIds: 'traced' } as const;
    const tracer = new Tracer(settings, stack.context, queue, new WallOffset(stack.clock));
    stack.context.recorder = tracer;
    stack.context.tracer = tracer;
    open(GREEDY);
    const engine = at('a');
    stack.settle(engine.begin());
    send(
      engine,
      messagesFor(GREEDY, () => 8, 2),
      250,
    );
    stack.settle(engine.trailers(0));
    const [server, client] = readSpans(Buffer.concat(queue.first(10)!.parts));
    const own = ({ attributes }: { attributes: Record<string, unknown> }) =>
      Object.fromEntries(Object.entries(attributes).filter(([key]) => key.startsWith('gen_ai.')));
    assert.deepEqual(own(server!), {
      'gen_ai.operation.name': 'text_completion',
      'gen_ai.provider.name': 'vllm',
      'gen_ai.request.model': 'digits',
      'gen_ai.request.max_tokens': 24,
      'gen_ai.usage.input_tokens': PROMPT,
      'gen_ai.usage.cache_read.input_tokens': 2,
      'gen_ai.usage.output_tokens': 24,
      'gen_ai.response.time_to_first_chunk': 0.25,
    });
    assert.deepEqual(own(client!), {});
  });
});
