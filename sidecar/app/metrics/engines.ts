import type { Buckets, EngineStats, EngineTable } from '../../telemetry/engine-stats.js';
import type { HistogramSample, Metric } from '../../telemetry/metric.js';
import { metricsOver } from '../../telemetry/metric-rows.js';

/** What is done at an engine, by the word of the conventions: it gets tokens and makes more. */
const OPERATION = 'text_completion';

/**
 * Metrics of calls of language-model engines, by the names, labels and buckets of OpenTelemetry's conventions for generative AI as
 * Prometheus has them. There are none before the first such call.
 */
export function engineMetrics({ all }: EngineTable): Metric[] {
  if (all.length === 0) return [];
  const times = (of: (stats: EngineStats) => Buckets): HistogramSample[] =>
    all.map((stats) => sampleOf(labelsOf(stats), of(stats)));
  return [
    {
      kind: 'histogram',
      name: 'gen_ai_client_token_usage',
      help: 'Tokens of each call: of its prompt (input), and those that went to its caller (output), each once.',
      samples: all.flatMap((stats) => [
        sampleOf({ ...labelsOf(stats), gen_ai_token_type: 'input' }, stats.inputTokens),
        sampleOf({ ...labelsOf(stats), gen_ai_token_type: 'output' }, stats.outputTokens),
      ]),
    },
    {
      kind: 'histogram',
      name: 'gen_ai_server_time_to_first_token_seconds',
      help: 'Time from the arrival of a call to the first token that went to its caller, with queues and retries.',
      samples: times(({ firstToken }) => firstToken),
    },
    {
      kind: 'histogram',
      name: 'gen_ai_server_time_per_output_token_seconds',
      help: 'Of each call: time for each token after the first message, in the mean, with the gap of a resumption.',
      samples: times(({ perToken }) => perToken),
    },
    metricsOver(all, labelsOf).metric(
      'outrider_engine_cached_tokens_total',
      ({ cachedTokens }) => cachedTokens,
    ),
  ];
}

function labelsOf({ direction, service, caller, engine }: EngineStats): Record<string, string> {
  return {
    direction,
    caller,
    gen_ai_request_model: service,
    gen_ai_provider_name: engine,
    gen_ai_operation_name: OPERATION,
  };
}

function sampleOf(
  labels: Readonly<Record<string, string>>,
  { bounds, counts, sum }: Buckets,
): HistogramSample {
  let total = 0;
  const cumulative = Array.from(counts, (n) => {
    total += n;
    return total;
  });
  return { labels, bounds, counts: cumulative, sum };
}
