import assert from 'node:assert/strict';
import { edgeCounts } from '../../../../sidecar/cli/page/edge-counts.js';

const PAGE = `# HELP outrider_calls_total Calls.
# TYPE outrider_calls_total counter
outrider_calls_total{direction="outbound",service="digits",method="m",grpc_status="OK"} 90
outrider_calls_total{direction="outbound",service="digits",method="n",grpc_status="UNAVAILABLE"} 7
outrider_calls_total{direction="outbound",service="digits",method="n",grpc_status="NOT_FOUND"} 3
outrider_calls_total{direction="inbound",service="web",method="n",grpc_status="INTERNAL"} 1000
outrider_call_seconds_bucket{le="+Inf",direction="outbound",service="digits",method="m"} 100
outrider_call_seconds_bucket{le="0.01",direction="outbound",service="digits",method="m"} 50
outrider_call_seconds_bucket{le="0.01",direction="outbound",service="digits",method="n"} 10
`;

describe('the counts of a scrape', () => {
  it('are added up for each service that is called, and fail by statuses of the service only', () => {
    assert.deepEqual(
      [...edgeCounts(PAGE)],
      [
        [
          'digits',
          {
            calls: 100,
            failed: 7,
            within: [
              [0.01, 60],
              [Number.POSITIVE_INFINITY, 100],
            ],
          },
        ],
      ],
    );
  });
});
