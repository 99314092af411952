/** Endpoints that answer calls at random, second by second, for tests of the detectors that foresee trouble. */
import { EndpointForesight } from '../../../sidecar/core/foresight/endpoint-foresight.js';
import { judgeAll } from '../../../sidecar/core/foresight/judge.js';
import type { Random } from '../../../sidecar/runtime/random.js';

/** What an endpoint does in one second. */
export interface Behaviour {
  /** Latency of one call, ms. */
  readonly latencyMs: () => number;
  readonly callsPerSecond?: number;
  /** Share of the calls that fail; default 0.2 %, which is ordinary. */
  readonly failing?: number;
  /** Kind of the next call; default 0. */
  readonly kind?: () => number;
  /** Calls there at its end. */
  readonly queue?: number;
}

/** Normal numbers (Box and Muller 1958). */
export function normal(random: Random): number {
  return Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
}

/**
 * Latencies like those that our notes measured: lognormal with a deviation of 0.17, each like the one before it (0.44).
 * @param medianMs may change from call to call.
 */
export function likeMeasured(
  random: Random,
  medianMs: () => number,
  deviation = 0.17,
  alike = 0.44,
): () => number {
  let z = 0;
  return () => {
    z = alike * z + Math.sqrt(1 - alike * alike) * normal(random);
    return medianMs() * Math.exp(deviation * z);
  };
}

/** Evenly on a logarithmic scale. */
export function between(random: Random, leastMs: number, mostMs: number): () => number {
  return () => leastMs * (mostMs / leastMs) ** random();
}

/** Times at which suspicions rose, by endpoint; in seconds. */
export interface Alarms {
  readonly rose: readonly number[][];
  readonly why: readonly string[];
  readonly endpoints: readonly EndpointForesight[];
}

/** Watches these endpoints for so many seconds; arrivals are Poisson. `behave` says what each does in a second. */
export function watch(
  endpoints: number,
  seconds: number,
  random: Random,
  behave: (endpoint: number, second: number) => Behaviour,
): Alarms {
  const all = Array.from({ length: endpoints }, () => new EndpointForesight());
  const rose = all.map((): number[] => []);
  const why = all.map(() => '');
  const totals = all.map(() => ({ successes: 0, faults: 0 }));
  for (let second = 0; second < seconds; second += 1) {
    const nowMs = second * 1_000;
    all.forEach((each, i) => {
      const {
        latencyMs,
        callsPerSecond = 40,
        failing = 0.002,
        kind = () => 0,
        queue = 1,
      } = behave(i, second);
      const calls = poisson(random, callsPerSecond);
      let faults = 0;
      for (let call = 0; call < calls; call += 1) {
        if (random() < failing) faults += 1;
        else each.recent.record(kind(), latencyMs());
      }
      const total = totals[i]!;
      total.successes += calls - faults;
      total.faults += faults;
      each.look({ ...total, calls: queue }, () => 0, nowMs);
    });
    judgeAll(all, nowMs).forEach((change, i) => {
      if (change !== 'rose') return;
      rose[i]!.push(second);
      why[i] ||= all[i]!.suspicion.why;
    });
  }
  return { rose, why, endpoints: all };
}

function poisson(random: Random, mean: number): number {
  if (mean > 50) return Math.max(0, Math.round(mean + Math.sqrt(mean) * normal(random)));
  const left = Math.exp(-mean);
  let count = 0;
  for (let product = random(); product > left; product *= random()) count += 1;
  return count;
}

/**
 * Observations between false alarms, in the mean, of independent normal ones (Siegmund 1985, with the correction of 1.166 for
 * the overshoot). Latencies are neither independent nor normal: what is observed here are medians of blocks, which come near it.
 *
 * @param slack and `threshold` in standard deviations of an observation; both above 0.
 * @param shift of the mean, in standard deviations: with it, the result is the delay of the detection.
 */
export function averageRunLength(slack: number, threshold: number, shift = 0): number {
  const drift = shift - slack;
  const bound = threshold + 1.166;
  if (Math.abs(drift) < 1e-9) return bound * bound;
  return (Math.exp(-2 * drift * bound) + 2 * drift * bound - 1) / (2 * drift * drift);
}
