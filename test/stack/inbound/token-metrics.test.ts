/** What the sidecar of a language-model engine counts: the tokens of each caller, and those that wait. */
import assert from 'node:assert/strict';
import type { GenerateRequest } from '../../../proto/vllm-service.js';
import { readLoadReport } from '../../../sidecar/codec/orca.js';
import type { Metric } from '../../../sidecar/telemetry/metric.js';
import {
  aGenerateRequest,
  framedRequest,
  GENERATE,
  messagesFor,
  requestIn,
} from '../../kit/engines/scripted-engine.js';
import type { PeerStream } from '../../kit/http2/scripted-peer.js';
import { metricsIn } from '../../kit/stack/metrics.js';
import { ModelStack } from '../../kit/stack/model-stack.js';
import { type Application, aStreamRoute, type InboundOptions } from '../../kit/stack/stack.js';

const ANY_CALLER = [{ from: '*', to: 'digits', action: 'allow' }] as const;
/** A request that may use so many tokens: four ids of a prompt, and the rest. */
const ofTokens = (total: number, over: Partial<GenerateRequest> = {}): GenerateRequest =>
  aGenerateRequest({ sampling_params: { temperature: 0, max_tokens: total - 4, ignore_eos: true }, ...over });

describe('The sidecar of an engine', () => {
  let stack: ModelStack;
  let web: Application;
  let batch: Application;

  const start = (over: InboundOptions = {}): void => {
    stack = new ModelStack({
      ...{ intentions: ANY_CALLER, engine: 'vllm', routes: [aStreamRoute()], queue: { concurrency: 1 } },
      ...over,
    });
    web = stack.caller('web');
    batch = stack.caller('batch');
  };
  const call = (request: GenerateRequest | Buffer, from = web): PeerStream => {
    const body = Buffer.isBuffer(request) ? request : framedRequest(request);
    return stack.call({ path: GENERATE, body }, from);
  };
  const at = (n: number): PeerStream => stack.requests.at(n)!;
  const answer = (stream: PeerStream, batched = 4, cached = 0): Buffer[] =>
    messagesFor(requestIn(stream.body), () => batched, cached);
  const finish = (stream: PeerStream, cached = 0): void =>
    void stack.settle(
      stream
        .begin()
        .data(Buffer.concat(answer(stream, 4, cached)))
        .trailers(0),
    );
  const families = (): readonly Metric[] => metricsIn(stack, { inbound: stack.side.inbound.state });
  const waiting = (): number | undefined => {
    const family = families().find(({ name }) => name === 'outrider_queue_waiting_tokens');
    return family?.kind === 'gauge' ? family.samples[0]!.value : undefined;
  };
  const told = (): number | undefined => {
    const { load } = stack.side.inbound.state;
    const report = readLoadReport(load.message(stack.clock.now()).subarray(5), assert.fail);
    return report!.named.get('outrider.waiting_tokens');
  };
  const usage = () =>
    Object.fromEntries(
      stack.context.stats.engines.all.map(
        ({ direction, caller, inputTokens, outputTokens, cachedTokens, firstToken }) => [
          caller,
          {
            direction,
            ...{ input: inputTokens.sum, output: outputTokens.sum, cached: cachedTokens },
            firstMs: Math.round(firstToken.sum * 1000),
          },
        ],
      ),
    );

  it('counts the tokens that wait, and tells them in its load reports', () => {
    start();
    assert.deepEqual([waiting(), told()], [0, 0]);
    call(ofTokens(100));
    assert.equal(waiting(), 0, 'it runs');
    const leaves = call(ofTokens(300));
    call(ofTokens(50), batch);
    assert.deepEqual([waiting(), told()], [350, 350]);
    stack.settle(leaves.reset());
    assert.equal(waiting(), 50);
    finish(at(0));
    assert.deepEqual([waiting(), told()], [0, 0]);
    finish(at(1));
  });

  it('counts the tokens of each caller, from the arrival of its call on', () => {
    start();
    call(ofTokens(24));
    call(ofTokens(44), batch);
    stack.advance(30);
    finish(at(0), 3);
    stack.advance(70);
    finish(at(1));
    assert.deepEqual(usage(), {
      web: { direction: 'inbound', input: 4, output: 20, cached: 3, firstMs: 30 },
      batch: { direction: 'inbound', input: 4, output: 40, cached: 0, firstMs: 100 },
    });
  });

  it('counts of a call that its caller leaves what had come', () => {
    start();
    const left = call(ofTokens(100));
    stack.settle(
      at(0)
        .begin()
        .data(Buffer.concat(answer(at(0)).slice(0, 2))),
    );
    stack.settle(left.reset());
    assert.equal(usage()['web']!.output, 8);
  });

  it('counts a request that it cannot read by its length, and its answer as it comes', () => {
    start({ defaultMaxTokens: 1_000 });
    call(ofTokens(100));
    const compressed = framedRequest(ofTokens(50));
    compressed[0] = 1;
    call(compressed, batch);
    const waits = waiting()!;
    assert.ok(waits > 1_000 && waits < 1_100, `${waits}`);
    finish(at(0));
    stack.settle(at(1).fail(13));
  });

  it('tells nothing of tokens where no engine is known, or one whose requests are not read', () => {
    const { engine: _, ...none } = { engine: 'vllm' as const };
    stack = new ModelStack({ intentions: ANY_CALLER, routes: [aStreamRoute()], ...none });
    web = stack.caller('web');
    call(ofTokens(100));
    assert.deepEqual([waiting(), told()], [undefined, undefined]);
    finish(at(0));
    assert.equal(stack.context.stats.engines.all.length, 0);
    start({ engine: 'sglang' });
    assert.deepEqual([waiting(), told()], [undefined, undefined]);
  });

  it('counts no more than the context of the engine for a call that asks for as much as fits', () => {
    start({ queue: { concurrency: 1, cost: 'tokens', maxWaitingTokens: 5_000 } });
    const all = (): GenerateRequest =>
      aGenerateRequest({ sampling_params: { temperature: 0, max_tokens: 2 ** 32 - 1 } });
    call(ofTokens(100));
    stack.side.inbound.state.setEngineContext(2_048);
    call(all());
    assert.deepEqual([waiting(), told()], [2_048, 2_048]);
    call(all(), batch);
    assert.equal(waiting(), 2 * 2_048);
    // The next engine does not say it.
    stack.side.inbound.state.setEngineContext(0);
    assert.match(call(all()).trailer('grpc-message')!, /this call may use 4294967299/);
  });

  it('lets a call wait that alone is more than may wait, while no other does', () => {
    start({ queue: { concurrency: 1, cost: 'tokens', maxWaitingTokens: 5_000 } });
    call(ofTokens(100));
    const large = call(ofTokens(100_000));
    assert.deepEqual([large.isOver, waiting()], [false, 100_000]);
    assert.equal(call(ofTokens(10)).reason, 'overloaded');
    finish(at(0));
    assert.equal(waiting(), 0);
    assert.equal(stack.requests.length, 2);
    assert.equal(call(ofTokens(10)).isOver, false);
    assert.equal(call(ofTokens(100_000)).reason, 'overloaded', 'another one waits');
  });
});
