/** From the calls of one run to its figures, and from the figures of all runs to which was better. Pure. */

import type { Times } from '../../../sidecar/cli/chaos/drills/drill.js';
import { untilSingle } from '../../drills/faults/model-protocol.js';
import { quantile } from '../../drills/faults/times.js';
import type { Spread, Spreads } from '../relay/results.js';
import type { Calls } from './protocol.js';
import { CAPACITY, type FaultRow } from './rows.js';

export const MEASURES = ['served', 'p99Ms', 'attempts', 'leftAfterMs', 'wellAfterMs'] as const;
export type Measure = (typeof MEASURES)[number];
export type FaultSpreads = Spreads<Measure>;

export interface Observed {
  readonly calls: Calls;
  /** When each model began to work, since the beginning of the schedule; the victims come first. */
  readonly runs: readonly (readonly number[])[];
}

const OK = 0;

/** What callers noticed of one fault in one run. */
export type FaultFigures = ReturnType<typeof figuresOf>;

export function figuresOf(row: FaultRow, times: Times, { calls, runs }: Observed) {
  const fromMs = times.steadyMs;
  const toMs = fromMs + times.faultMs;
  const isWithin = (atMs: number): boolean => atMs >= fromMs && atMs < toMs;
  const sent = calls.filter(({ startMs }) => isWithin(startMs));
  const ok = sent.filter(({ status }) => status === OK);
  const servable = (CAPACITY * row.replicas * times.faultMs) / 1_000;
  // Where not all can be served, what was served after the end is not goodput of this time.
  const ended = ok.filter(({ endMs }) => endMs < toMs);
  const began = runs.flat().filter(isWithin).length;
  const bad = calls.filter(({ startMs, status }) => startMs >= toMs && status !== OK);
  const tookMs = ok.map(({ startMs, endMs }) => endMs - startMs);
  const left = row.isToBeLeft ? untilSingle(runs[0]!.filter(isWithin), fromMs, toMs) : 0;
  return {
    /** OK in the time of the fault, as a share of what was sent then, or of what could be served if that is less. */
    served: sent.length > servable ? ended.length / servable : ok.length / sent.length,
    /** Of those that ended with OK, since they were due. */
    p99Ms: quantile(tookMs, 0.99, Number.POSITIVE_INFINITY),
    /** Times a model began to work, for each call; 1 where most were refused without work. */
    attempts: Math.max(1, began / sent.length),
    /** Until the victim got single calls at most: one in half a second. Infinity: it never came to that. */
    leftAfterMs: left ?? Number.POSITIVE_INFINITY,
    /** From the end of the fault to the end of the last call after it that failed; 0: none did. */
    wellAfterMs: Math.max(0, ...bad.map(({ endMs }) => endMs - toMs)),
  };
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
