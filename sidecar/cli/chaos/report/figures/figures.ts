/**
 * The figures of an arm in a drill, from the histories of its runs alone. What each one means is said in `columns.ts`, once for the
 * page, for the CSV file and for readers of this code.
 */
import { checkRun, countByInvariant, uncheckedIn } from '../../history/check.js';
import type { ArmName, ArmRun } from '../../history/record.js';
import type { Invariant } from '../../history/violation.js';
import {
  accuracyLost,
  type CallCounts,
  countCalls,
  duplicatesIn,
  extraAttemptsIn,
  loadOf,
} from './counts.js';
import { latenciesOf, mainModel, quantile } from './latency.js';
import { detectedAfter, ejectedAfter, faultBegin, firstGoodAfter } from './moments.js';
import { recoveriesOf } from './recovery.js';
import { type Span, type Spread, spreadOf } from './span.js';

/** Times of a run. `recoveryLessOneMs` is the one to full recovery with one bad call of each run left out. */
const TIMES = [
  ...(['detectMs', 'ejectMs', 'firstGoodMs', 'recoveryMs', 'recoveryLessOneMs'] as const),
  ...(['p50Ms', 'p99Ms'] as const),
];
type TimeName = (typeof TIMES)[number];

interface RunFigures extends Readonly<Record<TimeName, Span>> {
  readonly counts: CallCounts;
  readonly duplicated: number;
  readonly violations: Readonly<Record<Invariant, number>>;
  readonly extraAttempts: number | undefined;
  readonly cpuUs: number | undefined;
}

/** A time that several runs have; undefined where none has it. */
export type TimeFigure = Spread<number | 'never'> | undefined;

/** Of all runs of one arm in one drill: counts are sums, times have their median and their extremes. */
export interface ArmFigures extends Readonly<Record<TimeName, TimeFigure>> {
  readonly drill: string;
  readonly arm: ArmName;
  readonly runs: number;
  readonly counts: CallCounts;
  readonly duplicated: number;
  /** Share of the calls that got an answer, full or degraded, and not a wrong one; undefined without calls. */
  readonly availability: number | undefined;
  readonly accuracyLost: number | undefined;
  readonly violations: Readonly<Record<Invariant, number>>;
  /** Invariants that cannot be judged here. Absent: all can. */
  readonly unchecked?: readonly Invariant[];
  /** Why a run was stopped before its time. Absent: none was. */
  readonly stopped?: string;
  /** Share of the calls; median of the runs. Undefined where nothing counts them. */
  readonly extraAttempts: number | undefined;
  /** Microseconds for each call; median of the runs. */
  readonly cpuUs: number | undefined;
  /** Failed, wrong and duplicated calls as a share of the calls, run by run. */
  readonly badShares: readonly number[];
}

/** Figures by drill and arm, in the order in which they come first in `runs`. */
export function figuresOf(runs: readonly ArmRun[]): readonly ArmFigures[] {
  const groups = new Map<string, ArmRun[]>();
  for (const run of runs) {
    const key = `${run.drill} ${run.arm}`;
    groups.set(key, [...(groups.get(key) ?? []), run]);
  }
  return [...groups.values()].map(armFigures);
}

/** @param runs of one drill and arm, at least one. */
function armFigures(runs: readonly ArmRun[]): ArmFigures {
  const { drill, arm } = runs[0]!;
  const each = runs.map(runFigures);
  const unchecked = [...new Set(runs.flatMap(uncheckedIn))];
  const stopped = runs.find((run) => run.stopped !== undefined)?.stopped;
  const counts = each.map(({ counts }) => counts).reduce(sumOf);
  const times = TIMES.map((name) => [name, spreadOf(each.map((figures) => figures[name]))] as const);
  return {
    drill,
    arm,
    runs: runs.length,
    counts,
    duplicated: each.reduce((sum, { duplicated }) => sum + duplicated, 0),
    availability: counts.calls === 0 ? undefined : (counts.right + counts.degraded) / counts.calls,
    accuracyLost: accuracyLost(counts),
    violations: each.map(({ violations }) => violations).reduce(sumOf),
    ...(unchecked.length > 0 && { unchecked }),
    ...(stopped !== undefined && { stopped }),
    ...(Object.fromEntries(times) as Record<TimeName, TimeFigure>),
    extraAttempts: medianOf(each.map(({ extraAttempts }) => extraAttempts)),
    cpuUs: medianOf(each.map(({ cpuUs }) => cpuUs)),
    badShares: each.map(({ counts: { calls, failed, wrong }, duplicated }) =>
      calls === 0 ? 0 : (failed + wrong + duplicated) / calls,
    ),
  };
}

/** Latencies are those after the begin of the fault; of a run without one, all. */
function runFigures(run: ArmRun): RunFigures {
  const load = loadOf(run);
  const beginMs = faultBegin(run.marks) ?? Number.NEGATIVE_INFINITY;
  const model = mainModel(load);
  const latencies = latenciesOf(load.filter((call) => call.model === model && call.startMs >= beginMs));
  const { cpuMs, calls } = run;
  const { whole: recoveryMs, lessOne: recoveryLessOneMs } = recoveriesOf(run);
  return {
    counts: countCalls(load),
    duplicated: duplicatesIn(run),
    violations: countByInvariant(checkRun(run)),
    detectMs: detectedAfter(run),
    ejectMs: ejectedAfter(run),
    firstGoodMs: firstGoodAfter(run),
    ...{ recoveryMs, recoveryLessOneMs },
    p50Ms: quantile(latencies, 0.5),
    p99Ms: quantile(latencies, 0.99),
    extraAttempts: extraAttemptsIn(run),
    cpuUs: cpuMs === undefined || calls.length === 0 ? undefined : (cpuMs * 1_000) / calls.length,
  };
}

/** Adds two records of counts, key by key. */
function sumOf<T extends { readonly [Key in keyof T]: number }>(a: T, b: T): T {
  const sum = Object.entries<number>(a).map(([key, value]) => [key, value + b[key as keyof T]]);
  return Object.fromEntries(sum) as T;
}

/** Of the runs that have the figure. */
function medianOf(values: readonly (number | undefined)[]): number | undefined {
  const median = spreadOf(values)?.median;
  return median === 'never' ? undefined : median;
}

/** Failed, wrong and duplicated calls: what an arm is judged by first. */
export function badCalls({ counts: { failed, wrong }, duplicated }: ArmFigures): number {
  return failed + wrong + duplicated;
}
