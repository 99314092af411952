/**
 * Check that ejected endpoints are left alone. When a call was sent is not recorded; it is known only that this was after its begin and
 * before its execution, so that a call from before the ejection gets the time that it may have waited.
 */
import type { CheckBounds } from './bounds.js';
import type { CallIndex } from './executions.js';
import type { CheckedCall, ExecutionRecord, History, MarkRecord } from './record.js';
import { type Finding, ms } from './violation.js';

/** A time in which an endpoint was ejected, in ms of the run. */
export interface Ejection {
  readonly replica: string;
  readonly fromMs: number;
  /** Infinity for one that lasts to the end. */
  readonly toMs: number;
}

/** Ejections by their marks. A second `ejected` while one lasts changes nothing. */
export function ejectionsOf(marks: readonly MarkRecord[]): readonly Ejection[] {
  return spans(marks, 'ejected', 'restored');
}

/**
 * Times between a mark that begins something at a replica and one that ends it, in the order in which they were noted: what is seen
 * at one look and is over at the next may have an end that lies before its begin, as both are bounds (run/observer.ts).
 *
 * @param whose the replica of a mark; undefined: the mark does not count.
 */
export function spans(
  marks: readonly MarkRecord[],
  begin: MarkRecord['kind'],
  end: MarkRecord['kind'],
  whose: (mark: MarkRecord) => string | undefined = ({ replica }) => replica,
): readonly Ejection[] {
  const open = new Map<string, number>();
  const found: Ejection[] = [];
  for (const mark of marks) {
    const { kind, atMs } = mark;
    const replica = whose(mark);
    if (replica === undefined) continue;
    const fromMs = open.get(replica);
    if (kind === begin && fromMs === undefined) open.set(replica, atMs);
    if (kind !== end || fromMs === undefined) continue;
    found.push({ replica, fromMs, toMs: Math.max(fromMs, atMs) });
    open.delete(replica);
  }
  for (const [replica, fromMs] of open) found.push({ replica, fromMs, toMs: Number.POSITIVE_INFINITY });
  return found.sort((a, b) => a.fromMs - b.fromMs);
}

/**
 * Calls that an ejected endpoint executed later than the bound after its ejection.
 *
 * A call that began after the bound was certainly sent there after the ejection. One that began before may have waited in the
 * queue of the endpoint, for `queuedMs` at most. Probes are allowed, and all calls while too few endpoints are left.
 */
export function findSentToEjected(run: History, index: CallIndex, bounds: CheckBounds): readonly Finding[] {
  const ejections = ejectionsOf(run.marks);
  const away = [...ejections, ...spans(run.marks, 'died', 'restarted')];
  return ejections.flatMap((ejection) => {
    const late = run.executions.filter((execution) => {
      const call = index.calls.get(execution.callId);
      if (call === undefined || execution.replica !== ejection.replica) return false;
      if (!isLate(execution, call, ejection, bounds)) return false;
      return !isPanic(run, away, execution.startMs, bounds);
    });
    late.sort((a, b) => a.startMs - b.startMs);
    return withoutProbes(late, ejection, bounds).map(({ callId, startMs }) => ({
      callId,
      expected: `no call to ${ejection.replica} later than ${ms(bounds.ejectedMs)} after its ejection at ${ms(ejection.fromMs)}`,
      found: `executed there ${ms(startMs - ejection.fromMs)} after it`,
    }));
  });
}

/** Within the ejection, and later than the bound for a call that began after it or before it. */
function isLate(
  { startMs }: ExecutionRecord,
  call: CheckedCall,
  { fromMs, toMs }: Ejection,
  { ejectedMs, queuedMs }: CheckBounds,
): boolean {
  if (startMs >= toMs) return false;
  return call.startMs > fromMs + ejectedMs || startMs > fromMs + ejectedMs + queuedMs;
}

/** Leaves out as many as the rate of probes allows at each moment. */
function withoutProbes(
  late: readonly ExecutionRecord[],
  { fromMs }: Ejection,
  { probesPerSecond }: CheckBounds,
): readonly ExecutionRecord[] {
  if (probesPerSecond === 0) return late;
  let used = 0;
  return late.filter(({ startMs }) => {
    const allowed = 1 + Math.floor(((startMs - fromMs) / 1_000) * probesPerSecond);
    if (used >= allowed) return true;
    used += 1;
    return false;
  });
}

/** Whether at that moment fewer endpoints than the share are neither ejected nor dead. Stand-ins do not count. */
function isPanic(
  run: History,
  away: readonly Ejection[],
  atMs: number,
  { panicShare }: CheckBounds,
): boolean {
  const standIns = new Set(run.standIns ?? []);
  const members = run.replicas.filter((replica) => !standIns.has(replica));
  const gone = new Set(
    away.filter(({ fromMs, toMs }) => fromMs <= atMs && atMs < toMs).map(({ replica }) => replica),
  );
  const left = members.filter((replica) => !gone.has(replica)).length;
  return left < members.length * panicShare;
}
