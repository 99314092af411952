/** One upstream whose replicas have different models: a call goes to those that have the model it names, as long as they can. */
import assert from 'node:assert/strict';
import { MAIN_CLUSTER } from '../../../sidecar/discovery/snapshot.js';
import { Flag } from '../../kit/http2/h2-frames.js';
import type { PeerStream } from '../../kit/http2/scripted-peer.js';
import { countBy, resultOf } from '../../kit/scenario/counts.js';
import { DiscoveredUpstream } from '../../kit/scenario/discovered-upstream.js';
import { UpstreamStack } from '../../kit/scenario/upstream-stack.js';
import { aRequestFor } from '../../kit/service/infer-requests.js';
import { metricsIn } from '../../kit/stack/metrics.js';
import { addressOf, anUpstream, aRoute, aSafeRoute, aStreamRoute } from '../../kit/stack/stack.js';

const STREAM = '/inference.GRPCInferenceService/ModelStreamInfer';
const LIVE = '/inference.GRPCInferenceService/ServerLive';

type Fields = readonly (readonly [string, string])[];
type Having = Readonly<Record<string, readonly string[] | undefined>>;

/** `a` and `b` have `digits`, `b` and `c` have `words`. */
const SOME: Having = { a: ['digits'], b: ['digits', 'words'], c: ['words'] };

const endpointsOf = (having: Having) =>
  Object.entries(having).map(([id, models]) => ({
    ...{ address: addressOf(id), weight: 1, id },
    ...(models === undefined ? {} : { models }),
  }));

function start(having: Having = SOME, over = {}): UpstreamStack {
  const names = Object.keys(having);
  const routes = [aStreamRoute({ methods: [STREAM] }), aSafeRoute()];
  const stack = new UpstreamStack(names, { endpoints: endpointsOf(having), routes, ...over });
  stack.works();
  return stack;
}

/** The replicas that answered `n` calls for a model, and how often. */
const answersOf = (stack: UpstreamStack, model: string, n = 60): Record<string, number> => {
  const calls = Array.from({ length: n }, () => {
    const call = stack.call({ body: aRequestFor(model) });
    stack.advance(10);
    return call;
  });
  return countBy(calls, ({ status, body }) => (status === 0 ? body.toString() : `${status}`));
};

const missesOf = (stack: UpstreamStack) => stack.out.cluster.modelMisses;

describe('Scenario: a model on some replicas', () => {
  it('gets its calls there alone, in equal shares', () => {
    const stack = start();
    assert.deepEqual(answersOf(stack, 'digits'), { a: 30, b: 30 });
    assert.deepEqual(answersOf(stack, 'words'), { b: 30, c: 30 });
    assert.deepEqual(missesOf(stack), { unclaimed: 0, unavailable: 0, unnamed: 0 });
    stack.assertIdle();
  });

  it('stays there alone while the registry does not know its endpoints any more', () => {
    const mesh = new DiscoveredUpstream({ routes: [aSafeRoute()] });
    const versions = { words: ['2'] };
    const endpoints = endpointsOf(SOME).map((each) => (each.id === 'c' ? { ...each, versions } : each));
    for (const known of [endpoints, undefined]) {
      mesh.apply({ [MAIN_CLUSTER]: { endpoints: known } });
      mesh.stack.advance(100);
      const calls = Array.from({ length: 20 }, () => mesh.call({ body: aRequestFor('words') }));
      mesh.stack.advance(100);
      assert.deepEqual(Object.keys(countBy(calls, resultOf)).sort(), ['b', 'c']);
    }
    const { config } = mesh.out.cluster.endpoints.find(({ id }) => id === 'c')!;
    assert.deepEqual([config.versions, mesh.out.cluster.endpoints.length], [versions, 3]);
    mesh.close();
  });

  it('stays there alone from the file until the registry has answered', () => {
    const stack = start();
    const { state } = stack.out.outbound;
    const consul = { service: 'digits', tags: [], meta: {}, failover: [] };
    state.update(anUpstream([], { consul, routes: [aSafeRoute()] }));
    assert.deepEqual(answersOf(stack, 'words'), { b: 30, c: 30 });
  });

  for (const kind of ['least-loaded', 'ring-hash'] as const)
    it(`gets them there with ${kind} too`, () => {
      const balance = kind === 'ring-hash' ? { kind, key: 'x-user' } : { kind };
      const stack = start(SOME, { balance });
      for (const [model, home] of [
        ['digits', ['a', 'b']],
        ['words', ['b', 'c']],
      ] as const)
        assert.deepEqual(Object.keys(answersOf(stack, model)).sort(), home);
    });

  it('is found however the request comes in pieces, and for a stream whose first message comes late', () => {
    const stack = start();
    const call = stack.caller.call({ body: null });
    for (const byte of aRequestFor('words')) stack.settle(call.data(Buffer.from([byte])));
    stack.settle(call.end());
    assert.match(call.body.toString(), /[bc]/);
    const stream: PeerStream = stack.settle(stack.caller.call({ path: STREAM, body: null }));
    stack.advance(60_000);
    assert.equal(stack.requests.filter((each) => each.header(':path') === STREAM).length, 0);
    stack.settle(stream.data(aRequestFor('words'), Flag.endStream));
    assert.match(stream.body.toString(), /[bc]/);
    stack.assertIdle();
  });

  it('in another version goes to the replicas that have it; a version that none has, to those that have the model', () => {
    const endpoints = endpointsOf({ a: ['digits'], b: ['digits'], c: ['words'] }).map((each) => ({
      ...each,
      ...(each.id === 'a' ? { versions: { digits: ['1', '2'] } } : {}),
      ...(each.id === 'b' ? { versions: { digits: ['2'] } } : {}),
    }));
    const stack = start({ a: [], b: [], c: [] }, { endpoints });
    const answers = (version: string): Record<string, number> => {
      const calls = Array.from({ length: 20 }, () => {
        const call = stack.call({ body: aRequestFor('digits', version) });
        stack.advance(10);
        return call;
      });
      return countBy(calls, ({ body }) => body.toString());
    };
    assert.deepEqual(answers('1'), { a: 20 });
    assert.deepEqual(
      [answers('2'), answers('')],
      [
        { a: 10, b: 10 },
        { a: 10, b: 10 },
      ],
    );
    assert.deepEqual(Object.keys(answers('9')).sort(), ['a', 'b']);
    assert.deepEqual(missesOf(stack), { unclaimed: 0, unavailable: 0, unnamed: 0 });
    stack.settle(stack.kill('a'));
    stack.advance(2_000);
    assert.deepEqual(Object.keys(answers('1')).includes('b'), true, 'what they say may be out of date');
    stack.assertIdle();
  });

  it('that no replica claims goes to any of them, as does a replica that claims nothing, and is counted', () => {
    const stack = start();
    assert.deepEqual(answersOf(stack, 'unheard-of'), { a: 20, b: 20, c: 20 });
    assert.equal(missesOf(stack).unclaimed, 60);
    const open = start({ a: ['digits'], b: ['words'], c: undefined });
    assert.deepEqual(answersOf(open, 'digits'), { a: 30, c: 30 });
  });

  it('is asked of the others where no replica that claims it can take the call: what they say may be out of date', () => {
    const stack = start();
    stack.settle(stack.kill('a'));
    assert.deepEqual(answersOf(stack, 'digits'), { b: 60 });
    stack.settle(stack.kill('b'));
    stack.advance(2_000);
    assert.deepEqual(answersOf(stack, 'digits', 10), { c: 10 });
    assert.ok(missesOf(stack).unavailable >= 9, JSON.stringify(missesOf(stack)));
  });

  it('that fails where it is claimed is tried elsewhere, where it may be', () => {
    const stack = start({ a: ['digits'], b: ['words'] });
    stack.answers((stream) => void stream.fail(14), 'a');
    assert.deepEqual(answersOf(stack, 'digits', 1), { b: 1 });
  });

  describe('whose only replica asks for a pause', () => {
    const PAUSE = [['grpc-retry-pushback-ms', '2000']] as const;
    const REFUSALS: Readonly<Record<string, Fields>> = {
      'that it failed': PAUSE,
      'that it did nothing': [...PAUSE, ['outrider-unprocessed', '1']],
    };

    for (const [what, refusal] of Object.entries(REFUSALS))
      for (const place of ['beside it', 'of another priority'] as const)
        it(`waits for that, and is not asked of one ${place}, where that says ${what}`, () => {
          const endpoints = endpointsOf({ a: ['digits'], b: ['words'] }).map((each) => ({
            ...each,
            priority: each.id === 'b' && place === 'of another priority' ? 1 : 0,
          }));
          const stack = start({ a: [], b: [] }, { endpoints });
          stack.answers((stream) => void stream.fail(14, refusal), 'a');
          const call = stack.call({ body: aRequestFor('digits') });
          stack.works('a');
          stack.advance(1_900);
          assert.deepEqual([call.isOver, stack.requests.length], [false, 1]);
          stack.advance(200);
          assert.deepEqual([call.status, call.body.toString()], [0, 'a']);
          stack.assertIdle();
        });

    it('goes to another one that has it meanwhile', () => {
      const stack = start({ a: ['digits'], b: ['digits'], c: ['words'] });
      stack.answers((stream) => void stream.fail(14, PAUSE), 'a');
      assert.deepEqual(answersOf(stack, 'digits', 4), { b: 4 });
    });

    it('goes elsewhere once it is gone', () => {
      const stack = start({ a: ['digits'], b: ['words'] });
      stack.answers((stream) => void stream.fail(14, PAUSE), 'a');
      const call = stack.call({ body: aRequestFor('digits') });
      stack.settle(stack.kill('a'));
      stack.advance(3_000);
      assert.deepEqual([call.status, call.body.toString()], [0, 'b']);
    });
  });

  it('keeps its last replica though that is ejected', () => {
    const stack = start({ a: ['digits'], b: ['words'], c: ['words'] }, { routes: [aRoute()] });
    stack.answers((stream) => void stream.fail(14), 'a');
    for (let i = 0; i < 6; i++) answersOf(stack, 'digits', 1);
    assert.equal(stack.report('a').state, 'ejected');
    stack.works('a');
    assert.deepEqual(answersOf(stack, 'digits', 5), { a: 5 });
  });

  it('is no probe for an ejected replica without it', () => {
    const stack = start({ a: ['digits'], b: ['words'], c: ['digits'] }, { routes: [aRoute()] });
    stack.answers((stream) => void stream.fail(14), 'a');
    for (let i = 0; i < 12; i++) answersOf(stack, 'digits', 1);
    assert.equal(stack.report('a').state, 'ejected');
    stack.works('a');
    stack.advance(40_000);
    assert.deepEqual(answersOf(stack, 'words', 10), { b: 10 });
    assert.equal(stack.report('a').state, 'ejected', 'its probe is due, and these calls are none');
    answersOf(stack, 'digits', 2);
    assert.equal(stack.report('a').state, 'eligible');
  });

  it('is not hedged at a replica without it', () => {
    const hedge = { minDelayMs: 10, percentile: 0.95 } as never;
    const stack = start({ a: ['digits'], b: ['words'] }, { routes: [aSafeRoute({ hedge })] });
    stack.works('a', 500);
    const call = stack.call({ body: aRequestFor('digits') });
    stack.advance(400);
    assert.equal(stack.requestsAt('b').length, 0);
    stack.advance(200);
    assert.equal(call.body.toString(), 'a');
  });

  it('makes no difference to methods that name none, to requests that cannot be read, and where all replicas have the same', () => {
    const stack = start();
    const live = Array.from({ length: 6 }, () => stack.call({ path: LIVE }));
    assert.deepEqual(
      countBy(live, ({ body }) => body.toString()),
      { a: 2, b: 2, c: 2 },
    );
    const compressed = Buffer.concat([Buffer.from([1]), aRequestFor('digits').subarray(1)]);
    const hidden = Array.from({ length: 6 }, () => stack.call({ body: compressed }));
    assert.deepEqual(
      countBy(hidden, ({ body }) => body.toString()),
      { a: 2, b: 2, c: 2 },
    );
    assert.equal(missesOf(stack).unnamed, 6);
    const same = start({ a: ['digits', 'words'], b: ['words', 'digits'], c: undefined });
    const early = same.caller.call({ body: null });
    same.run();
    assert.equal(same.requests.length, 1, 'nothing of the request is waited for');
    same.settle(early.data(aRequestFor('digits'), Flag.endStream));
    assert.equal(early.status, 0);
  });

  it('follows the registration: a model that is added to another replica gets calls there from then on', () => {
    const stack = start();
    const more = { ...SOME, c: ['digits', 'words'] };
    stack.settle(stack.out.outbound.state.update(anUpstream([], { endpoints: endpointsOf(more) })));
    assert.deepEqual(answersOf(stack, 'digits'), { a: 20, b: 20, c: 20 });
    const all = { ...more, a: ['digits', 'words'] };
    stack.settle(stack.out.outbound.state.update(anUpstream([], { endpoints: endpointsOf(all) })));
    assert.equal(stack.out.cluster.claims, null);
    assert.deepEqual(answersOf(stack, 'words'), { a: 20, b: 20, c: 20 });
  });

  it('is a label of its calls; names that callers invent are not', () => {
    const stack = start();
    answersOf(stack, 'digits', 4);
    for (let i = 0; i < 300; i++) stack.call({ body: aRequestFor(`invented-${i}`) });
    const open = stack.settle(stack.caller.call({ body: null }));
    stack.settle(open.reset());
    const family = metricsIn(stack, { outbounds: [stack.out.outbound.state] }).find(
      ({ name }) => name === 'outrider_calls_total',
    )!;
    const found = family.samples.map((each) => [
      each.labels['model'],
      each.labels['grpc_status'],
      'value' in each && each.value,
    ]);
    assert.deepEqual(found, [
      [undefined, 'CANCELLED', 1],
      ['digits', 'OK', 4],
      ['other', 'OK', 300],
    ]);
    stack.assertIdle();
  });
});
