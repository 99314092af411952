/** The command line of the fault drills. */

import { resolve } from 'node:path';
import {
  HelpRequested,
  parseCommandLine,
  readOnly,
  UsageError,
  wholeNumber,
} from '../../kit/process/command-line.js';

/** What the command line asks for. */
export interface FaultOptions {
  readonly suite: string;
  readonly only: ReadonlySet<string>;
  readonly runs: number;
  readonly quick: boolean;
  readonly json: boolean;
  readonly output?: string;
  readonly logs?: string;
}

/** The text of `--help`. */
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

/** @param suites the names of all rows, by suite. */
export function readOptions(
  args: readonly string[],
  suites: Readonly<Record<string, readonly string[]>>,
): FaultOptions {
  const { values, positionals } = parseCommandLine(args, {
    only: { type: 'string' },
    runs: { type: 'string' },
    quick: { type: 'boolean' },
    json: { type: 'boolean' },
    output: { type: 'string' },
    logs: { type: 'string' },
    help: { type: 'boolean', short: 'h' },
  });
  if (values.help) throw new HelpRequested(usage(suites));
  const [suite, ...more] = positionals;
  if (suite === undefined) throw new UsageError(usage(suites));
  const rows = suites[suite];
  if (rows === undefined || more.length > 0)
    throw new UsageError(`found ${positionals.join(' ')}; expected a suite\n${usage(suites)}`);
  const quick = values.quick ?? false;
  return {
    suite,
    only: readOnly(values.only, rows),
    runs: wholeNumber('--runs', values.runs ?? (quick ? '1' : '3')),
    quick,
    json: values.json ?? false,
    ...(values.output === undefined ? {} : { output: values.output }),
    ...(values.logs === undefined ? {} : { logs: resolve(values.logs) }),
  };
}
