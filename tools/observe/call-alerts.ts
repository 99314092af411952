import type { Alert } from './alert.js';
import { THRESHOLDS } from './recording-rules.js';

const CALLER = 'instance="caller:9464",job="outrider"';
const calls = (status: string) =>
  `outrider_calls_total{${CALLER},direction="outbound",service="digits",method="m",grpc_status="${status}"}`;
const bucket = (le: string) =>
  `outrider_call_seconds_bucket{${CALLER},direction="outbound",service="digits",method="m",le="${le}"}`;
/** Fewer calls than this a second are too few to speak of a ratio. */
const ENOUGH = 'outrider:calls:rate5m > 0.1';

const burn = (factor: number, short: string, long: string): string => {
  const limit = `${factor} * ${THRESHOLDS.errorRatio.objective}`;
  return [
    `outrider:call_errors:ratio_rate${short} > on (service) ${limit}`,
    `outrider:call_errors:ratio_rate${long} > on (service) ${limit}`,
    ENOUGH,
  ].join(' and ');
};

const BURN_MEANS =
  'Calls fail so often that the service will miss its objective for the month (`outrider:threshold:error_ratio`). These are failures that callers see, after retries and fallbacks.';

/** What callers notice. */
export const CALL_ALERTS: readonly Alert[] = [
  {
    name: 'OutriderErrorBudgetBurnsFast',
    severity: 'critical',
    forMinutes: 2,
    expr: burn(14.4, '5m', '1h'),
    summary: '{{ $labels.service }}: {{ $value | humanizePercentage }} of the calls fail',
    description:
      'Over 5 minutes and over an hour, calls of {{ $labels.service }} failed more than 14.4 times as often as the objective allows: two percent of the budget of 30 days go in an hour.',
    means: BURN_MEANS,
    steps: [
      'See the board "Outrider: service": by status, by endpoint, by reason. If it is one endpoint, `outrider_ejections_not_enforced_total` says why it was not ejected. If it is all, look at the model and what it calls.',
      '`npx outrider status` says for each endpoint why it takes no calls.',
      '`outrider_local_replies_total` says by reason what the sidecar itself refused.',
    ],
    test: {
      inputs: { [calls('OK')]: '0+80x120', [calls('UNAVAILABLE')]: '0+20x120' },
      labels: { service: 'digits' },
      value: '20%',
    },
  },
  {
    name: 'OutriderErrorBudgetBurns',
    severity: 'warning',
    forMinutes: 15,
    expr: burn(6, '30m', '6h'),
    summary: '{{ $labels.service }}: {{ $value | humanizePercentage }} of the calls fail',
    description:
      'Over half an hour and over 6 hours, calls of {{ $labels.service }} failed more than 6 times as often as the objective allows: five percent of the budget of 30 days go in 6 hours.',
    means: BURN_MEANS,
    steps: ['As with OutriderErrorBudgetBurnsFast, in working hours.'],
    test: {
      inputs: { [calls('OK')]: '0+90x120', [calls('INTERNAL')]: '0+10x120' },
      labels: { service: 'digits' },
      value: '10%',
    },
  },
  {
    name: 'OutriderLatencyOverBudget',
    severity: 'warning',
    forMinutes: 10,
    expr: `outrider:call_seconds:p99_5m > on (service) ${THRESHOLDS.p99Seconds.objective} and ${ENOUGH}`,
    summary: '{{ $labels.service }}: one call of 100 takes over {{ $value | humanizeDuration }}',
    description:
      'The 99th percentile of the calls of {{ $labels.service }}, as callers see it, has been above `outrider:threshold:p99_seconds` for 10 minutes.',
    means:
      'Callers wait longer than was agreed. Streams count with their whole length: leave their methods out, or set the threshold for their service.',
    steps: [
      'Board "Outrider: service": does one endpoint stand out (EWMA), or do all? Is it the queue before the model (board "Outrider: model": waiting), or the model itself (compute time)?',
      'Waiting: more replicas, or a larger `inbound.queue.concurrency` if the model has room.',
      'One slow endpoint: the detector `latency` of `ejection` ejects it; `hedge` on idempotent methods covers single late calls.',
    ],
    test: {
      inputs: {
        [calls('OK')]: '0+100x60',
        [bucket('1')]: '0+90x60',
        [bucket('2.5')]: '0+100x60',
        [bucket('+Inf')]: '0+100x60',
      },
      labels: { service: 'digits' },
      value: '2.35s',
    },
  },
  {
    name: 'OutriderFallbackInUse',
    severity: 'warning',
    forMinutes: 5,
    expr: 'max by (upstream, method) (outrider_fallback_active) == 1',
    summary: '{{ $labels.upstream }}: calls go to the fallback at once',
    description:
      'The primary of {{ $labels.upstream }} ({{ $labels.method }}) kept failing, and calls have been answered by the fallback for 5 minutes.',
    means: 'Callers get degraded answers (`outrider-degraded`): correct in form, worse in content or older.',
    steps: [
      'Repair the primary: its endpoints are on the board "Outrider: service".',
      'The sidecar tries the primary now and then, and returns to it by itself.',
    ],
    test: {
      inputs: { [`outrider_fallback_active{${CALLER},upstream="digits",method="m"}`]: '1x60' },
      labels: { upstream: 'digits', method: 'm' },
    },
  },
  {
    name: 'OutriderRetryBudgetSpent',
    severity: 'warning',
    forMinutes: 5,
    expr: 'sum by (upstream) (rate(outrider_retry_budget_refused_total[5m])) > 0.1',
    summary: '{{ $labels.upstream }}: retries are refused for lack of budget',
    description:
      'More calls of {{ $labels.upstream }} fail than retries are allowed for ({{ $value | humanize }} refused a second): extra attempts would make an overload worse.',
    means: 'Single faults that retries used to hide now reach callers.',
    steps: [
      'Find out why so many attempts fail (`outrider_attempt_outcomes_total` by endpoint and outcome).',
      'Raise `budget` of the upstream only if the endpoints have room.',
    ],
    test: {
      inputs: { [`outrider_retry_budget_refused_total{${CALLER},upstream="digits"}`]: '0+60x60' },
      labels: { upstream: 'digits' },
      value: '1',
    },
  },
  {
    name: 'OutriderBreakerOpen',
    severity: 'warning',
    forMinutes: 5,
    expr: 'sum by (upstream, limit) (rate(outrider_breaker_open_total[5m])) > 0.1',
    summary: '{{ $labels.upstream }}: the circuit breaker refuses calls ({{ $labels.limit }})',
    description:
      'Calls of {{ $labels.upstream }} hit the bound `{{ $labels.limit }}` {{ $value | humanize }} times a second.',
    means: 'Callers get RESOURCE_EXHAUSTED with `outrider-reason: breaker-open` before the call is sent.',
    steps: [
      'Endpoints that answer slowly fill the bound: look at their latency first.',
      'If the load is wanted and the endpoints have room, raise the bound under `breaker`.',
    ],
    test: {
      inputs: { [`outrider_breaker_open_total{${CALLER},upstream="digits",limit="in-flight"}`]: '0+60x60' },
      labels: { upstream: 'digits', limit: 'in-flight' },
      value: '1',
    },
  },
  {
    name: 'OutriderFaultDrill',
    severity: 'info',
    forMinutes: 0,
    // A frozen process strikes no call that is counted, and a drill without calls neither.
    expr: 'sum by (instance, direction, kind) (increase(outrider_faults_injected_total[5m])) > 0 or sum by (instance, direction, kind) (outrider_faults_active) > 0',
    summary: 'A drill injects faults at {{ $labels.instance }}',
    description:
      'A fault of kind {{ $labels.kind }} ({{ $labels.direction }}) is on, or has struck calls in the last 5 minutes.',
    means: 'Somebody injected a fault on purpose. It can cause other alerts.',
    steps: ['`curl http://ADMIN/faults` lists them, `curl -X DELETE http://ADMIN/faults` ends them.'],
    test: {
      inputs: {
        [`outrider_faults_active{${CALLER},direction="inbound",kind="freeze"}`]: '1+0x60',
      },
      labels: { instance: 'caller:9464', direction: 'inbound', kind: 'freeze' },
    },
  },
];
