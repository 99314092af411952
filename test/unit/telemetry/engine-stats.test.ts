import assert from 'node:assert/strict';
import {
  Buckets,
  type CallUsage,
  EngineTable,
  FIRST_TOKEN_BOUNDS,
  PER_TOKEN_BOUNDS,
  TOKEN_BOUNDS,
} from '../../../sidecar/telemetry/engine-stats.js';

const KINDS = { direction: 'inbound', service: 'chat', caller: 'app', engine: 'vllm' } as const;
const A_CALL: CallUsage = {
  ...{ engine: 'vllm', maxTokens: 100, promptTokens: 40, cachedTokens: 32, outputTokens: 11 },
  ...{ firstMs: 500, firstTokens: 3, lastMs: 900 },
};

describe('the counters of calls of an engine', () => {
  it('have the buckets that the conventions of OpenTelemetry ask for', () => {
    assert.deepEqual(
      [TOKEN_BOUNDS.length, TOKEN_BOUNDS[0], TOKEN_BOUNDS[4], TOKEN_BOUNDS.at(-1)],
      [14, 1, 256, 67_108_864],
    );
    for (const bounds of [TOKEN_BOUNDS, FIRST_TOKEN_BOUNDS, PER_TOKEN_BOUNDS])
      assert.deepEqual(
        [...bounds].sort((a, b) => a - b),
        bounds,
      );
    assert.deepEqual([FIRST_TOKEN_BOUNDS.length, PER_TOKEN_BOUNDS.length], [16, 13]);
  });

  it('put a value at a bound below it, and one beyond all into the last bucket', () => {
    const buckets = new Buckets([1, 4]);
    for (const value of [0, 1, 1.5, 4, 5]) buckets.observe(value);
    assert.deepEqual([[...buckets.counts], buckets.sum], [[2, 2, 1], 11.5]);
  });

  it('take the time for a token over those that came after the first message', () => {
    const stats = new EngineTable().of(KINDS);
    stats.begin(250);
    stats.finish(A_CALL);
    assert.deepEqual([stats.firstToken.sum, stats.perToken.sum], [0.25, 0.05]);
    assert.deepEqual([stats.inputTokens.sum, stats.outputTokens.sum, stats.cachedTokens], [40, 11, 32]);
  });

  it('know no time for a token of an answer that is one message, and nothing of a call to which nothing was said', () => {
    const stats = new EngineTable().of(KINDS);
    stats.finish({ ...A_CALL, outputTokens: 3 });
    assert.deepEqual([...stats.perToken.counts].filter(Boolean), []);
    stats.finish({ ...A_CALL, promptTokens: 0, cachedTokens: 0, outputTokens: 0, firstTokens: 0 });
    assert.equal(
      stats.inputTokens.counts.reduce((a, b) => a + b, 0),
      1,
    );
  });

  it('are one for each set of labels, and one for all callers beyond the 64th of a service', () => {
    const table = new EngineTable();
    assert.equal(table.of(KINDS), table.of({ ...KINDS }));
    for (let i = 0; i < 200; i++) table.of({ ...KINDS, caller: `app-${i}` });
    assert.equal(table.all.length, 65);
    assert.equal(table.of({ ...KINDS, caller: 'app-150' }).caller, 'other');
    assert.equal(table.of({ ...KINDS, caller: 'app-3' }).caller, 'app-3');
    assert.equal(table.of({ ...KINDS, service: 'other-chat', caller: 'app-150' }).caller, 'app-150');
  });
});
