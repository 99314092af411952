/** From single runs to what is reported: medians, spread, ratios, and which bars are met. Pure. */

import { PLAIN } from '../subjects/outrider-config.js';
import type { Machine } from './machine.js';
import type { Figures } from './measure.js';
import type { Mode } from './modes.js';

/** A figure over several runs. */
export interface Spread {
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

/** The figures of one subject in one mode. */
export interface SubjectResult {
  readonly name: string;
  readonly isPeer: boolean;
  readonly cpuUs: Spread;
  readonly perSecond: Spread;
  readonly p50Us: Spread;
  readonly p99Us: Spread;
  readonly rssMb: Spread;
  readonly loadCpuUs: Spread;
  /** Calls of all runs; each of them was executed once and ended with status 0, or `problems` says otherwise. */
  readonly calls: number;
  readonly problems: readonly string[];
}

export type BarResult = 'aim' | 'bar' | 'missed' | 'not measured';

/** One mode: all subjects, and ours against the best peer. */
export interface ModeResult {
  readonly name: string;
  readonly title: string;
  readonly compares: Mode['compares'];
  readonly bar: number;
  readonly aim: number;
  /** Calls per second of a paced mode. */
  readonly ratePerSecond?: number;
  readonly subjects: readonly SubjectResult[];
  readonly bestPeer?: string;
  /** Ours ÷ best peer's. */
  readonly ratio?: number;
  readonly verdict: BarResult;
  /** Other builds or settings of ours. */
  readonly variants: readonly Variant[];
}

/** Another build or another setting of ours. */
export interface Variant {
  readonly name: string;
  /** ÷ ours as it is by default. */
  readonly cost?: number;
  /** ÷ best peer's. */
  readonly ratio?: number;
  readonly verdict: BarResult;
}

/** All modes, and the machine they were measured on. */
export interface Report {
  readonly machine: Machine;
  readonly versions: Readonly<Record<string, string>>;
  readonly runs: number;
  readonly modes: readonly ModeResult[];
}

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
  const of = (pick: (run: Figures) => number): Spread => spreadOf(runs.map(pick));
  return {
    name,
    isPeer,
    cpuUs: of((r) => r.cpuUs),
    perSecond: of((r) => r.perSecond),
    p50Us: of((r) => r.p50Us),
    p99Us: of((r) => r.p99Us),
    rssMb: of((r) => r.rssMb),
    loadCpuUs: of((r) => r.loadCpuUs),
    calls: runs.reduce((sum, r) => sum + r.calls, 0),
    problems: runs.filter((r) => r.problem !== '').map((r) => r.problem),
  };
}

/** The figure that the mode compares. */
export function compared(mode: Mode, subject: SubjectResult): Spread {
  return mode.compares === 'cpu' ? subject.cpuUs : subject.p99Us;
}

/** Compares ours with the best peer whose runs add up. */
export function judge(mode: Mode, subjects: readonly SubjectResult[], ratePerSecond?: number): ModeResult {
  const { name, title, compares, bar, aim } = mode;
  const sound = subjects.filter((s) => s.problems.length === 0);
  const medianOf = (s: SubjectResult): number => compared(mode, s).median;
  const ours = sound.find((s) => s.name === PLAIN);
  const best = sound
    .filter((s) => s.isPeer)
    .reduce<SubjectResult | undefined>((a, b) => (a && medianOf(a) <= medianOf(b) ? a : b), undefined);
  const beside = (s: SubjectResult | undefined): Pick<ModeResult, 'ratio' | 'verdict'> => {
    if (best === undefined || s === undefined) return { verdict: 'not measured' };
    const ratio = medianOf(s) / medianOf(best);
    return { ratio, verdict: ratio <= aim ? 'aim' : ratio <= bar ? 'bar' : 'missed' };
  };
  const variants = sound
    .filter((s) => s.name.startsWith(`${PLAIN}-`))
    .map((s) => ({
      name: s.name,
      ...(ours === undefined ? {} : { cost: medianOf(s) / medianOf(ours) }),
      ...beside(s),
    }));
  return {
    ...{ name, title, compares, bar, aim, subjects, variants },
    ...(ratePerSecond === undefined ? {} : { ratePerSecond }),
    ...(best === undefined ? {} : { bestPeer: best.name }),
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
