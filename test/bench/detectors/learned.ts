/** A learned model for comparison: logistic regression on what our detectors look at, trained on all streams but the one that is watched. */
import type { Second, Stream } from './stream-file.js';
import type { Subject } from './subjects.js';

/** Seconds of which features are made. */
const WINDOW_S = 5;
/** Seconds at the begin of a stream that say what is usual there. */
const USUAL_S = 25;
const ROUNDS = 2_000;
const RATE = 0.3;
/** Weights are kept small: there are few streams. */
const RIDGE = 1e-3;
/** An alarm from this probability on, two seconds in a row. */
const ALARM = 0.9;

type Features = readonly number[];

/** A detector that was trained on other streams than the one of this name. */
export function learnedFindings(streams: readonly Stream[]): {
  readonly name: string;
  readonly what: string;
  readonly makeFor: (stream: string) => Subject;
} {
  return {
    name: 'logistic',
    what: 'learned: logistic regression on the same signals, each stream left out in turn',
    makeFor: (stream) => watcher(train(streams.filter(({ name }) => name !== stream))),
  };
}

function watcher(weights: readonly number[]): Subject {
  const seen: Second[] = [];
  let usual: Usual | undefined;
  let inARow = 0;
  return {
    sees(second) {
      seen.push(second);
      if (seen.length === USUAL_S) usual = usualOf(seen);
      if (usual === undefined) return false;
      const p = probability(weights, featuresOf(seen.slice(-WINDOW_S), usual));
      if (seen.length > 2 * USUAL_S) seen.splice(0, seen.length - WINDOW_S);
      inARow = p >= ALARM ? inARow + 1 : 0;
      return inARow >= 2;
    },
  };
}

function train(streams: readonly Stream[]): number[] {
  const rows: { readonly x: Features; readonly y: number }[] = streams.flatMap(({ seconds, faultFrom }) => {
    const usual = usualOf(seconds.slice(0, USUAL_S));
    return seconds.slice(USUAL_S).map((_, i) => {
      const at = USUAL_S + i + 1;
      const isFaulty = faultFrom !== undefined && at > faultFrom + WINDOW_S;
      return { x: featuresOf(seconds.slice(at - WINDOW_S, at), usual), y: isFaulty ? 1 : 0 };
    });
  });
  const weights = rows[0]!.x.map(() => 0);
  for (let round = 0; round < ROUNDS; round++) {
    const gradient = weights.map((weight) => RIDGE * weight);
    for (const { x, y } of rows) {
      const error = probability(weights, x) - y;
      x.forEach((value, i) => {
        gradient[i]! += (error * value) / rows.length;
      });
    }
    gradient.forEach((step, i) => {
      weights[i]! -= RATE * step;
    });
  }
  return weights;
}

interface Usual {
  readonly median: number;
  readonly p95: number;
  readonly residentMib: number;
}

function usualOf(seconds: readonly Second[]): Usual {
  const sorted = sortedLatencies(seconds);
  return { median: at(sorted, 0.5), p95: at(sorted, 0.95), residentMib: seconds.at(-1)?.residentMib ?? 0 };
}

/** Logarithms of median, 95th percentile and memory over what is usual; failures, calls there, and 1. */
function featuresOf(seconds: readonly Second[], usual: Usual): Features {
  const sorted = sortedLatencies(seconds);
  const faults = seconds.reduce((sum, each) => sum + each.faults, 0);
  const last = seconds.at(-1)!;
  const over = (value: number, base: number): number => (value > 0 && base > 0 ? Math.log(value / base) : 0);
  return [
    over(at(sorted, 0.5), usual.median),
    over(at(sorted, 0.95), usual.p95),
    over(last.residentMib, usual.residentMib),
    (10 * faults) / Math.max(1, faults + sorted.length),
    Math.log1p(last.queue),
    1,
  ];
}

function probability(weights: readonly number[], x: Features): number {
  return 1 / (1 + Math.exp(-x.reduce((sum, value, i) => sum + value * weights[i]!, 0)));
}

function sortedLatencies(seconds: readonly Second[]): number[] {
  return seconds.flatMap(({ latencies }) => latencies).sort((a, b) => a - b);
}

function at(sorted: readonly number[], ratio: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(ratio * sorted.length))] ?? 0;
}
