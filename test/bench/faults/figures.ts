/** From the calls of one run to its figures, and from the figures of all runs to which was better. Pure. */

import { untilSingle } from '../../drills/models/protocol.js';
import { type Spread, spreadOf } from '../relay/results.js';
import type { Calls } from './protocol.js';
import { CAPACITY, type FaultRow, type Times } from './rows.js';

/** What callers noticed of one fault in one run. */
export interface FaultFigures {
  /** OK in the time of the fault, as a share of what was sent then, or of what could be served if that is less. */
  readonly served: number;
  /** Of those that ended with OK, since they were due. */
  readonly p99Ms: number;
  /** Times a model began to work, for each call; 1 where most were refused without work. */
  readonly attempts: number;
  /** Until the victim got single calls at most: one in half a second. Infinity: it never came to that. */
  readonly leftAfterMs: number;
  /** From the end of the fault to the end of the last call after it that failed; 0: none did. */
  readonly wellAfterMs: number;
}

export const MEASURES = ['served', 'p99Ms', 'attempts', 'leftAfterMs', 'wellAfterMs'] as const;
export type Measure = (typeof MEASURES)[number];
export type FaultSpreads = Readonly<Record<Measure, Spread>>;

/** What was recorded in one run. */
export interface Observed {
  readonly calls: Calls;
  /** When each model began to work, since the beginning of the schedule; the victims come first. */
  readonly runs: readonly (readonly number[])[];
}

const OK = 0;

/** The figures of one run. */
export function figuresOf(row: FaultRow, times: Times, { calls, runs }: Observed): FaultFigures {
  const fromMs = times.steadyMs;
  const toMs = fromMs + times.faultMs;
  const indices = calls.dueMs.map((_, i) => i);
  const sent = indices.filter((i) => calls.dueMs[i]! >= fromMs && calls.dueMs[i]! < toMs);
  const ok = sent.filter((i) => calls.status[i] === OK);
  const servable = (CAPACITY * row.replicas * times.faultMs) / 1_000;
  // Where not all can be served, what was served after the end is not goodput of this time.
  const ended = ok.filter((i) => calls.dueMs[i]! + calls.tookMs[i]! < toMs);
  const isWithin = (atMs: number): boolean => atMs >= fromMs && atMs < toMs;
  const began = runs.flat().filter(isWithin).length;
  const bad = indices.filter((i) => calls.dueMs[i]! >= toMs && calls.status[i] !== OK);
  return {
    served: sent.length > servable ? ended.length / servable : ok.length / sent.length,
    p99Ms: p99(ok.map((i) => calls.tookMs[i]!)),
    attempts: Math.max(1, began / sent.length),
    leftAfterMs: row.isToBeLeft
      ? (untilSingle(runs[0]!.filter(isWithin), fromMs, toMs) ?? Number.POSITIVE_INFINITY)
      : 0,
    wellAfterMs: Math.max(0, ...bad.map((i) => calls.dueMs[i]! + calls.tookMs[i]! - toMs)),
  };
}

function p99(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * 0.99))] ?? Number.POSITIVE_INFINITY;
}

/** Median, least and most of each figure over all runs. */
export function spreadsOf(runs: readonly FaultFigures[]): FaultSpreads {
  const of = (measure: Measure): Spread => spreadOf(runs.map((run) => run[measure]));
  return Object.fromEntries(MEASURES.map((measure) => [measure, of(measure)])) as FaultSpreads;
}

export type Comparison = 'better' | 'tie' | 'worse';

/** A tie: the median of one lies within the spread of the other. More is better for what is served, less for the rest. */
export function compare(measure: Measure, ours: Spread, theirs: Spread): Comparison {
  const isWithin = (value: number, spread: Spread): boolean => value >= spread.min && value <= spread.max;
  if (isWithin(ours.median, theirs) || isWithin(theirs.median, ours)) return 'tie';
  const isLess = ours.median < theirs.median;
  return isLess === (measure !== 'served') ? 'better' : 'worse';
}

/** The first measure in which they differ decides: what is served, then how fast it is, then what it cost. */
export function verdictOf(ours: FaultSpreads, theirs: FaultSpreads): Comparison {
  const order = ['served', 'p99Ms', 'leftAfterMs', 'wellAfterMs', 'attempts'] as const;
  const compared = order.map((measure) => compare(measure, ours[measure], theirs[measure]));
  return compared.find((each) => each !== 'tie') ?? 'tie';
}
