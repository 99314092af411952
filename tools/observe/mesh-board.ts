import { BAD_FROM_1, type Board, GOOD_RATIO } from './panel.js';

/** All services and sidecars at a glance. */
export const MESH_BOARD: Board = {
  name: 'mesh',
  title: 'Outrider: mesh',
  about: 'All services and sidecars at a glance. Numbers of calls are those of the sidecars of callers.',
  variables: [
    { name: 'service', metric: 'outrider_calls_total', label: 'service', where: 'direction="outbound"' },
  ],
  rows: [
    {
      title: 'Now',
      panels: [
        {
          title: 'Sidecars',
          kind: 'stat',
          about: 'Sidecars that are scraped.',
          targets: [['sum(up{job="outrider"})', 'sidecars']],
        },
        {
          title: 'Not scraped',
          kind: 'stat',
          about: 'Sidecars that do not answer.',
          targets: [['sum(up{job="outrider"} == bool 0)', 'down']],
          colours: BAD_FROM_1,
        },
        {
          title: 'Calls',
          kind: 'stat',
          unit: 'reqps',
          about: 'Calls a second.',
          targets: [['sum(outrider:calls:rate5m{service=~"$service"})', 'calls']],
        },
        {
          title: 'Success',
          kind: 'stat',
          unit: 'percentunit',
          about: 'Share of the calls that did not fail for their service.',
          targets: [
            [
              '1 - sum(outrider:call_errors:ratio_rate5m{service=~"$service"} * outrider:calls:rate5m) / sum(outrider:calls:rate5m{service=~"$service"})',
              'success',
            ],
          ],
          colours: GOOD_RATIO,
        },
        {
          title: 'Ejected',
          kind: 'stat',
          about: 'Endpoints that at least one caller has ejected.',
          targets: [
            ['count(max by (upstream, endpoint) (outrider_endpoint_ejected) == 1) or vector(0)', 'ejected'],
          ],
          colours: BAD_FROM_1,
        },
        {
          title: 'Alerts',
          kind: 'stat',
          about: 'Alerts of Outrider that fire.',
          targets: [['count(ALERTS{alertname=~"Outrider.*",alertstate="firing"}) or vector(0)', 'firing']],
          colours: BAD_FROM_1,
        },
      ],
    },
    {
      title: 'Calls',
      panels: [
        {
          title: 'Calls by service',
          kind: 'timeseries',
          unit: 'reqps',
          about: 'Calls a second, as callers see them.',
          targets: [['outrider:calls:rate5m{service=~"$service"}', '{{service}}']],
        },
        {
          title: 'Failed calls',
          kind: 'timeseries',
          unit: 'percentunit',
          about: 'Share of the calls that failed, after retries and fallbacks.',
          targets: [['outrider:call_errors:ratio_rate5m{service=~"$service"}', '{{service}}']],
        },
        {
          title: 'Latency',
          kind: 'timeseries',
          unit: 's',
          about: 'Median and 99th percentile of whole calls.',
          targets: [
            ['outrider:call_seconds:p50_5m{service=~"$service"}', '{{service}} p50'],
            ['outrider:call_seconds:p99_5m{service=~"$service"}', '{{service}} p99'],
          ],
        },
        {
          title: 'Local replies',
          kind: 'timeseries',
          unit: 'reqps',
          about: 'Calls that sidecars answered themselves, by outrider-reason.',
          targets: [['sum by (reason) (rate(outrider_local_replies_total[$__rate_interval]))', '{{reason}}']],
          isStacked: true,
        },
      ],
    },
    {
      title: 'What the mesh does about faults',
      panels: [
        {
          title: 'Endpoints that take calls',
          kind: 'timeseries',
          unit: 'percentunit',
          about: 'By upstream and caller.',
          targets: [['outrider:endpoints_eligible:ratio', '{{upstream}} at {{instance}}']],
        },
        {
          title: 'Ejections',
          kind: 'timeseries',
          unit: 'ops',
          about: 'By what found the endpoint out.',
          targets: [
            [
              'sum by (upstream, detector) (rate(outrider_ejections_total[$__rate_interval]))',
              '{{upstream}} {{detector}}',
            ],
          ],
        },
        {
          title: 'Extra attempts',
          kind: 'timeseries',
          unit: 'reqps',
          about: 'Retries and hedges, and retries that the budget refused.',
          targets: [
            [
              'sum by (service) (rate(outrider_retries_total{direction="outbound"}[$__rate_interval]))',
              'retries {{service}}',
            ],
            ['sum by (upstream) (rate(outrider_hedges_total[$__rate_interval]))', 'hedges {{upstream}}'],
            [
              'sum by (upstream) (rate(outrider_retry_budget_refused_total[$__rate_interval]))',
              'refused {{upstream}}',
            ],
          ],
        },
        {
          title: 'Degraded answers',
          kind: 'timeseries',
          unit: 'reqps',
          about: 'Calls that a fallback answered.',
          targets: [
            [
              'sum by (upstream, from, why) (rate(outrider_degraded_answers_total[$__rate_interval]))',
              '{{upstream}} from {{from}}: {{why}}',
            ],
          ],
        },
      ],
    },
    {
      title: 'Sidecars',
      panels: [
        {
          title: 'Sidecars',
          kind: 'table',
          width: 24,
          about: 'Name, service and version of each.',
          targets: [['outrider_info', '']],
        },
      ],
    },
  ],
};
