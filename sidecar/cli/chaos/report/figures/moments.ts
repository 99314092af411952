/**
 * The first moments after a fault: noticed, ejected, answered well again. A sign from before the fault is none of it.
 */
import type { ArmRun, MarkRecord } from '../../history/record.js';
import { endOf, loadOf } from './counts.js';
import type { Span } from './span.js';

/** When the first fault of the run began, in ms of the run; undefined where none is marked. */
export function faultBegin(marks: readonly MarkRecord[]): number | undefined {
  return least(marks.filter(({ kind }) => kind === 'fault-began').map(({ atMs }) => atMs));
}

/**
 * From the begin of the fault to the first sign that the arm has noticed it: an ejection, a restart of a process, a degraded answer,
 * or an answer that a sidecar gave by itself (`outrider-reason`).
 */
export function detectedAfter(run: ArmRun): Span {
  const beginMs = faultBegin(run.marks);
  if (beginMs === undefined) return undefined;
  const signs = run.marks
    .filter(({ kind }) => kind === 'ejected' || kind === 'restarted')
    .map(({ atMs }) => atMs);
  for (const { degraded, reason, endMs } of run.calls)
    if (degraded || reason !== undefined) signs.push(endMs);
  return after(signs, beginMs);
}

/** From the begin of the fault to the first ejection of an endpoint. */
export function ejectedAfter({ marks }: Pick<ArmRun, 'marks'>): Span {
  const beginMs = faultBegin(marks);
  if (beginMs === undefined) return undefined;
  return after(
    marks.filter(({ kind }) => kind === 'ejected').map(({ atMs }) => atMs),
    beginMs,
  );
}

/** From the begin of the fault to the first full, right answer to a call that was made after it; `never` without one. */
export function firstGoodAfter(run: ArmRun): Span {
  const beginMs = faultBegin(run.marks);
  if (beginMs === undefined) return undefined;
  const good = loadOf(run).filter((call) => call.startMs >= beginMs && endOf(call) === 'right');
  const firstMs = least(good.map(({ endMs }) => endMs));
  return firstMs === undefined ? 'never' : firstMs - beginMs;
}

/** The earliest of `atMs` that is not before `beginMs`, from there. */
function after(atMs: readonly number[], beginMs: number): number | undefined {
  const firstMs = least(atMs.filter((at) => at >= beginMs));
  return firstMs === undefined ? undefined : firstMs - beginMs;
}

/** The least of any number of values: too many of them to be the arguments of one call. */
function least(values: readonly number[]): number | undefined {
  let found: number | undefined;
  for (const value of values) if (found === undefined || value < found) found = value;
  return found;
}
