/** What the calls of an overload run come to, which bars they must meet, and how that is shown. */

import { quantile } from '../../drills/faults/times.js';
import type { PhaseCalls } from './protocol.js';

const OK = 0;
const SHED = 8;

/** Bars of the design. */
const BARS = { goodput: 0.9, refusedP99Ms: 10, recoveryMs: 5_000 } as const;

/** What was recorded in the phases of one setup. */
export interface Observed {
  readonly perSecond: number;
  readonly before: PhaseCalls;
  readonly overload: PhaseCalls;
  readonly overloadMs: number;
  readonly after: PhaseCalls;
  /** Of the model, and how many of them ended when their caller had gone. */
  readonly runs: { readonly runs: number; readonly unanswered: number };
  readonly concurrency: number;
}

/** What one overload came to. */
export type OverloadFigures = ReturnType<typeof figuresOf>;

/** The figures of one setup. */
export function figuresOf(
  { name, title }: { readonly name: string; readonly title: string },
  { perSecond, before, overload, overloadMs, after, runs, concurrency }: Observed,
) {
  const accepted = tookOf(overload, OK);
  const refused = tookOf(overload, SHED);
  const calls = overload.status.length;
  const easy = tookOf(before, OK);
  const first = overload.status.filter((_, i) => overload.isFirstClass[i]);
  return {
    name,
    title,
    /** Calls that were let through at once in the end. */
    concurrency,
    /** At half the capacity, before. */
    easyP99Ms: quantile(easy, 0.99),
    /** Calls per second that ended with OK while as many as it takes were kept in flight. */
    capacityPerSecond: perSecond,
    offeredPerSecond: (calls * 1_000) / overloadMs,
    /** OK during the overload, as a share of the capacity. */
    goodput: (accepted.length * 1_000) / overloadMs / perSecond,
    acceptedP99Ms: quantile(accepted, 0.99),
    refusedP50Ms: quantile(refused, 0.5),
    refusedP99Ms: quantile(refused, 0.99),
    refused: refused.length,
    /** Calls that ended neither with OK nor with RESOURCE_EXHAUSTED: their callers got no answer in time. */
    otherwise: calls - accepted.length - refused.length,
    /** Share of the model's runs whose caller had gone. */
    unansweredRatio: runs.runs === 0 ? 0 : runs.unanswered / runs.runs,
    /** From the drop of the load to the begin of a second in which all was as before; Infinity: there was none. */
    recoveryMs: recoveryOf(after, 2 * quantile(easy, 0.5)),
    /** Share of the calls of the first class that ended with OK; absent without classes. */
    ...(first.length > 0 && { firstClass: first.filter((status) => status === OK).length / first.length }),
  };
}

/** Whether goodput, refusals and recovery keep to their bars. */
export function meetsBars({ goodput, refusedP99Ms, recoveryMs }: OverloadFigures): boolean {
  return goodput >= BARS.goodput && refusedP99Ms < BARS.refusedP99Ms && recoveryMs < BARS.recoveryMs;
}

/** The figures as text. */
export function renderOverload(rows: readonly OverloadFigures[]): string {
  return rows.flatMap((row) => [...lines(row), '']).join('\n');
}

function lines(row: OverloadFigures): string[] {
  const percent = (ratio: number): string => `${(100 * ratio).toFixed(1)} %`;
  const ms = (value: number): string => `${value.toFixed(1)} ms`;
  const bar = (isMet: boolean): string => (isMet ? '✔' : '✘');
  const { capacityPerSecond: capacity, offeredPerSecond: offered } = row;
  return [
    `${row.title}: ${offered.toFixed(0)} calls/s offered to a capacity of ${capacity.toFixed(0)}`,
    `  ${bar(row.goodput >= BARS.goodput)} goodput ${percent(row.goodput)} of the capacity (bar ${percent(BARS.goodput)})`,
    `  ${bar(row.refusedP99Ms < BARS.refusedP99Ms)} refusals within ${ms(row.refusedP50Ms)} at p50, ${ms(row.refusedP99Ms)} at p99 (bar ${BARS.refusedP99Ms} ms), ${row.refused} of them`,
    `  ${bar(row.recoveryMs < BARS.recoveryMs)} all well ${ms(row.recoveryMs)} after the load dropped (bar ${BARS.recoveryMs} ms)`,
    `    p99 of what is served ${ms(row.acceptedP99Ms)}, at half the capacity ${ms(row.easyP99Ms)}; ${row.otherwise} were not answered in time, ${percent(row.unansweredRatio)} of the runs had lost their caller; ${row.concurrency} at once`,
    ...(row.firstClass === undefined
      ? []
      : [`    ${percent(row.firstClass)} of the first class were served`]),
  ];
}

/** Times of those that ended with a status. */
function tookOf({ status, tookMs }: PhaseCalls, wanted: number): number[] {
  return tookMs.filter((_, i) => status[i] === wanted);
}

/** A quarter of a second: good when no call failed in it, and half of them were as quick as before, at least. */
const SLICE_MS = 250;
/** So many good ones in a row are a recovery; it was when they began. */
const GOOD_SLICES = 4;

function recoveryOf({ sentMs, tookMs, status }: PhaseCalls, slowMs: number): number {
  const slices: { readonly tookMs: number[]; failed: number }[] = [];
  sentMs.forEach((ms, i) => {
    const at = Math.floor(ms / SLICE_MS);
    while (slices.length <= at) slices.push({ tookMs: [], failed: 0 });
    slices[at]!.tookMs.push(tookMs[i]!);
    if (status[i] !== OK) slices[at]!.failed += 1;
  });
  let good = 0;
  for (const [i, slice] of slices.entries()) {
    good = slice.failed === 0 && quantile(slice.tookMs, 0.5) <= slowMs ? good + 1 : 0;
    if (good === GOOD_SLICES) return (i + 1 - GOOD_SLICES) * SLICE_MS;
  }
  return Number.POSITIVE_INFINITY;
}
