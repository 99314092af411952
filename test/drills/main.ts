/**
 * `npm run faults -- SUITE`: breaks things on purpose under load, and says which promises were kept. Exit codes: 0 all
 * kept or help, 1 not all, 2 the command line was wrong.
 */

import { writeFileSync } from 'node:fs';
import { paletteFor } from '../../sidecar/cli/terminal.js';
import { runProgram } from '../kit/process/command-line.js';
import { callFaults } from './calls/rows.js';
import { consulFaults } from './consul/main.js';
import { decisionFaults } from './decisions/rows.js';
import { readOptions } from './faults/options.js';
import type { Suite } from './faults/row.js';
import { isKept, type Report, type RunOptions, runSuite } from './faults/run.js';
import { renderFaults } from './faults/table.js';
import { toxicFaults } from './toxics/rows.js';

/** A suite whose kind of world is its own business. */
interface Entry {
  readonly rows: readonly string[];
  run(options: RunOptions): Promise<Report>;
}

const SUITES: Record<string, Entry> = {
  calls: entry(callFaults),
  consul: entry(consulFaults),
  decisions: entry(decisionFaults),
  toxics: entry(toxicFaults),
};

function entry<World>(suite: Suite<World>): Entry {
  return { rows: suite.rows.map(({ name }) => name), run: (options) => runSuite(suite, options) };
}

function say(line: string): void {
  process.stderr.write(`${line}\n`);
}

async function main(args: readonly string[]): Promise<number> {
  const rows = Object.entries(SUITES).map(([name, suite]) => [name, suite.rows] as const);
  const options = readOptions(args, Object.fromEntries(rows));
  const { suite, quick, json, output } = options;
  const report = await SUITES[suite]!.run({ ...options, pace: quick ? 'short' : 'full', say });
  const text = `${JSON.stringify(report, null, 2)}\n`;
  if (output !== undefined) writeFileSync(output, text);
  const palette = paletteFor(process.stdout, process.env);
  process.stdout.write(json ? text : `${renderFaults(report, palette)}\n`);
  return report.rows.every(isKept) ? 0 : 1;
}

runProgram('faults', main);
