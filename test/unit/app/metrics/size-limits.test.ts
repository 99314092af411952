/** What was too large for a feature, as `/metrics` and `/endpoints` say it. */
import assert from 'node:assert/strict';
import { sizeLimitMetrics, sizeLimitReports } from '../../../../sidecar/app/metrics/size-limits.js';
import type { UpstreamState } from '../../../../sidecar/outbound/upstream-state.js';
import { anUpstream, aRoute, aSafeRoute, type CallOptions, Stack } from '../../../kit/stack/stack.js';

const LARGE = Buffer.alloc(100_000);

describe('Calls that are too large', () => {
  let stack: Stack;
  let outbound: UpstreamState;

  function start(
    routes: Parameters<typeof anUpstream>[1],
    memoryBytes = 1 << 28,
  ): (call?: CallOptions) => void {
    stack = new Stack({ memoryBytes });
    const out = stack.outbound(anUpstream(['a', 'b'], routes));
    outbound = out.outbound.state;
    const app = stack.app(out.listener);
    for (const name of ['a', 'b']) stack.backend(name).answer = (stream) => stream.reply(LARGE);
    return (call = {}) => {
      stack.settle(app.call(call));
    };
  }

  const samples = () => {
    const [family] = sizeLimitMetrics([outbound]);
    assert.ok(family !== undefined && family.kind !== 'histogram');
    return Object.fromEntries(
      family.samples.map(({ labels, value }) => [`${labels['feature']} ${labels['reason']}`, value]),
    );
  };

  it('are counted for each feature of their route, by what was too large', () => {
    const fallback = [{ kind: 'last-good', maxAgeMs: 60_000, maxBytes: 1 << 20 }] as const;
    const call = start({ routes: [aSafeRoute({ fallback, replayBytes: 50_000 })] });
    for (let i = 0; i < 3; i++) call();
    call({ body: LARGE });
    assert.deepEqual(samples(), {
      'repeat request-too-large': 1,
      'repeat response-too-large': 4,
      'fallback request-too-large': 1,
      'fallback response-too-large': 4,
      'last-good request-too-large': 1,
      'last-good response-too-large': 4,
    });
    const why = '1 requests longer than replay, 4 answers longer than hold';
    const features = ['repeat', 'fallback', 'last-good'];
    const expected = features.map((feature) => ({ upstream: 'digits', feature, why }));
    assert.deepEqual(sizeLimitReports([outbound]), expected);
  });

  it('are none of a route that asks for nothing, and none that are held', () => {
    start({ routes: [aRoute()] })({ body: LARGE });
    assert.deepEqual([samples(), sizeLimitReports([outbound])], [{}, []]);
    stack.close();
    start({ routes: [aSafeRoute({ holdBytes: LARGE.length })] })({ body: LARGE });
    assert.deepEqual([samples(), sizeLimitReports([outbound])], [{}, []]);
  });

  it('are told apart from those that there was no memory for', () => {
    const call = start({ routes: [aSafeRoute({ holdBytes: 1 << 20 })] }, 100_000);
    call({ body: LARGE });
    assert.deepEqual(samples(), { 'repeat memory': 2 });
    assert.deepEqual(sizeLimitReports([outbound]), [
      { upstream: 'digits', feature: 'repeat', why: '2 times no room in memory_budget' },
    ]);
  });
});
