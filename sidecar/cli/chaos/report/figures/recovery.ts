/**
 * When the service is as it was before a fault. Time after the begin of the fault is cut into windows, calls belong to the window in
 * which they began, those in flight at its begin to the first one, and a window is good or not.
 */
import { greatestLag } from '../../history/deadlines.js';
import type { ArmRun, CallRecord } from '../../history/record.js';
import { endOf, loadOf } from './counts.js';
import { answered, quantile } from './latency.js';
import { faultBegin } from './moments.js';
import { type Span, spanFrom, spanOrder } from './span.js';

/** Length of a window, ms; also the resolution of the figure. */
export const RECOVERY_WINDOW_MS = 500;
/** A window is slow when more than this share of its calls is. */
const SLOW_SHARE = 0.05;
/** Fewer calls of a model before the fault say too little about its latency. */
const LEAST_CALLS_BEFORE = 20;

/** When the service is as it was before. */
export interface Recoveries {
  /**
   * From the begin of the fault to the end of the last window that is not good; 0 where every window is, `never` where the last one is not.
   * Of a fault that begins several times, the longest of its times, each up to the next begin: calls in flight then are of the next one.
   *
   * A window is good when each of its calls got a full, right answer and at most 5 % of them were slow. A call is slow when it took longer
   * than three times the 99th percentile of its model before the fault, and by 100 ms longer. How late the event loop of the clients
   * was meanwhile counts in neither: it holds up calls of every arm, and is no work of any.
   */
  readonly whole: Span;
  /** The same with one bad call left out, the one that makes it shortest: a difference that one call makes is chance. */
  readonly lessOne: Span;
}

/** Both times; undefined where no fault is marked. */
export function recoveriesOf(run: ArmRun): Recoveries {
  const firstMs = faultBegin(run.marks);
  if (firstMs === undefined) return { whole: undefined, lessOne: undefined };
  const calls = loadOf(run);
  const tookMs = timeOf(run);
  const limits = slowLimits(
    calls.filter(({ endMs }) => endMs < firstMs),
    tookMs,
  );
  const isSlow = (call: CallRecord): boolean => tookMs(call) > limits[call.model];
  const begins = run.marks.filter(({ kind }) => kind === 'fault-began').map(({ atMs }) => atMs);
  const strikes = begins.map((beginMs, i): Recoveries => {
    const nextMs = begins[i + 1] ?? Number.POSITIVE_INFINITY;
    const own = calls.filter(({ endMs }) => endMs >= beginMs && endMs < nextMs);
    const toMs = Math.min(nextMs, run.seconds * 1_000);
    return recoveriesWithin(own, { beginMs, toMs, isLast: i === begins.length - 1, isSlow });
  });
  const longest = (of: (strike: Recoveries) => Span): number =>
    Math.max(...strikes.map((each) => spanOrder(of(each)!)));
  const wholeMs = longest(({ whole }) => whole);
  const deciding = strikes.find(({ whole }) => spanOrder(whole!) === wholeMs)!;
  const lessOneMs = longest((each) => (each === deciding ? each.lessOne : each.whole));
  return { whole: spanFrom(wholeMs), lessOne: spanFrom(lessOneMs) };
}

/** From one begin of the fault to the next one, or to the end. */
interface Stretch {
  readonly beginMs: number;
  readonly toMs: number;
  /** Nothing is known of what comes after it. */
  readonly isLast: boolean;
  readonly isSlow: (call: CallRecord) => boolean;
}

function recoveriesWithin(
  calls: readonly CallRecord[],
  { beginMs, toMs, isLast, isSlow }: Stretch,
): Recoveries {
  const count = Math.max(1, Math.ceil((toMs - beginMs) / RECOVERY_WINDOW_MS));
  const windows: Window[] = Array.from({ length: count }, () => ({ calls: 0, slow: 0, bad: 0 }));
  for (const call of calls) {
    const sinceMs = Math.max(0, call.startMs - beginMs);
    const window = windows[Math.min(count - 1, Math.floor(sinceMs / RECOVERY_WINDOW_MS))]!;
    window.calls += 1;
    if (endOf(call) !== 'right') window.bad += 1;
    else if (isSlow(call)) window.slow += 1;
  }
  const isGood = ({ calls, slow, bad }: Window): boolean => bad === 0 && slow <= calls * SLOW_SHARE;
  const last = windows.findLastIndex((window) => !isGood(window));
  const endOfWindow = (at: number): Span =>
    isLast && at === count - 1 ? 'never' : (at + 1) * RECOVERY_WINDOW_MS;
  const whole = endOfWindow(last);
  if (windows[last]?.bad !== 1) return { whole, lessOne: whole };
  windows[last].bad = 0;
  return { whole, lessOne: endOfWindow(windows.findLastIndex((window) => !isGood(window))) };
}

/** Of the calls that began within it. */
interface Window {
  calls: number;
  slow: number;
  bad: number;
}

/** Time of a call without the greatest lateness of the clients' event loop within it, ms. */
function timeOf({ clientLagMs }: Pick<ArmRun, 'clientLagMs'>): (call: CallRecord) => number {
  return ({ startMs, endMs }) => Math.max(0, endMs - startMs - greatestLag(clientLagMs, startMs, endMs));
}

/** From which time on a call is slow, ms, by model. */
function slowLimits(
  before: readonly CallRecord[],
  tookMs: (call: CallRecord) => number,
): Record<CallRecord['model'], number> {
  const limitOf = (model: CallRecord['model']): number => {
    const latencies = answered(before.filter((call) => call.model === model))
      .map(tookMs)
      .sort((a, b) => a - b);
    if (latencies.length < LEAST_CALLS_BEFORE) return Number.POSITIVE_INFINITY;
    const p99 = quantile(latencies, 0.99)!;
    return Math.max(3 * p99, p99 + 100);
  };
  return {
    ...{ digits: limitOf('digits'), long: limitOf('long') },
    ...{ stream: limitOf('stream'), tokens: limitOf('tokens'), golden: limitOf('golden') },
  };
}
