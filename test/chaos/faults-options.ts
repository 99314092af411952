/** The command line of the fault drills. */

import { resolve } from 'node:path';
import { parseArgs } from 'node:util';

export interface FaultOptions {
  readonly suite: string;
  readonly only: ReadonlySet<string>;
  readonly runs: number;
  readonly quick: boolean;
  readonly json: boolean;
  readonly output?: string;
  readonly logs?: string;
}

/** A mistake on the command line. */
export class UsageError extends Error {}

export function usage(suites: Readonly<Record<string, readonly string[]>>): string {
  const rows = Object.entries(suites).map(([suite, names]) => `  ${suite}: ${names.join(', ')}`);
  return `usage: npm run faults -- SUITE [options]     real processes under load, broken on purpose

  --only ROW,…    only these rows
  --runs N        runs of each row, the worst of which counts (default 3)
  --quick         the short run of the test suite, once
  --json          JSON instead of a table
  --output FILE   writes the JSON there too
  --logs DIR      leaves there what the sidecars wrote

suites and their rows:
${rows.join('\n')}`;
}

/** @param suites the names of all rows, by suite. */
export function readOptions(
  args: readonly string[],
  suites: Readonly<Record<string, readonly string[]>>,
): FaultOptions {
  const { values, positionals } = parse(args);
  const [suite, ...more] = positionals;
  if (suite === undefined) throw new UsageError(usage(suites));
  const rows = suites[suite];
  if (rows === undefined || more.length > 0)
    throw new UsageError(`found ${positionals.join(' ')}; expected a suite\n${usage(suites)}`);
  const only = (values.only ?? '').split(',').filter((name) => name !== '');
  const unknown = only.find((name) => !rows.includes(name));
  if (unknown !== undefined)
    throw new UsageError(`--only: found ${unknown}; expected one of ${rows.join(', ')}`);
  const quick = values.quick ?? false;
  const runs = Number(values.runs ?? (quick ? 1 : 3));
  if (!Number.isInteger(runs) || runs < 1)
    throw new UsageError(`--runs: found ${values.runs}; expected a whole number from 1`);
  const output = values.output === undefined ? {} : { output: values.output };
  const logs = values.logs === undefined ? {} : { logs: resolve(values.logs) };
  return { suite, only: new Set(only), runs, quick, json: values.json ?? false, ...output, ...logs };
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        only: { type: 'string' },
        runs: { type: 'string' },
        quick: { type: 'boolean' },
        json: { type: 'boolean' },
        output: { type: 'string' },
        logs: { type: 'string' },
      },
    });
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}
