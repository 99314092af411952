import type { Board } from './panel.js';

const SERVICE = 'direction="outbound",service=~"$service"';
const UPSTREAM = 'upstream=~"$service"';

/** One service as its callers see it: calls, endpoints, what is done about faults. */
export const SERVICE_BOARD: Board = {
  name: 'service',
  title: 'Outrider: service',
  about: 'One service as its callers see it.',
  variables: [
    { name: 'service', metric: 'outrider_calls_total', label: 'service', where: 'direction="outbound"' },
  ],
  rows: [
    {
      title: 'Calls',
      panels: [
        {
          title: 'Calls by status',
          kind: 'timeseries',
          unit: 'reqps',
          about: 'By the gRPC status that the caller got.',
          targets: [
            [
              `sum by (grpc_status) (rate(outrider_calls_total{${SERVICE}}[$__rate_interval]))`,
              '{{grpc_status}}',
            ],
          ],
          isStacked: true,
        },
        {
          title: 'Calls by method and model',
          kind: 'timeseries',
          unit: 'reqps',
          about: 'Methods that routes name; others together.',
          targets: [
            [
              `sum by (method, model) (rate(outrider_calls_total{${SERVICE}}[$__rate_interval]))`,
              '{{method}} {{model}}',
            ],
          ],
        },
        {
          title: 'Latency',
          kind: 'timeseries',
          unit: 's',
          about: 'Quantiles of whole calls with their retries.',
          targets: [50, 90, 99].map(
            (percent) =>
              [
                `histogram_quantile(0.${percent}, sum by (le) (rate(outrider_call_seconds_bucket{${SERVICE}}[$__rate_interval])))`,
                `p${percent}`,
              ] as const,
          ),
        },
        {
          title: 'In flight',
          kind: 'timeseries',
          about: 'Calls that have arrived and not ended.',
          targets: [[`sum by (service) (outrider_calls_in_flight{${SERVICE}})`, '{{service}}']],
        },
      ],
    },
    {
      title: 'Endpoints',
      panels: [
        {
          title: 'State',
          kind: 'state-timeline',
          width: 24,
          about: 'Whether an endpoint takes calls, at the caller that is worst off.',
          targets: [[`min by (endpoint, name) (outrider_endpoint_eligible{${UPSTREAM}})`, '{{name}}']],
          colours: [
            [null, 'red'],
            [1, 'green'],
          ],
          words: { 0: 'no calls', 1: 'takes calls' },
        },
        {
          title: 'Attempts',
          kind: 'timeseries',
          unit: 'reqps',
          about: 'Even lines: the load is spread evenly.',
          targets: [
            [
              `sum by (endpoint, name) (rate(outrider_attempts_total{${UPSTREAM}}[$__rate_interval]))`,
              '{{name}}',
            ],
          ],
        },
        {
          title: 'Failed attempts',
          kind: 'timeseries',
          unit: 'reqps',
          about: 'Faults, refusals and overload, by endpoint.',
          targets: [
            [
              `sum by (endpoint, name, outcome) (rate(outrider_attempt_outcomes_total{${UPSTREAM},outcome=~"fault|refusal|overload"}[$__rate_interval]))`,
              '{{name}} {{outcome}}',
            ],
          ],
        },
        {
          title: 'Latency of endpoints',
          kind: 'timeseries',
          unit: 's',
          about: 'Peak-sensitive average of unary calls; one line above the others is a slow replica.',
          targets: [[`max by (endpoint, name) (outrider_endpoint_ewma_seconds{${UPSTREAM}})`, '{{name}}']],
        },
        {
          title: 'Reported load',
          kind: 'timeseries',
          unit: 'percentunit',
          about: 'Calls that an endpoint has, over those it runs at once.',
          targets: [[`max by (endpoint, name) (outrider_endpoint_reported_load{${UPSTREAM}})`, '{{name}}']],
        },
        {
          title: 'Ejections',
          kind: 'timeseries',
          unit: 'ops',
          about: 'Enforced, by detector.',
          targets: [
            [
              `sum by (endpoint, name, detector) (rate(outrider_ejections_total{${UPSTREAM}}[$__rate_interval]))`,
              '{{name}} {{detector}}',
            ],
          ],
        },
        {
          title: 'Not enforced',
          kind: 'timeseries',
          unit: 'ops',
          about: 'A detector tripped and nothing was ejected: why.',
          targets: [
            [
              `sum by (detector, reason) (rate(outrider_ejections_not_enforced_total{${UPSTREAM}}[$__rate_interval]))`,
              '{{detector}}: {{reason}}',
            ],
          ],
        },
      ],
    },
    {
      title: 'Retries, hedges, breakers, fallbacks',
      panels: [
        {
          title: 'Retries',
          kind: 'timeseries',
          unit: 'reqps',
          about: 'Attempts beyond the first, and those that the budget refused.',
          targets: [
            [`sum(rate(outrider_retries_total{${SERVICE}}[$__rate_interval]))`, 'retries'],
            [`sum(rate(outrider_retry_budget_refused_total{${UPSTREAM}}[$__rate_interval]))`, 'refused'],
          ],
        },
        {
          title: 'Hedges',
          kind: 'timeseries',
          unit: 'reqps',
          about: 'Second copies of late calls, and how many won.',
          targets: [
            [`sum(rate(outrider_hedges_total{${UPSTREAM}}[$__rate_interval]))`, 'sent'],
            [`sum(rate(outrider_hedges_won_total{${UPSTREAM}}[$__rate_interval]))`, 'won'],
          ],
        },
        {
          title: 'Breaker',
          kind: 'timeseries',
          unit: 'ops',
          about: 'Times a bound was hit.',
          targets: [
            [
              `sum by (limit) (rate(outrider_breaker_open_total{${UPSTREAM}}[$__rate_interval]))`,
              '{{limit}}',
            ],
          ],
        },
        {
          title: 'Fallback',
          kind: 'state-timeline',
          about: 'Whether calls go to the fallback at once.',
          targets: [[`max by (method) (outrider_fallback_active{${UPSTREAM}})`, '{{method}}']],
          colours: [
            [null, 'green'],
            [1, 'orange'],
          ],
          words: { 0: 'primary', 1: 'fallback' },
        },
      ],
    },
    {
      title: 'Splits and mirrors',
      panels: [
        {
          title: 'Split',
          kind: 'timeseries',
          unit: 'reqps',
          about: 'Calls of split routes, by the upstream that got them.',
          targets: [[`sum by (to) (rate(outrider_split_total{${UPSTREAM}}[$__rate_interval]))`, '{{to}}']],
          isStacked: true,
        },
        {
          title: 'Mirror',
          kind: 'timeseries',
          unit: 'percentunit',
          about: 'Share of compared copies that ended otherwise than their call.',
          targets: [
            [
              `sum by (to) (rate(outrider_mirror_mismatched_total{${UPSTREAM}}[$__rate_interval])) / sum by (to) (rate(outrider_mirror_compared_total{${UPSTREAM}}[$__rate_interval]))`,
              '{{to}}',
            ],
          ],
        },
      ],
    },
  ],
};
