import type { Board, Target } from './panel.js';

/** As the sidecars of callers see it: each answer once, also where it was continued at another engine. */
const CALLS = 'direction="outbound",gen_ai_request_model=~"$service",caller=~"$caller"';

/** As the sidecars of the engines see it. */
const ENGINES = 'direction="inbound",gen_ai_request_model=~"$service",caller=~"$caller"';

/** Quantiles of a histogram. */
const quantiles = (name: string): Target[] =>
  [50, 90, 99].map(
    (percent) =>
      [
        `histogram_quantile(0.${percent}, sum by (le) (rate(${name}_bucket{${CALLS}}[$__rate_interval])))`,
        `p${percent}`,
      ] as const,
  );
const rateOf = (series: string, by: string, type: string): string =>
  `sum by (${by}) (rate(${series}{${CALLS},gen_ai_token_type="${type}"}[$__rate_interval]))`;
const USAGE = 'gen_ai_client_token_usage_sum';
const MODEL = 'gen_ai_request_model';

/** Language-model engines: how long their callers wait for tokens, and how many they get. */
export const ENGINE_BOARD: Board = {
  name: 'engine',
  title: 'Outrider: engines',
  about: 'Language-model engines, as the sidecars of their callers see them.',
  variables: [
    { name: 'service', metric: 'gen_ai_client_token_usage_count', label: MODEL },
    { name: 'caller', metric: 'gen_ai_client_token_usage_count', label: 'caller' },
  ],
  rows: [
    {
      title: 'Time',
      panels: [
        {
          title: 'Time to first token',
          kind: 'timeseries',
          unit: 's',
          about: 'From the call to its first token, with queues and retries.',
          targets: quantiles('gen_ai_server_time_to_first_token_seconds'),
        },
        {
          title: 'Time per output token',
          kind: 'timeseries',
          unit: 's',
          about: 'After the first message, in the mean of each answer, with the gap of a resumption.',
          targets: quantiles('gen_ai_server_time_per_output_token_seconds'),
        },
      ],
    },
    {
      title: 'Tokens',
      panels: [
        {
          title: 'Output tokens per second',
          kind: 'timeseries',
          about: 'That went to callers, each once.',
          targets: [[rateOf(USAGE, MODEL, 'output'), '{{gen_ai_request_model}}']],
        },
        {
          title: 'Input tokens per second',
          kind: 'timeseries',
          about: 'Of prompts; those that engines had in their caches are among them.',
          targets: [
            [rateOf(USAGE, MODEL, 'input'), '{{gen_ai_request_model}}'],
            [
              `sum by (${MODEL}) (rate(outrider_engine_cached_tokens_total{${CALLS}}[$__rate_interval]))`,
              'cached: {{gen_ai_request_model}}',
            ],
          ],
        },
        {
          title: 'Cached share of prompts',
          kind: 'timeseries',
          unit: 'percentunit',
          about: 'Low although prompts begin alike: balance by the prompt (prefix, or hash_on).',
          targets: [
            [
              `sum by (${MODEL}) (rate(outrider_engine_cached_tokens_total{${CALLS}}[$__rate_interval])) / ${rateOf(USAGE, MODEL, 'input')}`,
              '{{gen_ai_request_model}}',
            ],
          ],
        },
        {
          title: 'Tokens per second by caller',
          kind: 'timeseries',
          about: 'Input and output together.',
          targets: [[`sum by (caller) (rate(${USAGE}{${CALLS}}[$__rate_interval]))`, '{{caller}}']],
          isStacked: true,
        },
        {
          title: 'Length of answers',
          kind: 'timeseries',
          about: 'Quantiles of the output tokens of a call.',
          targets: [50, 99].map(
            (percent) =>
              [
                `histogram_quantile(0.${percent}, ${rateOf('gen_ai_client_token_usage_bucket', 'le', 'output')})`,
                `p${percent}`,
              ] as const,
          ),
        },
        {
          title: 'Answers continued elsewhere',
          kind: 'timeseries',
          unit: 'ops',
          about: 'Answers that another engine continued after theirs had died or frozen.',
          targets: [
            [
              'sum by (upstream) (rate(outrider_streams_resumed_total{upstream=~"$service"}[$__rate_interval]))',
              '{{upstream}}',
            ],
          ],
        },
      ],
    },
    {
      title: 'Load',
      panels: [
        {
          title: 'Calls in flight',
          kind: 'timeseries',
          about: 'As callers have them: waiting or being answered.',
          targets: [
            [
              'sum by (service) (outrider_calls_in_flight{direction="outbound",service=~"$service"})',
              '{{service}}',
            ],
          ],
        },
        {
          title: 'Waiting tokens',
          kind: 'timeseries',
          about:
            'Prompts and max_tokens of the calls that wait before each engine: what replicas are scaled by.',
          targets: [['sum by (instance) (outrider_queue_waiting_tokens)', '{{instance}}']],
        },
        {
          title: 'Time to first token by engine',
          kind: 'timeseries',
          unit: 's',
          about: 'The 90th percentile as the sidecar of each engine sees it: its queue and its prefill.',
          targets: [
            [
              `histogram_quantile(0.9, sum by (le, instance) (rate(gen_ai_server_time_to_first_token_seconds_bucket{${ENGINES}}[$__rate_interval])))`,
              '{{instance}}',
            ],
          ],
        },
        {
          title: 'Load by engine',
          kind: 'timeseries',
          about:
            'Calls over those that an engine runs at once, as its sidecar reports it. Above 1: calls wait.',
          targets: [
            [
              'max by (upstream, name) (outrider_endpoint_reported_load{upstream=~"$service"})',
              '{{name}} of {{upstream}}',
            ],
          ],
        },
      ],
    },
  ],
};
