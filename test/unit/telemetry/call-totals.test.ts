import assert from 'node:assert/strict';
import { CallStats } from '../../../sidecar/telemetry/call-stats.js';
import { callTotals } from '../../../sidecar/telemetry/call-totals.js';

describe('call totals', () => {
  it('add up the methods of a service, each direction by itself', () => {
    const a = new CallStats('outbound', 'digits', 'x');
    const b = new CallStats('outbound', 'digits', 'y');
    const own = new CallStats('inbound', 'digits', 'x');
    for (const [stats, status, ms] of [
      [a, 0, 0.4],
      [a, 14, 3],
      [b, 5, 70_000],
      [own, 0, 1],
    ] as const) {
      stats.begin();
      stats.finish(status, ms);
    }
    a.begin();
    const [out, inbound] = callTotals([a, b, own]);
    assert.deepEqual([out!.kind, out!.calls, out!.failed], ['outbound digits', 3, 1]);
    assert.deepEqual([out!.times[0], out!.times[3], out!.times[16]], [1, 1, 1]);
    assert.deepEqual([inbound!.kind, inbound!.calls], ['inbound digits', 1]);
  });
});
