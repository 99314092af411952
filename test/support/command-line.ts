/** Command lines of the programs beside the tests: a mistake says what was found and what is expected. */

import { type ParseArgsConfig, parseArgs } from 'node:util';

/** A mistake on the command line. */
export class UsageError extends Error {}

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

/** From 1. */
export function wholeNumber(name: string, text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1)
    throw new UsageError(`${name}: found ${text}; expected a whole number from 1`);
  return value;
}

/** `--only NAME,…`; absent: empty, which means all. */
export function readOnly(text: string | undefined, known: readonly string[]): ReadonlySet<string> {
  const names = (text ?? '').split(',').filter((name) => name !== '');
  const unknown = names.find((name) => !known.includes(name));
  if (unknown !== undefined)
    throw new UsageError(`--only: found ${unknown}; expected one of ${known.join(', ')}`);
  return new Set(names);
}
