import type { Alert } from './alert.js';

const CALLER = 'instance="caller:9464",job="outrider"';
const endpoint = (metric: string, name: string) =>
  `${metric}{${CALLER},upstream="digits",endpoint="10.0.0.5:9000",name="${name}"}`;
/** Of the one above, in an alert. */
const ENDPOINT_LABELS = { upstream: 'digits', endpoint: '10.0.0.5:9000', name: 'digits-5' };

/** Endpoints as the sidecars of callers see them. */
export const ENDPOINT_ALERTS: readonly Alert[] = [
  {
    name: 'OutriderNoEndpoint',
    severity: 'critical',
    forMinutes: 1,
    expr: 'outrider:endpoints_eligible:ratio == 0',
    summary: '{{ $labels.upstream }}: {{ $labels.instance }} has no endpoint that takes calls',
    description:
      'No endpoint of {{ $labels.upstream }} has been eligible at {{ $labels.instance }} for a minute.',
    means: 'Calls fail with `outrider-reason: no-endpoint`, or go to a fallback.',
    steps: [
      '`npx outrider status --admin ADMIN` says for each endpoint why: ejected, unhealthy, disconnected.',
      'All disconnected at one caller only: its network or its certificate. At all callers: the service.',
    ],
    test: {
      inputs: {
        [endpoint('outrider_endpoint_eligible', 'a')]: '0x60',
        [endpoint('outrider_endpoint_eligible', 'b')]: '0x60',
      },
      labels: { instance: 'caller:9464', upstream: 'digits' },
    },
  },
  {
    name: 'OutriderNoEndpointKnown',
    severity: 'critical',
    forMinutes: 1,
    // Where calls wait for a service that is started by them, none is as it should be.
    expr: 'sum by (instance, upstream, cluster) (outrider_upstream_endpoints) == 0 unless on (instance, upstream) outrider_cold_start_waiting',
    summary: '{{ $labels.upstream }}: {{ $labels.instance }} knows no endpoint of it',
    description:
      'For a minute {{ $labels.instance }} has known no endpoint of {{ $labels.upstream }}, up or not.',
    means: 'Calls fail with `outrider-reason: no-endpoint`, or go to a fallback.',
    steps: [
      '`npx outrider check --mesh FILE`, with the file of the sidecar or of the mesh, says what Consul or DNS answers; `npx outrider status --consul` lists what is registered.',
      'If none is registered, the service is not deployed, has another name, or its sidecars cannot register.',
      'If some are registered, the token of this sidecar may not read the service.',
    ],
    test: {
      inputs: {
        [`outrider_upstream_endpoints{${CALLER},upstream="digits"}`]: '0x60',
        [`outrider_upstream_endpoints{${CALLER},upstream="woken"}`]: '0x60',
        [`outrider_cold_start_waiting{${CALLER},upstream="woken"}`]: '0x60',
      },
      labels: { instance: 'caller:9464', upstream: 'digits' },
    },
  },
  {
    name: 'OutriderFewEndpoints',
    severity: 'warning',
    forMinutes: 5,
    expr: 'outrider:endpoints_eligible:ratio < 0.5 and outrider:endpoints_eligible:ratio > 0',
    summary: '{{ $labels.upstream }}: {{ $value | humanizePercentage }} of the endpoints take calls',
    description:
      'Fewer than half of the endpoints of {{ $labels.upstream }} have been eligible at {{ $labels.instance }} for 5 minutes.',
    means: 'The others carry the load of all. Below the panic threshold ejections are ignored.',
    steps: ['As with OutriderNoEndpoint.', 'If endpoints are ejected, see OutriderEndpointEjected.'],
    test: {
      inputs: {
        [endpoint('outrider_endpoint_eligible', 'a')]: '1x60',
        [endpoint('outrider_endpoint_eligible', 'b')]: '0x60',
        [endpoint('outrider_endpoint_eligible', 'c')]: '0x60',
        [endpoint('outrider_endpoint_eligible', 'd')]: '0x60',
      },
      labels: { instance: 'caller:9464', upstream: 'digits' },
      value: '25%',
    },
  },
  {
    name: 'OutriderEndpointEjected',
    severity: 'warning',
    forMinutes: 10,
    expr: 'min by (upstream, endpoint, name) (outrider_endpoint_ejected) == 1',
    summary: '{{ $labels.name }} of {{ $labels.upstream }} stays ejected',
    description:
      'Every caller that has {{ $labels.name }} of {{ $labels.upstream }} ({{ $labels.endpoint }}) has had it ejected or on probation for 10 minutes: it does not recover by itself.',
    means: 'The service has one replica less. Callers do not notice while the others have room.',
    steps: [
      '`outrider_ejections_total` by `detector` says why: faults in a row, success ratio, latency, outputs.',
      'Look at its model (`npx outrider status --admin ADMIN` of its own sidecar) and restart or replace it.',
    ],
    test: {
      inputs: { [endpoint('outrider_endpoint_ejected', 'digits-5')]: '1x60' },
      labels: ENDPOINT_LABELS,
    },
  },
  {
    name: 'OutriderEndpointFlaps',
    severity: 'info',
    forMinutes: 0,
    expr: 'sum by (upstream, endpoint, name) (increase(outrider_ejections_total[30m])) > 5',
    summary: '{{ $labels.name }} of {{ $labels.upstream }} is ejected again and again',
    description: 'It was ejected {{ $value | printf "%.0f" }} times in 30 minutes, at all callers together.',
    means: 'It comes back and fails again: the fault comes and goes, or a detector is too strict.',
    steps: ['Compare its latency and outcomes with its peers on the board "Outrider: service".'],
    test: {
      inputs: {
        [endpoint('outrider_ejections_total', 'digits-5').replace('}', ',detector="consecutive-faults"}')]:
          '0 0 1 2 3 4 5 6 7 8 9 10x60',
      },
      labels: ENDPOINT_LABELS,
      value: '10',
      atMinute: 20,
    },
  },
  {
    name: 'OutriderWrongOutputs',
    severity: 'warning',
    forMinutes: 0,
    expr: 'sum by (upstream) (increase(outrider_outputs_inspected_total{result="charged"}[15m])) > 0',
    summary: '{{ $labels.upstream }}: answers were found to be wrong',
    description:
      'In the last 15 minutes a model of {{ $labels.upstream }} gave answers with NaN, infinities or the wrong shape where a peer answered the same request properly.',
    means:
      'A replica gives wrong outputs: damaged weights or memory, or a wrong build. It stays ejected meanwhile.',
    steps: [
      '`npx outrider status` names the endpoint (detector `invalid-output`). Restart it; compare the SHA-256 of its model.',
    ],
    test: {
      inputs: {
        [`outrider_outputs_inspected_total{${CALLER},upstream="digits",result="charged"}`]:
          '0 0 0 0 0 1 2 3x60',
      },
      labels: { upstream: 'digits' },
    },
  },
];
