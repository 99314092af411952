/** What the calls of an overload run come to, which bars they must meet, and how that is shown. */

import type { ModelCounts, PhaseCalls } from './protocol.js';

const OK = 0;
const SHED = 8;

/** Bars of the design. */
export const BARS = { goodput: 0.9, refusedP99Ms: 10, recoveryMs: 5_000 } as const;

/** What one overload came to. */
export interface OverloadFigures {
  readonly name: string;
  readonly title: string;
  /** Calls per second that ended with OK while as many as it takes were kept in flight. */
  readonly capacityPerSecond: number;
  readonly offeredPerSecond: number;
  /** OK during the overload, as a share of the capacity. */
  readonly goodput: number;
  /** At half the capacity, before. */
  readonly easyP99Ms: number;
  readonly acceptedP99Ms: number;
  readonly refusedP50Ms: number;
  readonly refusedP99Ms: number;
  readonly refused: number;
  /** Calls that ended neither with OK nor with RESOURCE_EXHAUSTED: their callers got no answer in time. */
  readonly otherwise: number;
  /** Share of the model's runs whose caller had gone. */
  readonly unansweredRatio: number;
  /** From the drop of the load to the begin of a second in which all was as before; Infinity: there was none. */
  readonly recoveryMs: number;
  /** Calls that were let through at once in the end. */
  readonly concurrency: number;
  /** Share of the calls of the first class that ended with OK; absent without classes. */
  readonly firstClass?: number;
}

/** What was recorded in the phases of one setup. */
export interface Observed {
  readonly perSecond: number;
  readonly before: PhaseCalls;
  readonly overload: PhaseCalls;
  readonly overloadMs: number;
  readonly after: PhaseCalls;
  readonly runs: ModelCounts;
  readonly concurrency: number;
}

/** The figures of one setup. */
export function figuresOf(
  setup: { readonly name: string; readonly title: string },
  { perSecond, before, overload, overloadMs, after, runs, concurrency }: Observed,
): OverloadFigures {
  const accepted = tookOf(overload, (status) => status === OK);
  const refused = tookOf(overload, (status) => status === SHED);
  const calls = overload.status.length;
  const easy = tookOf(before, (status) => status === OK);
  const { name, title } = setup;
  const first = overload.status.filter((_, i) => overload.isFirstClass[i]);
  return {
    ...{ name, title, concurrency },
    easyP99Ms: quantile(easy, 0.99),
    capacityPerSecond: perSecond,
    offeredPerSecond: (calls * 1_000) / overloadMs,
    goodput: (accepted.length * 1_000) / overloadMs / perSecond,
    acceptedP99Ms: quantile(accepted, 0.99),
    refusedP50Ms: quantile(refused, 0.5),
    refusedP99Ms: quantile(refused, 0.99),
    refused: refused.length,
    otherwise: calls - accepted.length - refused.length,
    unansweredRatio: runs.runs === 0 ? 0 : runs.unanswered / runs.runs,
    recoveryMs: recoveryOf(after, 2 * quantile(easy, 0.5)),
    ...(first.length === 0
      ? {}
      : { firstClass: first.filter((status) => status === OK).length / first.length }),
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

function tookOf({ status, tookMs }: PhaseCalls, isIt: (status: number) => boolean): number[] {
  return tookMs.filter((_, i) => isIt(status[i]!));
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

function quantile(values: readonly number[], ratio: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * ratio))] ?? 0;
}
