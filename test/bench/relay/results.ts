/** From single runs to what is reported: medians, spread, ratios, and which bars are met. Pure. */

import { seeded } from '../../kit/time/seeded-random.js';
import { PLAIN } from '../subjects/outrider-config.js';
import type { Figures } from './measure.js';
import type { Compared, Mode } from './modes.js';

/** A figure over several runs. */
export interface Spread {
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

/** What is summed up over the runs of one subject. */
const MEASURES = ['cpuUs', 'perSecond', 'p50Us', 'p99Us', 'rssMb', 'loadCpuUs', 'readyMs'] as const;

/** The figures of one subject in one mode. */
export interface SubjectResult extends Spreads<(typeof MEASURES)[number]> {
  readonly name: string;
  readonly isPeer: boolean;
  /** What the mode compares, run by run: those of all subjects with the same index were measured one after another. */
  readonly values: readonly number[];
  /** Calls of all runs; each of them was executed once and ended with status 0, or `problems` says otherwise. */
  readonly calls: number;
  readonly problems: readonly string[];
}

/** A figure over several runs, for each measure. */
export type Spreads<Measure extends string> = Readonly<Record<Measure, Spread>>;

/** Median, least and most of each measure over all runs. */
export function spreadsOf<Measure extends string>(
  runs: readonly Readonly<Record<Measure, number>>[],
  measures: readonly Measure[],
): Spreads<Measure> {
  const entries = measures.map((measure) => [measure, spreadOf(runs.map((run) => run[measure]))]);
  return Object.fromEntries(entries);
}

/** `undecided`: the bar lies within what the runs leave open, and that is more than a tenth to either side. */
export type BarResult = 'aim' | 'bar' | 'missed' | 'undecided' | 'not measured';

/** Where a ratio lies with a probability of 95 %. */
export interface Interval {
  readonly from: number;
  readonly to: number;
}

/** One mode: all subjects, and ours against the best peer. */
export type ModeResult = ReturnType<typeof judge>;

/** Median, least and most of at least one value. */
export function spreadOf(values: readonly number[]): Spread {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const median = sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
  return { median, min: sorted[0]!, max: sorted[sorted.length - 1]! };
}

/** The runs of one subject as one result. */
export function summarise(
  { name, isPeer }: Pick<SubjectResult, 'name' | 'isPeer'>,
  runs: readonly Figures[],
  mode: Mode,
): SubjectResult {
  return {
    name,
    isPeer,
    values: runs.map((run) => run[measureOf(mode)]),
    ...spreadsOf(runs, MEASURES),
    calls: runs.reduce((sum, r) => sum + r.calls, 0),
    problems: runs.filter((r) => r.problem !== '').map((r) => r.problem),
  };
}

const MEASURE_OF = {
  cpu: 'cpuUs',
  'paced-p99': 'p99Us',
  'added-p99': 'p99Us',
  'idle-memory': 'rssMb',
  ready: 'readyMs',
} as const satisfies Record<Compared, (typeof MEASURES)[number]>;

function measureOf({ compares }: Pick<Mode, 'compares'>) {
  return MEASURE_OF[compares];
}

const UNIT_OF = {
  cpu: ' µs CPU',
  'paced-p99': ' µs at p99',
  'added-p99': ' µs added at p99',
  'idle-memory': ' MB',
  ready: ' ms',
} as const satisfies Record<Compared, string>;

/** What the mode compares, of one run, with its unit. */
export function valueIn(mode: Mode, figures: Figures): string {
  const value = figures[measureOf(mode)];
  return `${value < 10 ? value.toFixed(2) : value < 100 ? value.toFixed(1) : Math.round(value)}${UNIT_OF[mode.compares]}`;
}

/** The figure that the mode compares. */
export function compared(mode: Pick<Mode, 'compares'>, subject: SubjectResult): Spread {
  return subject[measureOf(mode)];
}

/** Compares ours with the best peer whose runs add up. `ratePerSecond`: of a paced mode. */
export function judge(mode: Mode, subjects: readonly SubjectResult[], ratePerSecond?: number) {
  const { name, title, compares, bar, aim, isAbsolute } = mode;
  const sound = subjects.filter((s) => s.problems.length === 0);
  const medianOf = (s: SubjectResult): number => compared(mode, s).median;
  const ours = sound.find((s) => s.name === PLAIN);
  const best = sound
    .filter((s) => s.isPeer)
    .reduce<SubjectResult | undefined>((a, b) => (a && medianOf(a) <= medianOf(b) ? a : b), undefined);
  // Other builds or settings of ours; `cost`: ÷ ours as it is by default, and where that lies.
  const variants = sound
    .filter((s) => s.name.startsWith(`${PLAIN}-`))
    .map((s) => ({
      name: s.name,
      ...(ours && { cost: medianOf(s) / medianOf(ours), costInterval: intervalOf(s.values, ours.values) }),
      ...beside(mode, s, best),
    }));
  return {
    ...{ name, title, compares, bar, aim, isAbsolute, subjects, variants },
    ...(ratePerSecond !== undefined && { ratePerSecond }),
    ...(best && { bestPeer: best.name }),
    ...beside(mode, ours, best),
  };
}

interface Verdict {
  /** ÷ best peer's, or the figure itself where the bar is absolute. */
  readonly ratio?: number;
  readonly interval?: Interval;
  readonly verdict: BarResult;
}

function beside(mode: Mode, s: SubjectResult | undefined, best: SubjectResult | undefined): Verdict {
  if (s === undefined || (best === undefined && !mode.isAbsolute)) return { verdict: 'not measured' };
  const others = mode.isAbsolute ? s.values.map(() => 1) : best!.values;
  const ratio = compared(mode, s).median / spreadOf(others).median;
  const interval = intervalOf(s.values, others);
  return { ratio, interval, verdict: verdictOn(mode, ratio, interval) };
}

/** A bar is missed when all of the interval lies beyond it. */
function verdictOn({ bar, aim }: Mode, ratio: number, { from, to }: Interval): BarResult {
  if (from > bar) return 'missed';
  if (ratio <= aim) return 'aim';
  if (ratio <= bar) return 'bar';
  return Math.max(to - ratio, ratio - from) > UNDECIDED * ratio ? 'undecided' : 'bar';
}

/** To either side of the ratio. */
const UNDECIDED = 0.1;
const RESAMPLES = 2_000;

/**
 * The interval of the ratio of two medians by bootstrap: runs are drawn with replacement, those that were measured one
 * after another together (Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13: percentile method).
 */
export function intervalOf(ours: readonly number[], others: readonly number[]): Interval {
  const random = seeded(1);
  const count = Math.min(ours.length, others.length);
  const ratios = Array.from({ length: RESAMPLES }, () => {
    const drawn = Array.from({ length: count }, () => Math.floor(random() * count));
    return spreadOf(drawn.map((i) => ours[i]!)).median / spreadOf(drawn.map((i) => others[i]!)).median;
  }).sort((a, b) => a - b);
  return { from: ratios[Math.floor(RESAMPLES * 0.025)]!, to: ratios[Math.floor(RESAMPLES * 0.975)]! };
}

/** Slope of the least-squares line through the points; 0 for fewer than two. */
export function slopeOf(points: readonly { readonly x: number; readonly y: number }[]): number {
  if (points.length < 2) return 0;
  const meanX = points.reduce((sum, p) => sum + p.x, 0) / points.length;
  const meanY = points.reduce((sum, p) => sum + p.y, 0) / points.length;
  const above = points.reduce((sum, p) => sum + (p.x - meanX) * (p.y - meanY), 0);
  const below = points.reduce((sum, p) => sum + (p.x - meanX) ** 2, 0);
  return below === 0 ? 0 : above / below;
}
