/** The command line of the fault drills. */

import { resolve } from 'node:path';
import {
  COMMON_OPTIONS,
  HelpRequested,
  parseCommandLine,
  readCommon,
  UsageError,
} from '../../kit/process/command-line.js';

export function usage(suites: Readonly<Record<string, readonly string[]>>): string {
  const rows = Object.entries(suites).map(([suite, names]) => `  ${suite}: ${names.join(', ')}`);
  return `usage: npm run faults -- SUITE [options]     real processes under load, broken on purpose

  --only ROW,…    only these rows
  --runs N        runs of each row, the worst of which counts (default 3)
  --quick         the short run of the test suite, once
  --json          JSON instead of a table
  --output FILE   writes the JSON there too
  --logs DIR      leaves there what the sidecars wrote
  -h, --help      this text

suites and their rows:
${rows.join('\n')}`;
}

export type FaultOptions = ReturnType<typeof readOptions>;

/** @param suites the names of all rows, by suite. */
export function readOptions(args: readonly string[], suites: Readonly<Record<string, readonly string[]>>) {
  const { values, positionals } = parseCommandLine(args, { ...COMMON_OPTIONS, logs: { type: 'string' } });
  if (values.help) throw new HelpRequested(usage(suites));
  const [suite, ...more] = positionals;
  if (suite === undefined) throw new UsageError(usage(suites));
  const rows = suites[suite];
  if (rows === undefined || more.length > 0)
    throw new UsageError(`found ${positionals.join(' ')}; expected a suite\n${usage(suites)}`);
  return { suite, ...readCommon(values, rows, 3), logs: values.logs && resolve(values.logs) };
}
