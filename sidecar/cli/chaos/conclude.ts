/** The end of `outrider chaos`, after a run or from the stored history of one: files, what is printed, and the exit code. */

import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { CommandFailure, oneLine } from '../failure.js';
import { paletteFor } from '../terminal.js';
import type { ChaosHistory } from './history/record.js';
import { verdictText } from './report/printed.js';
import { buildReport, summaryOf } from './report/report.js';
import { parseHistory } from './report/stored-history.js';
import { writeReport } from './report/write-report.js';

/** Where results go. */
export interface Conclusion {
  /** Folder of the report; absent: only what is printed. */
  readonly report?: string;
  /** Print JSON: what `figures.json` holds. */
  readonly json?: true;
}

/**
 * Judges a history, writes its report and prints the verdict to standard output.
 *
 * @returns the exit code: 0 every promise kept, 1 not all.
 */
export function conclude(history: ChaosHistory, { report, json }: Conclusion): number {
  const summary = report === undefined ? summaryOf(buildReport(history)) : writeReport(history, report);
  if (json === true) process.stdout.write(`${JSON.stringify(summary)}\n`);
  else process.stdout.write(`\n${verdictText(summary, paletteFor(process.stdout, process.env))}\n`);
  if (report !== undefined) process.stderr.write(`report: ${join(report, 'index.html')}\n`);
  return summary.verdict.isKept ? 0 : 1;
}

/** Makes the folder of a report before anything runs: a run of minutes must not be lost by a path. @throws CommandFailure */
export function prepareFolder(dir: string): void {
  try {
    mkdirSync(dir, { recursive: true });
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
