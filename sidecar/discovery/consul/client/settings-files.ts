/** Environment variables and small files that settings come from, and the one form in which a wrong one is refused. */

import { readFileSync, statSync } from 'node:fs';

export type Environment = Readonly<Record<string, string | undefined>>;

const MAX_FILE_BYTES = 1024 * 1024;

/** @param from the option or the variable. */
export function wrong(from: string, found: string, expected: string): string {
  return `${from} is "${found.slice(0, 200)}"; expected ${expected}`;
}

export function nonEmpty(text: string | undefined): string | undefined {
  return text === undefined || text === '' ? undefined : text;
}

/** A regular file of at most 1 MiB: a FIFO or a device in its place would hold up the start for ever. */
export function readSmall(path: string): string {
  const stat = statSync(path);
  if (!stat.isFile()) throw Object.assign(new Error('not a regular file'), { code: 'not a regular file' });
  if (stat.size > MAX_FILE_BYTES) throw Object.assign(new Error('too large'), { code: 'larger than 1 MiB' });
  return readFileSync(path, 'utf8');
}

export function readIfSmall(path: string): string {
  try {
    return readSmall(path);
  } catch {
    return '';
  }
}

export function codeOf(error: unknown): string {
  return (error as NodeJS.ErrnoException).code ?? String(error);
}
