import type { Metric } from '../metric.js';
import { MetricWriter } from './metric-writer.js';
import type { SeriesStarts } from './series-starts.js';

/** So many samples are encoded in one turn of the event loop, in about a millisecond. */
const TURN_SAMPLES = 200;
/** A request is not begun anew below this, bytes. Servers of gRPC take 4 MiB unless they are told otherwise. */
const REQUEST_BYTES = 512 * 1024;

/** Metrics for one request, encoded. */
export interface Part {
  readonly metrics: Buffer;
  readonly points: number;
}

/** The metrics at one time, for as many requests as they need. */
export interface Snapshot {
  readonly parts: readonly Part[];
  /** Samples that were left out, because they are no numbers that OTLP takes. */
  readonly invalid: number;
}

/**
 * Encodes metrics; of two with the same name the first, as for a scrape. Yields where a turn of the event loop should end.
 *
 * @param timeMs when they were read, ms since 1970.
 */
export function* encodeSnapshot(
  metrics: readonly Metric[],
  timeMs: number,
  starts: SeriesStarts,
): Generator<void, Snapshot> {
  const parts: Part[] = [];
  const writer = new MetricWriter(starts);
  const take = (): void => {
    const { points } = writer;
    parts.push({ points, metrics: writer.take() });
  };
  const names = new Set<string>();
  let left = TURN_SAMPLES;
  starts.begin(timeMs);
  for (const metric of metrics) {
    if (names.has(metric.name)) continue;
    names.add(metric.name);
    for (let from = 0; from < metric.samples.length; ) {
      const next = writer.write(metric, { from, most: left, bytes: REQUEST_BYTES }, timeMs);
      left -= next - from;
      from = next;
      if (writer.bytes >= REQUEST_BYTES) take();
      if (left > 0) continue;
      left = TURN_SAMPLES;
      yield;
    }
  }
  starts.end(timeMs);
  if (writer.points > 0) take();
  return { parts, invalid: writer.invalid };
}
