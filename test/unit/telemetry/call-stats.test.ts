import assert from 'node:assert/strict';
import { CallStats, LATENCY_BOUNDS_MS, StatsRegistry } from '../../../sidecar/telemetry/call-stats.js';

describe('the counters of calls of one kind', () => {
  it('put a call of 1 ms and one of half a minute into buckets with an end, so that quantiles tell them apart', () => {
    const stats = new CallStats('outbound', 'writer', '/m');
    for (const elapsedMs of [1, 9_000, 29_000, 45_000, 61_000]) {
      stats.begin();
      stats.finish(0, elapsedMs);
    }
    const filled = [...stats.latency].flatMap((count, i) => (count === 0 ? [] : [LATENCY_BOUNDS_MS[i]]));
    assert.deepEqual(filled, [1, 10_000, 30_000, 60_000, undefined]);
    assert.deepEqual([stats.inFlight, stats.started, stats.byStatus[0]], [0, 5, 5]);
  });

  it('count a status that gRPC does not have as UNKNOWN', () => {
    const stats = new CallStats('inbound', 'writer', '/m');
    for (const status of [17, -1, 2]) stats.finish(status, 1);
    assert.equal(stats.byStatus[2], 3);
  });

  it('are the same ones where an upstream has gone and come back', () => {
    const registry = new StatsRegistry();
    const kind = { direction: 'outbound', service: 'writer', method: '/m' } as const;
    const stats = registry.callStats(kind);
    assert.equal(registry.callStats({ ...kind }), stats);
    assert.notEqual(registry.callStats({ ...kind, method: '/n' }), stats);
    assert.notEqual(registry.callStats({ ...kind, model: 'm' }), stats);
    assert.equal(registry.calls.length, 3);
  });
});
