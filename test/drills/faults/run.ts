/** Runs rows of a suite and keeps the worst result of each. */

import { Control } from './control.js';
import type { Pace } from './row.js';
import { type Row, type RowResult, type Suite, Trial } from './row.js';

/** Which rows are run, how often and how long. */
export interface RunOptions {
  readonly pace: Pace;
  /** Empty: all. */
  readonly only: ReadonlySet<string>;
  readonly runs: number;
  readonly logs?: string;
  say(line: string): void;
}

/** The worst result of each row. */
export interface Report {
  readonly suite: string;
  readonly title: string;
  readonly pace: Pace;
  readonly runs: number;
  /** The worst of all runs, in the suite's order. */
  readonly rows: readonly RowResult[];
}

/** Every run has a world of its own. */
export async function runSuite<World>(suite: Suite<World>, options: RunOptions): Promise<Report> {
  const rows = suite.rows.filter(({ name }) => options.only.size === 0 || options.only.has(name));
  const worst = new Map<string, RowResult>();
  for (let run = 1; run <= options.runs; run++) {
    options.say(`run ${run} of ${options.runs}: starting`);
    const world = await suite.open(options.logs);
    try {
      for (const row of rows) {
        options.say(`run ${run} of ${options.runs}: ${row.name}, ${row.fault}`);
        const result = await runRow(row, world, options.pace);
        const before = worst.get(row.name);
        if (before === undefined || isWorse(result, before)) worst.set(row.name, result);
      }
    } finally {
      await suite.close(world);
    }
  }
  const { name, title } = suite;
  const { pace, runs } = options;
  return { suite: name, title, pace, runs, rows: [...worst.values()] };
}

/** Never rejects: a row that breaks down is a promise that was not kept. */
export async function runRow<World>(row: Row<World>, world: World, pace: Pace): Promise<RowResult> {
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
  const { load, figures, criteria } = trial;
  const tookMs = performance.now() - startMs;
  const { disturbed } = trial;
  return {
    row: row.name,
    fault: row.fault,
    tookMs,
    load,
    figures,
    criteria,
    ...(disturbed && { disturbed }),
  };
}

/** Whether every promise of the row was kept. */
export function isKept({ criteria }: RowResult): boolean {
  return criteria.every(({ kept }) => kept);
}

/** More promises broken; then more calls failed; then a slower call. */
function isWorse(a: RowResult, b: RowResult): boolean {
  const badness = ({ criteria, load }: RowResult) => [
    criteria.filter(({ kept }) => !kept).length,
    load.failed,
    load.slowestMs,
  ];
  const of = badness(a);
  const than = badness(b);
  const differs = of.findIndex((value, i) => value !== than[i]);
  return differs >= 0 && of[differs]! > than[differs]!;
}
