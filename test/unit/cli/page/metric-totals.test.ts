import assert from 'node:assert/strict';
import { metricTotals } from '../../../../sidecar/cli/page/metric-totals.js';

const PAGE = `# HELP outrider_calls_total Calls.
# TYPE outrider_calls_total counter
outrider_calls_total{direction="outbound",service="digits",method="m",grpc_status="OK"} 90
outrider_calls_total{direction="outbound",service="digits",method="n",grpc_status="UNAVAILABLE"} 7
outrider_calls_total{direction="outbound",service="digits",method="n",grpc_status="NOT_FOUND"} 3
outrider_calls_total{direction="inbound",service="web",method="n",grpc_status="INTERNAL"} 1000
outrider_call_seconds_bucket{le="+Inf",direction="outbound",service="digits",method="m"} 100
outrider_call_seconds_bucket{le="0.01",direction="outbound",service="digits",method="m"} 50
outrider_call_seconds_bucket{le="0.01",direction="outbound",service="digits",method="n"} 10
outrider_call_seconds_bucket{le="0.03",direction="outbound",service="digits",method="n"} 65
`;

describe('the totals of a scrape', () => {
  it('are added up for each service, and fail by statuses of the service only', () => {
    const [digits, web] = metricTotals(PAGE);
    assert.deepEqual([digits!.kind, digits!.calls, digits!.failed], ['outbound digits', 100, 7]);
    assert.deepEqual([web!.kind, web!.calls, web!.failed], ['inbound web', 1_000, 1_000]);
  });

  it('have times in the buckets of this version; those of another bound go to the next one', () => {
    const { times } = metricTotals(PAGE)[0]!;
    // 10 ms, 50 ms for a bound of 30 ms, and the rest.
    assert.deepEqual([times[4], times[6], times[16], times.length], [60, 5, 35, 17]);
  });
});
