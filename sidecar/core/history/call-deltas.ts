import type { CallSlot } from './half-hour.js';

/** Counters since the start of a process. */
export interface CallTotals extends CallSlot {
  /** Such as `outbound digits`. */
  readonly kind: string;
}

/** What came between two readings of counters that only rise. A counter that went back belongs to a new process, and counts from 0. */
export class CallDeltas {
  private before = new Map<string, CallTotals>();
  private isFirst = true;

  /** The calls since the last reading. At the first reading none: nobody knows when they were. */
  since(totals: readonly CallTotals[]): readonly CallTotals[] {
    const { before, isFirst } = this;
    this.before = new Map(
      totals.map((each) => [each.kind, { ...each, times: Float64Array.from(each.times) }]),
    );
    this.isFirst = false;
    return isFirst ? [] : totals.map((each) => difference(each, before.get(each.kind)));
  }
}

function difference(now: CallTotals, before: CallTotals | undefined): CallTotals {
  if (before === undefined || now.calls < before.calls) return now;
  return {
    kind: now.kind,
    calls: now.calls - before.calls,
    failed: Math.max(0, now.failed - before.failed),
    times: Float64Array.from(now.times, (count, i) => Math.max(0, count - (before.times[i] ?? 0))),
  };
}
