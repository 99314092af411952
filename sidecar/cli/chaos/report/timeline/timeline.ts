/** What a timeline shows of a run: calls by interval, their latencies, and marks. Drawing is in `timeline-svg.ts`. */
import { spans } from '../../history/ejections.js';
import type { ArmRun, CallRecord, MarkRecord } from '../../history/record.js';
import { type CallEnd, endOf, loadOf } from '../figures/counts.js';
import { latenciesOf, mainModel, quantile } from '../figures/latency.js';

/** Calls that began in one interval. */
export interface Interval extends Readonly<Record<CallEnd, number>> {
  readonly fromMs: number;
  /** Median latency of the answered calls of the main model, ms. */
  readonly p50Ms: number | undefined;
  readonly p99Ms: number | undefined;
}

/** A time in which a fault lasted. */
export interface FaultSpan {
  readonly fromMs: number;
  readonly toMs: number;
}

/** See above; times in ms of the run. */
export interface Timeline {
  readonly endMs: number;
  readonly stepMs: number;
  readonly intervals: readonly Interval[];
  readonly faults: readonly FaultSpan[];
  /** All but begins and ends of faults, in the order of time. */
  readonly marks: readonly MarkRecord[];
  /** The most calls of one interval. */
  readonly mostCalls: number;
  /** The greatest latency of the intervals, ms; 1 without any. */
  readonly mostMs: number;
}

/** Lengths of intervals that read well. */
const STEPS_MS = [100, 200, 250, 500, 1_000, 2_000, 5_000, 10_000, 30_000, 60_000];
/** More intervals than this cannot be told apart in the picture. */
const MOST_INTERVALS = 60;

/** Builds the timeline of a run. */
export function timelineOf(run: ArmRun): Timeline {
  const endMs = run.seconds * 1_000;
  const stepMs = stepFor(endMs);
  const calls = loadOf(run);
  const model = mainModel(calls);
  const groups: CallRecord[][] = Array.from({ length: Math.max(1, Math.round(endMs / stepMs)) }, () => []);
  for (const call of calls)
    groups[Math.min(groups.length - 1, Math.floor(call.startMs / stepMs))]?.push(call);
  const intervals = groups.map((group, i) => intervalOf(group, i * stepMs, model));
  return {
    endMs,
    stepMs,
    intervals,
    faults: faultSpans(run.marks, endMs),
    marks: inOrder(run.marks).filter(({ kind }) => kind !== 'fault-began' && kind !== 'fault-ended'),
    mostCalls: Math.max(1, ...groups.map(({ length }) => length)),
    mostMs: Math.max(1, ...intervals.map(({ p99Ms }) => p99Ms ?? 0)),
  };
}

/** The shortest step that keeps to the bound. */
export function stepFor(endMs: number): number {
  return STEPS_MS.find((step) => endMs / step <= MOST_INTERVALS) ?? STEPS_MS.at(-1)!;
}

/** @param model whose latencies are shown. */
function intervalOf(calls: readonly CallRecord[], fromMs: number, model: CallRecord['model']): Interval {
  const ends = { right: 0, degraded: 0, failed: 0, wrong: 0 };
  for (const call of calls) ends[endOf(call)] += 1;
  const latencies = latenciesOf(calls.filter((call) => call.model === model));
  return { ...ends, fromMs, p50Ms: quantile(latencies, 0.5), p99Ms: quantile(latencies, 0.99) };
}

/** From each begin to the next end; to the end of the run without one. Begins within a fault belong to it. */
function faultSpans(marks: readonly MarkRecord[], endMs: number): readonly FaultSpan[] {
  const found = spans(inOrder(marks), 'fault-began', 'fault-ended', () => 'any');
  return found.map(({ fromMs, toMs }) => ({ fromMs, toMs: Number.isFinite(toMs) ? toMs : endMs }));
}

/** By time: marks of several watchers come as they are noticed. */
function inOrder(marks: readonly MarkRecord[]): readonly MarkRecord[] {
  return [...marks].sort((a, b) => a.atMs - b.atMs);
}
