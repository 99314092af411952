/** ModelStatistics: counts and durations of a model, or of all, since they were loaded. */

import type * as pb from '../../../proto/messages.js';
import type { Model } from '../models/model.js';
import type { Duration } from '../runs/statistics.js';
import type { UnaryHandler } from './call.js';
import { findModel, type Serving } from './serving.js';

/** NOT_FOUND for an unknown model; without a name all models, and without a version all of its versions. */
export function modelStatistics(
  serving: Serving,
): UnaryHandler<pb.ModelStatisticsRequest, pb.ModelStatisticsResponse> {
  return ({ name, version }, _call, reply) => {
    const asked = name ? [findModel(serving, name, version)] : serving.models.all();
    const models = name && !version ? serving.models.all(name) : asked;
    // The process's memory is told once, by the first model: Triton does so for each backend.
    const memory = process.memoryUsage.rss();
    reply(undefined, { model_stats: models.map((model, i) => statisticsOf(model, i === 0 ? memory : 0)) });
  };
}

function statisticsOf({ name, version, stats }: Model, memory: number): pb.ModelStatistics {
  return {
    name,
    version,
    last_inference: Math.round(stats.lastInferenceMs),
    inference_count: stats.inferences,
    execution_count: stats.executions,
    inference_stats: {
      success: durationOf(stats.success),
      fail: durationOf(stats.fail),
      queue: durationOf(stats.queue),
      compute_input: durationOf(stats.input),
      compute_infer: durationOf(stats.infer),
      compute_output: durationOf(stats.output),
    },
    batch_stats: [...stats.batches].map(([size, { input, infer, output }]) => ({
      batch_size: size,
      compute_input: durationOf(input),
      compute_infer: durationOf(infer),
      compute_output: durationOf(output),
    })),
    memory_usage: memory === 0 ? [] : [{ type: 'CPU', id: 0, byte_size: memory }],
  };
}

function durationOf({ count, ms }: Duration): pb.StatisticDuration {
  return { count, ns: Math.round(ms * 1e6) };
}
