import assert from 'node:assert/strict';
import { checkExpression, OF_PROMETHEUS } from '../../../../tools/observe/expression.js';

const others = { ...OF_PROMETHEUS, 'outrider:calls:rate5m': ['service'] };

describe('the check of an expression', () => {
  for (const expression of [
    'up{job="outrider"} == 0',
    'sum by (service, le) (rate(outrider_call_seconds_bucket{direction="outbound",le!="x"}[5m])) > 0.1',
    'outrider:calls:rate5m{service=~"a|b"} * on (service) group_left () outrider:calls:rate5m offset 5m',
    'increase(nv_inference_count{model="a\\"}b"}[30m]) or vector(0)',
    'max without (endpoint) (outrider_endpoint_ejected) == bool 1',
  ])
    it(`takes ${expression}`, () => checkExpression(expression, others));

  for (const [expression, problem] of [
    ['sum(outrider_call_total)', /there is no metric outrider_call_total$/],
    ['outrider_calls_total{grpc_code="OK"}', /outrider_calls_total has no label grpc_code$/],
    ['outrider_calls_total{direction="outbound",le="1"}', /has no label le$/],
    ['sum by (endpoint) (rate(outrider_calls_total[5m]))', /no metric of it has the label endpoint$/],
    ['up / on (upstream) outrider_info', /no metric of it has the label upstream$/],
    ['rate(outrider_calls_in_flight[5m])', /outrider_calls_in_flight is no counter/],
    ['sum(outrider_info) # all', /not read from "# all" on$/],
    ['rat(outrider_calls_total[5m])', /there is no metric rat$/],
  ] as const)
    it(`refuses ${expression}`, () => {
      assert.throws(() => checkExpression(expression, others), problem);
    });
});
