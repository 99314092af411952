/** Command lines of the programs beside the tests: a mistake says what was found and what is expected. */

import { type ParseArgsConfig, parseArgs } from 'node:util';

/** A mistake on the command line. */
export class UsageError extends Error {}

/** Not a mistake: the usage, which is the message, was asked for. */
export class HelpRequested extends Error {}

/**
 * What ends a program is printed: help on standard output, the rest on standard error.
 * Returns the exit code: 0 help, 2 a mistake on the command line, 1 everything else.
 */
export function reportEnd(program: string, error: unknown): 0 | 1 | 2 {
  const message = error instanceof Error ? error.message : String(error);
  if (error instanceof HelpRequested) {
    process.stdout.write(`${message}\n`);
    return 0;
  }
  const isUsage = error instanceof UsageError;
  process.stderr.write(isUsage ? `${message}\n` : `${program}: ${message}\n`);
  return isUsage ? 2 : 1;
}

/** Runs a program. Ended from outside it leaves through `exit`, where what it started is stopped. @param main gives the exit code. */
export function runProgram(name: string, main: (args: readonly string[]) => Promise<number>): void {
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1));
  main(process.argv.slice(2)).then(
    (code) => process.exit(code),
    (error: unknown) => process.exit(reportEnd(name, error)),
  );
}

/** Options and words; throws UsageError for options that are not known or lack their value. */
export function parseCommandLine<const Options extends NonNullable<ParseArgsConfig['options']>>(
  args: readonly string[],
  options: Options,
) {
  try {
    return parseArgs({ args: [...args], allowPositionals: true, options });
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}

/** Options of benchmarks and drills alike. */
export const COMMON_OPTIONS = {
  only: { type: 'string' },
  runs: { type: 'string' },
  quick: { type: 'boolean' },
  json: { type: 'boolean' },
  output: { type: 'string' },
  help: { type: 'boolean', short: 'h' },
} as const;

/** Their values. `names`: what `--only` may name; `runs`: how many unless said, and one with `--quick`. */
export function readCommon(
  { only, quick = false, json = false, output, ...values }: Values<typeof COMMON_OPTIONS>,
  names: readonly string[],
  runs: number,
) {
  const counted = wholeNumber('--runs', values.runs ?? String(quick ? 1 : runs));
  return { only: readOnly(only, names), runs: counted, quick, json, output };
}

type Values<Options extends NonNullable<ParseArgsConfig['options']>> = ReturnType<
  typeof parseCommandLine<Options>
>['values'];

/** The value of an option. Default: from 1 on. */
export function wholeNumber(
  name: string,
  text: string,
  { least = 1, most = Number.MAX_SAFE_INTEGER } = {},
): number {
  const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  if (value >= least && value <= most) return value;
  const end = most === Number.MAX_SAFE_INTEGER ? '' : ` to ${most}`;
  throw new UsageError(`${name}: found ${text}; expected a whole number from ${least}${end}`);
}

/** `--only NAME,…`, or another option of names; absent: empty, which for `--only` means all. */
export function readOnly(
  text: string | undefined,
  known: readonly string[],
  option = '--only',
): ReadonlySet<string> {
  const names = (text ?? '').split(',').filter((name) => name !== '');
  const unknown = names.find((name) => !known.includes(name));
  if (unknown !== undefined)
    throw new UsageError(`${option}: found ${unknown}; expected one of ${known.join(', ')}`);
  return new Set(names);
}
