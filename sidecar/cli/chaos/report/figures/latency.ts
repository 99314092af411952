/**
 * Quantiles of latencies, exact: a run has few enough calls to sort all of them.
 */
import type { CallRecord } from '../../history/record.js';

/** The value below which the share `ratio` of the sorted values lies (nearest rank); undefined without values. */
export function quantile(sorted: readonly number[], ratio: number): number | undefined {
  return sorted[Math.max(0, Math.ceil(sorted.length * ratio) - 1)];
}

/** The model that most calls are of: latencies of different models are not mixed. `digits` without calls. */
export function mainModel(calls: readonly CallRecord[]): CallRecord['model'] {
  const counts = new Map<CallRecord['model'], number>();
  for (const { model } of calls) counts.set(model, (counts.get(model) ?? 0) + 1);
  return [...counts].sort(([, a], [, b]) => b - a)[0]?.[0] ?? 'digits';
}

/** The calls that got an answer. Those that failed have no latency: how fast an error comes says nothing good. */
export function answered(calls: readonly CallRecord[]): readonly CallRecord[] {
  return calls.filter(({ status, answers }) => status === 0 && answers > 0);
}

/** Latencies of the calls that got an answer, in ms, sorted. */
export function latenciesOf(calls: readonly CallRecord[]): readonly number[] {
  return answered(calls)
    .map(({ startMs, endMs }) => endMs - startMs)
    .sort((a, b) => a - b);
}
