/** What the sidecars of a soak hold, over time, and whether it grows. */

import { sumOfSamples } from '../../kit/process/metrics-page.js';

/** What is looked at, and by how much it may grow between the two halves of a run: a share of it, and so much in any case. */
const BOUNDS = {
  rssMb: { share: 0.05, least: 8 },
  heapMb: { share: 0.1, least: 4 },
  descriptors: { share: 0, least: 8 },
  timers: { share: 0, least: 16 },
  /** Lines of the page of metrics: every label that is kept has some. */
  series: { share: 0.02, least: 8 },
} as const;

export type Gauge = keyof typeof BOUNDS;
export const GAUGES = Object.keys(BOUNDS) as readonly Gauge[];

/** One look at one sidecar. */
export interface Sample {
  readonly atMs: number;
  /** When its process began, seconds since 1970: another one holds other things. */
  readonly startedS: number;
  readonly values: Readonly<Record<Gauge, number>>;
}

/** Reads a page of `/metrics`. */
export function sampleOf(page: string, atMs: number): Sample {
  const of = (name: string, labels: Readonly<Record<string, string>> = {}) =>
    sumOfSamples(page, name, labels);
  return {
    atMs,
    startedS: of('process_start_time_seconds'),
    values: {
      rssMb: of('process_resident_memory_bytes') / 1e6,
      heapMb: of('process_heap_bytes') / 1e6,
      descriptors: of('process_open_fds'),
      timers: of('process_active_resources', { type: 'Timeout' }),
      series: page.split('\n').filter((line) => line !== '' && !line.startsWith('#')).length,
    },
  };
}

/** How one gauge of one process went. */
export interface Course {
  readonly gauge: Gauge;
  readonly first: number;
  readonly last: number;
  /** Medians of both halves differ by no more than the bound. */
  readonly isFlat: boolean;
}

/** Samples that are too few to judge by. */
const FEWEST = 12;

/**
 * The course of each gauge of one process after `fromMs`, as medians of the first and of the last half of its samples.
 *
 * @returns empty where there are fewer than twelve samples
 */
export function coursesOf(samples: readonly Sample[], fromMs: number): Course[] {
  const after = samples.filter(({ atMs }) => atMs >= fromMs);
  if (after.length < FEWEST) return [];
  const middle = after.length >> 1;
  return GAUGES.map((gauge) => {
    const values = after.map((sample) => sample.values[gauge]);
    const [first, last] = [median(values.slice(0, middle)), median(values.slice(middle))];
    const { share, least } = BOUNDS[gauge];
    return { gauge, first, last, isFlat: last - first <= Math.max(least, share * first) };
  });
}

/** The samples of each process that `samples` are of, in the order of time. */
export function byProcess(samples: readonly Sample[]): readonly (readonly Sample[])[] {
  const processes = new Map<number, Sample[]>();
  for (const sample of samples) {
    const of = processes.get(sample.startedS);
    if (of === undefined) processes.set(sample.startedS, [sample]);
    else of.push(sample);
  }
  return [...processes.values()];
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[sorted.length >> 1] ?? 0;
}
