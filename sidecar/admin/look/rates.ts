import { bucketQuantile } from '../../core/history/bucket-quantile.js';
import type { HalfHour } from '../../core/history/half-hour.js';
import { LATENCY_BOUNDS_MS } from '../../telemetry/call-stats.js';
import type { RatesNow } from './charts.js';
import type { GroupSeries } from './series.js';

/** Calls of one kind in the history of one sidecar. Several are added up. */
export interface CallSource {
  readonly history: HalfHour;
  readonly kind: string;
}

/** Numbers of now are of so many slots: 30 s. */
const NOW_SLOTS = 6;
/** A history whose newest slot is older than this says nothing of now. */
const STALE_SLOTS = 4;

/** Rates and latencies of the last 30 s, of all sources together. @param slot that of now. */
export function ratesNow(sources: readonly CallSource[], slot: number): RatesNow {
  let [perSecond, failedPerSecond] = [0, 0];
  const times = new Float64Array(LATENCY_BOUNDS_MS.length + 1);
  for (const { history, kind } of sources) {
    if (history.last < slot - STALE_SLOTS) continue;
    let [calls, failed, spanMs] = [0, 0, 0];
    for (let at = history.last - NOW_SLOTS + 1; at <= history.last; at++) {
      const found = history.callsOf(at, kind);
      spanMs += history.spanOf(at);
      if (found === undefined) continue;
      calls += found.calls;
      failed += found.failed;
      addTimes(times, found.times);
    }
    if (spanMs === 0) continue;
    perSecond += (1_000 * calls) / spanMs;
    failedPerSecond += (1_000 * failed) / spanMs;
  }
  if (perSecond === 0) return { perSecond };
  const [p50, p99] = quantiles(times);
  return {
    perSecond,
    failedRatio: failedPerSecond / perSecond,
    ...(p50 === undefined ? {} : { p50 }),
    ...(p99 === undefined ? {} : { p99 }),
  };
}

/** What is drawn of the slots from `first` to `last`. @param queues histories of the replicas. */
export function seriesOf(
  sources: readonly CallSource[],
  queues: readonly HalfHour[],
  { first, last }: { readonly first: number; readonly last: number },
): GroupSeries {
  const slots = Array.from({ length: last - first + 1 }, (_, i) => first + i);
  const calls = slots.map((slot) => callsAt(sources, slot, last));
  const list = (read: (each: NonNullable<(typeof calls)[number]>) => number | undefined) =>
    calls.map((each) => (each === undefined ? null : rounded(read(each))));
  const withQueue = queues.filter(({ gaugeNames }) => gaugeNames.length > 0);
  const gauge = (name: string) => slots.map((slot) => gaugeAt(withQueue, name, slot, last));
  return {
    calls: list((each) => each.perSecond),
    failed: list((each) => each.failed),
    p50: list((each) => each.p50),
    p99: list((each) => each.p99),
    ...(withQueue.length === 0 ? {} : { running: gauge('running'), waiting: gauge('waiting') }),
  };
}

function callsAt(sources: readonly CallSource[], slot: number, last: number) {
  let [perSecond, failed] = [0, 0];
  const times = new Float64Array(LATENCY_BOUNDS_MS.length + 1);
  let isKnown = false;
  for (const { history, kind } of sources) {
    const at = slotIn(history, slot, last);
    const found = at === undefined ? undefined : history.callsOf(at, kind);
    if (at === undefined || found === undefined) continue;
    isKnown = true;
    perSecond += (1_000 * found.calls) / history.spanOf(at);
    failed += (1_000 * found.failed) / history.spanOf(at);
    addTimes(times, found.times);
  }
  if (!isKnown) return undefined;
  const [p50, p99] = quantiles(times);
  return { perSecond, failed, p50, p99 };
}

function gaugeAt(queues: readonly HalfHour[], name: string, slot: number, last: number): number | null {
  let sum: number | null = null;
  for (const history of queues) {
    const at = slotIn(history, slot, last);
    const value = at === undefined ? undefined : history.gaugeOf(at, name);
    if (value !== undefined) sum = (sum ?? 0) + value;
  }
  return sum;
}

/**
 * The slot to read for one that is drawn. Sidecars are read at different moments: in the newest slots, one that has not been read yet has its
 * value of before, so that the sum does not drop at the end of every line.
 */
function slotIn(history: HalfHour, slot: number, last: number): number | undefined {
  if (history.spanOf(slot) > 0) return slot;
  const isNewest = slot >= last - 2 && slot > history.last && history.last >= slot - STALE_SLOTS;
  return isNewest && history.last >= 0 ? history.last : undefined;
}

function quantiles(times: Float64Array): [number | undefined, number | undefined] {
  return [bucketQuantile(times, LATENCY_BOUNDS_MS, 0.5), bucketQuantile(times, LATENCY_BOUNDS_MS, 0.99)];
}

/** Of a sidecar with other buckets the times are left out. */
function addTimes(sum: Float64Array, times: ArrayLike<number>): void {
  if (times.length === sum.length) for (let i = 0; i < sum.length; i++) sum[i]! += times[i]!;
}

function rounded(value: number | undefined): number | null {
  return value === undefined ? null : Number(value.toPrecision(4));
}
