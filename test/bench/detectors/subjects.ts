/** What is compared: our detectors, alone and together, and thresholds on moving averages. */
import { EndpointForesight } from '../../../sidecar/core/foresight/endpoint-foresight.js';
import { MemoryTrend } from '../../../sidecar/core/foresight/memory-trend.js';
import type { Second } from './stream-file.js';

/** A detector that sees one second after another. */
export interface Subject {
  /** Whether it gives an alarm now. */
  sees(second: Second, nowMs: number): boolean;
}

export interface SubjectEntry {
  readonly name: string;
  readonly what: string;
  readonly make: () => Subject;
}

/** Ours on an endpoint's calls, as the sidecar of a caller sees them; of the detectors, one or all. */
function foresight(only?: 'latency' | 'errors' | 'queue'): Subject {
  const endpoint = new EndpointForesight();
  let successes = 0;
  let failed = 0;
  return {
    sees({ latencies, faults, queue }, nowMs) {
      for (const ms of latencies) endpoint.recent.record(0, ms);
      successes += latencies.length;
      failed += faults;
      endpoint.look({ successes, faults: failed, calls: queue }, () => 0, nowMs);
      endpoint.judge({ shift: 0, faults: 0, growth: 0 }, nowMs);
      return only === undefined ? endpoint.suspicion.isSuspect : endpoint[only].level >= 0.5;
    },
  };
}

/** Streams are short: a value of the trend is three seconds instead of a minute. */
function memory(): Subject {
  const trend = new MemoryTrend({ lookMs: 1_000, looks: 3 });
  return {
    sees({ residentMib }) {
      if (residentMib > 0) trend.observe(residentMib * 2 ** 20, 0);
      return trend.suspicion !== undefined;
    },
  };
}

/** Calls from which an average and its spread are learned. */
const LEARN = 400;
const WEIGHT = 0.05;

/**
 * An exponentially weighted average of each latency (Roberts 1959) above a limit.
 * @param limitOf from mean and deviation of the first calls.
 */
function ewma(limitOf: (mean: number, deviation: number) => number): Subject {
  let calls = 0;
  let sum = 0;
  let squares = 0;
  let average = 0;
  let limit = Number.POSITIVE_INFINITY;
  return {
    sees({ latencies }) {
      let alarm = false;
      for (const ms of latencies) {
        calls += 1;
        if (calls <= LEARN) {
          sum += ms;
          squares += ms * ms;
          if (calls < LEARN) continue;
          average = sum / LEARN;
          limit = limitOf(average, Math.sqrt(Math.max(0, squares / LEARN - average ** 2)));
          continue;
        }
        average += (ms - average) * WEIGHT;
        alarm ||= average > limit;
      }
      return alarm;
    },
  };
}

/** The same of failures, above 6 %. */
function ewmaOfErrors(): Subject {
  let average = 0;
  return {
    sees({ latencies, faults }) {
      for (let i = 0; i < latencies.length; i++) average -= average * 0.02;
      for (let i = 0; i < faults; i++) average += (1 - average) * 0.02;
      return average > 0.06;
    },
  };
}

/** Any of them. */
function any(...subjects: readonly Subject[]): Subject {
  return { sees: (second, nowMs) => subjects.map((each) => each.sees(second, nowMs)).includes(true) };
}

/** Five standard deviations of the average of independent values. */
const fiveSigma = (mean: number, deviation: number): number =>
  mean + 5 * deviation * Math.sqrt(WEIGHT / (2 - WEIGHT));

/** In the order of the table. */
export const DETECTOR_SUBJECTS: readonly SubjectEntry[] = [
  { name: 'foresight', what: 'all of ours on calls', make: () => foresight() },
  { name: 'latency-shift', what: 'ours: latency', make: () => foresight('latency') },
  { name: 'error-shift', what: 'ours: failures', make: () => foresight('errors') },
  { name: 'queue-trend', what: 'ours: calls there', make: () => foresight('queue') },
  { name: 'memory-trend', what: 'ours: memory, beside the model', make: memory },
  {
    name: 'ewma-5-sigma',
    what: 'moving averages: 5 deviations, 6 % failed',
    make: () => any(ewma(fiveSigma), ewmaOfErrors()),
  },
  {
    name: 'ewma-doubled',
    what: 'moving averages: twice the mean, 6 % failed',
    make: () =>
      any(
        ewma((mean) => 2 * mean),
        ewmaOfErrors(),
      ),
  },
];
