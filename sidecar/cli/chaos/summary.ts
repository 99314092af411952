/** What is printed at the end: a table of what callers lost, drill by drill and arm by arm, and whether the promises were kept. */

import { type Palette, table } from '../terminal.js';
import type { ArmName, ArmRun } from './history/record.js';

/** What the callers of one run lost. */
export interface Losses {
  readonly sent: number;
  readonly failed: number;
  readonly wrong: number;
  /** Calls that models executed more than once although they must not. */
  readonly duplicated: number;
  readonly p99Ms: number;
}

/** Counts what callers lost; calls that are the fault themselves do not count. */
export function lossesOf({ calls, executions }: Pick<ArmRun, 'calls' | 'executions'>): Losses {
  const counted = calls.filter(({ isFault }) => isFault !== true);
  const runs = new Map<string, number>();
  for (const { callId } of executions) runs.set(callId, (runs.get(callId) ?? 0) + 1);
  const times = counted
    .filter(({ model }) => model === 'digits')
    .map(({ startMs, endMs }) => endMs - startMs);
  times.sort((a, b) => a - b);
  return {
    sent: counted.length,
    failed: counted.filter(({ status }) => status !== 0).length,
    wrong: counted.filter(({ answer }) => answer === 'wrong').length,
    duplicated: counted.filter(({ id, idempotent }) => !idempotent && (runs.get(id) ?? 0) > 1).length,
    p99Ms: times[Math.min(times.length - 1, Math.floor(0.99 * times.length))] ?? 0,
  };
}

/** Calls that were lost in one way or another. */
export function lostOf({ failed, wrong, duplicated }: Losses): number {
  return failed + wrong + duplicated;
}

/** The table: a row for each drill, a column for each arm. */
export function summaryTable(runs: readonly ArmRun[], palette: Palette): string {
  const arms = [...new Set(runs.map(({ arm }) => arm))];
  const drills = [...new Set(runs.map(({ drill }) => drill))];
  const rows = drills.map((drill) => [drill, ...arms.map((arm) => cellOf(runs, drill, arm))]);
  return table(['drill', ...arms], rows, palette);
}

function cellOf(runs: readonly ArmRun[], drill: string, arm: ArmName): string {
  const run = runs.find((each) => each.drill === drill && each.arm === arm);
  return run === undefined ? '-' : textOf(lossesOf(run));
}

/** Losses as text, such as `3 failed, 2 wrong of 950`. */
export function textOf(losses: Losses): string {
  const parts = (['failed', 'wrong', 'duplicated'] as const).flatMap((kind) =>
    losses[kind] > 0 ? [`${losses[kind]} ${kind}`] : [],
  );
  return `${parts.length === 0 ? 'none lost' : parts.join(', ')} of ${losses.sent}, p99 ${losses.p99Ms.toFixed(0)} ms`;
}

/**
 * What `--json` prints: the losses of each run, the promises that were broken as sentences, and `kept` or `broken`. Fields are
 * only ever added.
 */
export function summaryJson(runs: readonly ArmRun[], broken: readonly string[]): object {
  const said = runs.map((run) => ({ drill: run.drill, arm: run.arm, ...lossesOf(run) }));
  return { runs: said, broken, verdict: broken.length === 0 ? 'kept' : 'broken' };
}

/** The last lines: what was kept, or each promise that was not. */
export function verdictText(broken: readonly string[], { green, red }: Palette): string {
  if (broken.length === 0) return green('Every promise was kept.');
  return [red('Broken promises:'), ...broken.map((line) => `  ${line}`)].join('\n');
}
