/** The end of `outrider chaos`, after a run or from the stored history of one: files, what is printed, and the exit code. */

import { accessSync, constants, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { makeDirectory } from '../../runtime/process/directory.js';
import { systemClock } from '../../runtime/time/clock.js';
import { CommandFailure, oneLine } from '../failure.js';
import { paletteFor } from '../terminal.js';
import type { ArmRun, ChaosHistory, SkippedArm } from './history/record.js';
import { verdictText } from './report/printed.js';
import { buildReport, type Summary, summaryOf } from './report/report.js';
import { parseHistory } from './report/stored-history.js';
import { writeReport } from './report/write-report.js';
import { aboutRun, type RunFacts } from './run/about.js';

/** Where results go. */
export interface Conclusion {
  /** Folder of the report; absent: only what is printed. */
  readonly report?: string;
  /** Print JSON: what `figures.json` holds. */
  readonly json?: true;
}

/** What a command has run. */
export interface Ran {
  readonly runs: readonly ArmRun[];
  readonly skipped: readonly SkippedArm[];
  /** Why some of it was not run although it could have been; undefined: all was. */
  readonly problem: string | undefined;
}

/** Runs, and concludes with the history of it. @returns the exit code, as `conclude`; 1 also where not all was run. */
export async function concludeRun(
  run: () => Promise<Ran>,
  { drills, arms, skipped }: Pick<ChaosHistory, 'drills' | 'skipped'> & Pick<RunFacts, 'arms'>,
  conclusion: Conclusion,
): Promise<number> {
  const startedAtMs = systemClock.wallNow();
  const startedMs = systemClock.now();
  const { runs, problem, ...ran } = await run();
  const seconds = (systemClock.now() - startedMs) / 1_000;
  const about = aboutRun({ args: process.argv.slice(2), startedAtMs, seconds, arms });
  const texts = drills.map(({ name, title, does }) => ({ name, title, does }));
  const history = { about, drills: texts, runs, skipped: [...skipped, ...ran.skipped] };
  const exitCode = conclude({ format: 1, ...history }, conclusion);
  if (problem === undefined) return exitCode;
  process.stderr.write(`outrider: stopped early: ${problem}\n`);
  return 1;
}

/**
 * Judges a history, writes its report and prints the verdict to standard output, also where the report cannot be written.
 *
 * @returns the exit code: 0 every promise kept, 1 not all, or no report where one was asked for.
 */
export function conclude(history: ChaosHistory, { report, json }: Conclusion): number {
  const { summary, problem } = judged(history, report);
  if (json === true) process.stdout.write(`${JSON.stringify(summary)}\n`);
  else process.stdout.write(`\n${verdictText(summary, paletteFor(process.stdout, process.env))}\n`);
  if (problem !== undefined) {
    process.stderr.write(`outrider: --report ${report}: not written, or not whole: ${problem}\n`);
    return 1;
  }
  if (report !== undefined) process.stderr.write(`report: ${join(report, 'index.html')}\n`);
  return summary.verdict.isKept ? 0 : 1;
}

/** A disk may have become full in the minutes of a run: what it has found is not lost by that. */
function judged(history: ChaosHistory, report: string | undefined): { summary: Summary; problem?: string } {
  if (report === undefined) return { summary: summaryOf(buildReport(history)) };
  try {
    return { summary: writeReport(history, report) };
  } catch (error) {
    return { summary: summaryOf(buildReport(history)), problem: oneLine(error) };
  }
}

/** Makes the folder of a report before anything runs: a run of minutes must not be lost by a path. @throws CommandFailure */
export function prepareFolder(dir: string): void {
  try {
    makeDirectory(dir);
    accessSync(dir, constants.W_OK | constants.X_OK);
  } catch (error) {
    throw new CommandFailure(`--report ${dir}: ${oneLine(error)}`, 2);
  }
}

/** `--render FILE --report DIR`: the report of a stored history, made again. @throws CommandFailure for a file that is none. */
export function renderStored(file: string, { report, json }: Conclusion): number {
  if (report === undefined)
    throw new CommandFailure('--render FILE needs --report DIR, where the report is written', 2);
  prepareFolder(report);
  let history: ChaosHistory;
  try {
    history = parseHistory(readFileSync(file, 'utf8'));
  } catch (error) {
    throw new CommandFailure(`${file} is no history of \`outrider chaos\`: ${oneLine(error)}`, 2);
  }
  return conclude(history, { report, ...(json === true && { json }) });
}
