/** From single runs to what is reported: medians, spread, ratios, and which bars are met. Pure. */

import { PLAIN } from '../subjects/outrider-config.js';
import type { Figures } from './measure.js';
import type { Mode } from './modes.js';

/** A figure over several runs. */
export interface Spread {
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

/** What is summed up over the runs of one subject. */
const MEASURES = ['cpuUs', 'perSecond', 'p50Us', 'p99Us', 'rssMb', 'loadCpuUs'] as const;

/** The figures of one subject in one mode. */
export interface SubjectResult extends Spreads<(typeof MEASURES)[number]> {
  readonly name: string;
  readonly isPeer: boolean;
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

export type BarResult = 'aim' | 'bar' | 'missed' | 'not measured';

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
): SubjectResult {
  return {
    name,
    isPeer,
    ...spreadsOf(runs, MEASURES),
    calls: runs.reduce((sum, r) => sum + r.calls, 0),
    problems: runs.filter((r) => r.problem !== '').map((r) => r.problem),
  };
}

/** The figure that the mode compares. */
export function compared({ compares }: Pick<Mode, 'compares'>, subject: SubjectResult): Spread {
  return compares === 'cpu' ? subject.cpuUs : subject.p99Us;
}

/** Compares ours with the best peer whose runs add up. `ratePerSecond`: of a paced mode. */
export function judge(mode: Mode, subjects: readonly SubjectResult[], ratePerSecond?: number) {
  const { name, title, compares, bar, aim } = mode;
  const sound = subjects.filter((s) => s.problems.length === 0);
  const medianOf = (s: SubjectResult): number => compared(mode, s).median;
  const ours = sound.find((s) => s.name === PLAIN);
  const best = sound
    .filter((s) => s.isPeer)
    .reduce<SubjectResult | undefined>((a, b) => (a && medianOf(a) <= medianOf(b) ? a : b), undefined);
  /** `ratio`: ÷ best peer's. */
  const beside = (s: SubjectResult | undefined): { readonly ratio?: number; readonly verdict: BarResult } => {
    if (best === undefined || s === undefined) return { verdict: 'not measured' };
    const ratio = medianOf(s) / medianOf(best);
    return { ratio, verdict: ratio <= aim ? 'aim' : ratio <= bar ? 'bar' : 'missed' };
  };
  // Other builds or settings of ours; `cost`: ÷ ours as it is by default.
  const variants = sound
    .filter((s) => s.name.startsWith(`${PLAIN}-`))
    .map((s) => ({ name: s.name, ...(ours && { cost: medianOf(s) / medianOf(ours) }), ...beside(s) }));
  return {
    ...{ name, title, compares, bar, aim, subjects, variants },
    ...(ratePerSecond !== undefined && { ratePerSecond }),
    ...(best && { bestPeer: best.name }),
    ...beside(ours),
  };
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
