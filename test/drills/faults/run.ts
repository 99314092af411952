/** Runs rows of a suite and keeps the worst result of each. */

import { Control } from './control.js';
import type { FaultOptions } from './options.js';
import { type Pace, type Row, type Suite, Trial } from './row.js';

export interface RunOptions extends Pick<FaultOptions, 'only' | 'runs' | 'logs'> {
  readonly pace: Pace;
  say(line: string): void;
}

/** The worst result of each row, in the suite's order. */
export type Report = Awaited<ReturnType<typeof runSuite>>;

/** Every run has a world of its own. */
export async function runSuite<World>(suite: Suite<World>, { pace, only, runs, logs, say }: RunOptions) {
  const rows = suite.rows.filter(({ name }) => only.size === 0 || only.has(name));
  const worst = new Map<string, RowResult>();
  for (let run = 1; run <= runs; run++) {
    say(`run ${run} of ${runs}: starting`);
    const world = await suite.open(logs);
    try {
      for (const row of rows) {
        say(`run ${run} of ${runs}: ${row.name}, ${row.fault}`);
        const result = await runRow(row, world, pace);
        say(`run ${run} of ${runs}: ${row.name} ${summaryOf(result)}`);
        const before = worst.get(row.name);
        if (before === undefined || isWorse(result, before)) worst.set(row.name, result);
      }
    } finally {
      await suite.close(world);
    }
  }
  const { name, title, columns = [] } = suite;
  return { suite: name, title, columns, pace, runs, rows: [...worst.values()] };
}

function summaryOf(result: RowResult): string {
  const figures = Object.entries(result.figures).map(([name, value]) => `${name} ${value}`);
  return [isKept(result) ? 'pass' : 'MISSED', ...figures].join(', ');
}

export type RowResult = Awaited<ReturnType<typeof runRow>>;

/** Never rejects: a row that breaks down is a promise that was not kept. */
export async function runRow<World>(row: Row<World>, world: World, pace: Pace) {
  const trial = new Trial(pace);
  const startMs = performance.now();
  try {
    trial.control = await Control.open();
    await row.run(world, trial);
  } catch (error) {
    const found = error instanceof Error ? error.message : String(error);
    trial.expect('the drill runs to its end', false, found);
  } finally {
    await trial.control?.close();
  }
  const { load, figures, criteria, disturbed } = trial;
  const tookMs = performance.now() - startMs;
  return { row: row.name, fault: row.fault, tookMs, load, figures, criteria, disturbed };
}

export function isKept({ criteria }: RowResult): boolean {
  return criteria.every(({ kept }) => kept);
}

/** More promises broken; then more calls failed; then a slower call. */
function isWorse(a: RowResult, b: RowResult): boolean {
  const brokenIn = ({ criteria }: RowResult) => criteria.filter(({ kept }) => !kept).length;
  const differences = [
    brokenIn(a) - brokenIn(b),
    a.load.failed - b.load.failed,
    a.load.slowestMs - b.load.slowestMs,
  ];
  return (differences.find((difference) => difference !== 0) ?? 0) > 0;
}
