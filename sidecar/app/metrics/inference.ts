import { batchSizes, type ModelStatistics } from '../../codec/statistics.js';
import type { ModelBackend } from '../../inbound/model-backend.js';
import type { HistogramSample, Metric } from '../../telemetry/metric.js';
import { metric, metricsOver } from '../../telemetry/metric-rows.js';
import type { ProcessMemory, StatisticsReader } from '../models/statistics-reader.js';

const NS_PER_US = 1_000;

/**
 * Metrics of models by Triton's names, with the statistics that their processes give; times in microseconds, as Triton's.
 *
 * A request counts once, a batch of n rows as n inferences and one execution (Triton, docs/user_guide/metrics.md). What
 * waits in the queue of the sidecar has not reached a process, so it is counted here. The batch sizes of our own are a
 * histogram over runs.
 */
export function inferenceMetrics(reader: StatisticsReader, backends: readonly ModelBackend[]): Metric[] {
  const models = reader.statistics();
  const perModel = metricsOver(models, ({ name, version }) => ({ model: name, version }));
  const count = (key: string) => (each: ModelStatistics) => each.counts.get(key) ?? 0;
  const us =
    (...parts: readonly string[]) =>
    (each: ModelStatistics) =>
      Math.round(parts.reduce((sum, part) => sum + count(`${part}.ns`)(each), 0) / NS_PER_US);
  return [
    perModel.metric('nv_inference_request_success', count('success.count')),
    perModel.metric('nv_inference_request_failure', count('fail.count')),
    perModel.metric('nv_inference_count', count('inference_count')),
    perModel.metric('nv_inference_exec_count', count('execution_count')),
    perModel.metric('nv_inference_request_duration_us', us('success')),
    perModel.metric('nv_inference_queue_duration_us', us('queue')),
    perModel.metric('nv_inference_compute_input_duration_us', us('compute_input')),
    perModel.metric('nv_inference_compute_infer_duration_us', us('compute_infer')),
    perModel.metric('nv_inference_compute_output_duration_us', us('compute_output')),
    perModel.metric('nv_inference_pending_request_count', (each) => pendingOf(each, backends)),
    {
      kind: 'histogram',
      name: 'outrider_model_batch_size',
      help: 'Rows of each run of a model.',
      samples: models.map(batchSample),
    },
    metric('outrider_model_memory_bytes', reader.memory().map(memorySample)),
  ];
}

/** Calls that wait before the model; where versions are not told apart, those of all. */
function pendingOf({ name, version }: ModelStatistics, backends: readonly ModelBackend[]): number {
  const own = backends.filter(
    (each) => each.name === name && (each.version === '' || each.version === version),
  );
  return own.flatMap(({ queues }) => queues.all).reduce((sum, { queue }) => sum + queue.waiting, 0);
}

const BOUNDS = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1_024];

/** Runs by their rows. A size beyond 64 is told as the power of two below, which lies within the same bucket or one lower. */
function batchSample({ name, version, counts }: ModelStatistics): HistogramSample {
  const buckets = BOUNDS.map(() => 0);
  let total = 0;
  let sum = 0;
  for (const size of batchSizes(counts)) {
    const runs = counts.get(`batch.${size}.compute_infer.count`) ?? 0;
    total += runs;
    sum += size * runs;
    for (const [i, bound] of BOUNDS.entries()) if (size <= bound) buckets[i]! += runs;
  }
  return { labels: { model: name, version }, bounds: BOUNDS, counts: [...buckets, total], sum };
}

/** One for each process: instances of a version do not share memory. */
function memorySample({ host, bytes }: ProcessMemory) {
  const { model = '', version = '', instance } = host;
  return {
    labels: { model, version, ...(instance === undefined ? {} : { instance: String(instance) }) },
    value: bytes,
  };
}
