/** Routes, splits, mirrors and fallback by the model that the request names, and by its version. */
import assert from 'node:assert/strict';
import { sizeLimitReports } from '../../../sidecar/app/metrics/size-limits.js';
import { MessageWriter } from '../../../sidecar/codec/protobuf.js';
import type { RouteConfig } from '../../../sidecar/config/model.js';
import { Flag, grpcMessage } from '../../kit/http2/h2-frames.js';
import { UpstreamStack } from '../../kit/scenario/upstream-stack.js';
import { anInferRequest, aRequestFor } from '../../kit/service/infer-requests.js';
import { anUpstream, aRoute, aSafeRoute, aStreamRoute } from '../../kit/stack/stack.js';

const STREAM = '/inference.GRPCInferenceService/ModelStreamInfer';
const READY = '/inference.GRPCInferenceService/ModelReady';
const LIVE = '/inference.GRPCInferenceService/ServerLive';
const TO_CANARY = { match: [], weights: { canary: 1 } };

describe('Scenario: by model', () => {
  let stack: UpstreamStack;

  function start(routes: readonly RouteConfig[], canaryRoutes: readonly RouteConfig[] = [aRoute()]): void {
    stack = new UpstreamStack(['s'], { routes }, {});
    stack.outbound(anUpstream(['c'], { name: 'canary', routes: canaryRoutes }));
    stack.works(['s', 'c']);
  }
  const answer = (model: string, version = '', path?: string) => {
    const call = stack.call({ body: aRequestFor(model, version), ...(path === undefined ? {} : { path }) });
    return call.status === 0 ? call.body.toString() : `${call.status} ${call.reason ?? ''}`;
  };

  it('a split sends a model, or one version of it, to another upstream', () => {
    const match = [
      { model: 'digits', version: '3', upstream: 'canary' },
      { model: 'words', upstream: 'canary' },
    ];
    start([
      aStreamRoute({ methods: [STREAM], split: { match, weights: { digits: 1 } } }),
      aRoute({ split: { match, weights: { digits: 1 } } }),
    ]);
    assert.deepEqual(
      [answer('digits'), answer('digits', '3'), answer('words'), answer('words', '7'), answer('others', '3')],
      ['s', 'c', 'c', 'c', 's'],
    );
    assert.deepEqual([answer('words', '', STREAM), answer('words', '', READY)], ['c', 'c']);
    assert.equal(answer('words', '', LIVE), 's', 'the method names no model');
    stack.assertIdle();
  });

  it('requests of TensorFlow Serving and of TorchServe name their model too', () => {
    const match = [
      { model: 'digits', version: '3', upstream: 'canary' },
      { model: 'words', upstream: 'canary' },
    ];
    start([aRoute({ split: { match, weights: { digits: 1 } } })]);
    const ofTensorFlow = (model: string, version = 0, method = 'Predict'): string => {
      const spec = new MessageWriter().text(1, model).text(3, 'serving_default');
      if (version > 0) spec.bytes(2, Buffer.from([0x08, version]));
      // As the map of its inputs has it, whose field is that of the version elsewhere.
      const input = new MessageWriter().text(1, 'words').bytes(2, Buffer.alloc(9_000));
      const body = grpcMessage(new MessageWriter().message(1, spec).message(2, input).finish());
      const call = stack.call({ path: `/tensorflow.serving.PredictionService/${method}`, body });
      return call.status === 0 ? call.body.toString() : `${call.status}`;
    };
    assert.deepEqual(
      [ofTensorFlow('digits'), ofTensorFlow('digits', 3), ofTensorFlow('words'), ofTensorFlow('words', 7)],
      ['s', 'c', 'c', 'c'],
    );
    assert.deepEqual(
      [ofTensorFlow('words', 0, 'Classify'), ofTensorFlow('words', 0, 'MultiInference')],
      ['c', 's'],
    );
    const torch = '/org.pytorch.serve.grpc.inference.InferenceAPIsService/Predictions';
    assert.deepEqual([answer('digits', '3', torch), answer('digits', '4', torch)], ['c', 's']);
    stack.assertIdle();
  });

  it('a request that is longer than what its route keeps is passed on, and its caller is not cut off', () => {
    start([aSafeRoute({ models: ['digits'], replayBytes: 100 }), aSafeRoute({ replayBytes: 100 })]);
    const calls = ['digits', 'others'].map((model) => stack.call({ body: anInferRequest(model, 2_000) }));
    assert.deepEqual(
      calls.map(({ status }) => status),
      [0, 0],
    );
    assert.equal(stack.context.stats.defects, 0);
    const features = sizeLimitReports([stack.out.outbound.state]);
    assert.deepEqual(features, [
      { upstream: 'digits', feature: 'repeat', why: '2 requests longer than replay' },
    ]);
    stack.assertIdle();
  });

  it('a route for a model has its own limits, retries and fallback, and leaves the others alone', () => {
    const fallback = [{ kind: 'upstream', upstream: 'canary' }] as const;
    start([
      aRoute({ models: ['digits'], timeoutMs: 300 }),
      aSafeRoute({ models: ['words'], fallback }),
      aRoute({ timeoutMs: 900 }),
    ]);
    stack.answers((stream) => void stream.fail(14), 's');
    assert.deepEqual([answer('digits'), answer('others'), answer('words')], ['14 ', '14 ', 'c']);
    assert.equal(stack.out.outbound.state.retries, 1, 'of the model whose route asks for it');
    stack.answers(() => {}, 's');
    const late = [stack.call({ body: aRequestFor('digits') }), stack.call({ body: aRequestFor('others') })];
    stack.advance(310);
    assert.deepEqual(
      late.map(({ status }) => status),
      [4, -1],
    );
    stack.advance(600);
    assert.deepEqual(
      late.map(({ status }) => status),
      [4, 4],
    );
    stack.assertIdle();
  });

  it('a route for a version of a model has its own times, fallback and counters, and leaves other versions alone', () => {
    const fallback = [{ kind: 'upstream', upstream: 'canary' }] as const;
    start([
      aSafeRoute({ models: ['digits'], version: '3', fallback }),
      aRoute({ models: ['digits'] }),
      aRoute(),
    ]);
    stack.answers((stream) => void stream.fail(14), 's');
    const named = [answer('digits', '3'), answer('digits', '4'), answer('digits'), answer('others', '3')];
    assert.deepEqual(named, ['c', '14 ', '14 ', '14 ']);
    const counted = stack.context.stats.calls
      .filter(({ service, started }) => service === 'digits' && started > 0)
      .map(({ model, version, started }) => `${model}/${version}: ${started}`);
    assert.deepEqual(counted.sort(), ['digits/3: 1', 'digits/: 2', 'other/: 1']);
    // Without the route the version is told apart no more, and its counters stay.
    stack.update({ routes: [aRoute({ models: ['digits'] }), aRoute()] });
    assert.equal(answer('digits', '3'), '14 ');
    stack.assertIdle();
  });

  it('a mirror copies the calls of one model only', () => {
    const mirror = { upstream: 'canary', ratio: 1, maxInFlight: 8, tolerance: 0 };
    start([aRoute({ models: ['digits'], mirror }), aRoute()]);
    answer('digits');
    answer('words');
    stack.advance(1_000);
    assert.equal(stack.requestsAt('c').length, 1);
    assert.equal(stack.backend('c').last.body.subarray(7, 13).toString(), 'digits');
    stack.assertIdle();
  });

  it('the upstream that a split chooses has routes by model too', () => {
    start([aRoute({ split: TO_CANARY })], [aRoute({ models: ['digits'], timeoutMs: 200 }), aRoute()]);
    stack.answers(() => {}, 'c');
    const calls = [stack.call({ body: aRequestFor('digits') }), stack.call({ body: aRequestFor('words') })];
    stack.advance(210);
    assert.deepEqual(
      calls.map(({ status }) => status),
      [4, -1],
    );
    stack.advance(20_000);
    stack.assertIdle();
  });

  it('a call waits for the beginning of its request, within its limits, and no longer', () => {
    const split = { match: [{ model: 'words', upstream: 'canary' }], weights: { digits: 1 } };
    start([aRoute({ split, timeoutMs: 400 })]);
    const late = stack.settle(stack.caller.call({ body: null }));
    const gone = stack.settle(stack.caller.call({ body: null }));
    const whole = stack.settle(stack.caller.call({ body: null }));
    const empty = stack.settle(stack.caller.call({ body: Buffer.alloc(0) }));
    assert.deepEqual([empty.status, empty.body.toString()], [0, 's']);
    stack.settle(gone.reset());
    stack.settle(whole.data(aRequestFor('words').subarray(0, 9)));
    assert.equal(stack.requestsAt('c').length, 0);
    stack.settle(whole.data(aRequestFor('words').subarray(9), Flag.endStream));
    assert.equal(whole.body.toString(), 'c');
    stack.advance(410);
    assert.equal(late.reason, 'deadline-exceeded');
    const { calls } = stack.context.stats;
    const count = (read: (each: (typeof calls)[number]) => number) =>
      calls.reduce((sum, each) => sum + read(each), 0);
    assert.deepEqual([count(({ started }) => started), count(({ inFlight }) => inFlight)], [4, 0]);
    assert.equal(
      count(({ byReason }) => byReason.get('deadline-exceeded') ?? 0),
      1,
    );
    stack.assertIdle();
  });

  it('what cannot be read goes as if no rule named a model', () => {
    start([aRoute({ models: ['digits'], split: TO_CANARY }), aRoute()]);
    const compressed = Buffer.concat([Buffer.from([1]), aRequestFor('digits').subarray(1)]);
    const late = grpcMessage(new MessageWriter().bytes(7, Buffer.alloc(8_000)).text(1, 'digits').finish());
    const long = aRequestFor('d'.repeat(70_000));
    for (const body of [compressed, late, long, aRequestFor(''), Buffer.from([0, 0, 0])])
      assert.equal(stack.call({ body }).body.toString(), 's');
    assert.equal(answer('digits'), 'c');
    stack.assertIdle();
  });

  it('rules begin and end with the file', () => {
    start([aRoute()]);
    assert.equal(answer('digits'), 's');
    stack.update({ routes: [aRoute({ models: ['digits'], split: TO_CANARY }), aRoute()] });
    const open = stack.settle(stack.caller.call({ body: null }));
    assert.deepEqual([answer('digits'), answer('words')], ['c', 's']);
    stack.update({ routes: [aRoute()] });
    stack.settle(open.data(aRequestFor('digits'), Flag.endStream));
    assert.equal(open.body.toString(), 's', 'it began while the rule was there');
    assert.equal(answer('digits'), 's');
    stack.assertIdle();
  });
});
