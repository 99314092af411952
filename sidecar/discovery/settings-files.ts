import { readFileSync, statSync } from 'node:fs';

/** The environment variables of the process. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** PEM files and tokens are a few KiB. */
const MAX_FILE_BYTES = 1024 * 1024;

/** The error of a wrong setting: what it is and what was expected. @param from the option or the variable. */
export function wrong(from: string, found: string, expected: string): Error {
  return new Error(`${from} is "${found.slice(0, 200)}"; expected ${expected}`);
}

/** The text; undefined where it is empty. */
export function nonEmpty(text: string | undefined): string | undefined {
  return text === undefined || text === '' ? undefined : text;
}

/** The content of a regular file of at most 1 MiB: a FIFO or a device in its place would hold up the start for ever. */
export function readSmall(path: string): string {
  const stat = statSync(path);
  if (!stat.isFile()) throw Object.assign(new Error('not a regular file'), { code: 'not a regular file' });
  if (stat.size > MAX_FILE_BYTES) throw Object.assign(new Error('too large'), { code: 'larger than 1 MiB' });
  return readFileSync(path, 'utf8');
}

/** What changes with the content of a file; the error code where it cannot be looked at. */
export function stampOf(path: string): string {
  try {
    const { ino, size, mtimeMs } = statSync(path);
    return `${ino} ${size} ${mtimeMs}`;
  } catch (error) {
    return codeOf(error);
  }
}

/** The content of a file; empty where it cannot be read. */
export function readIfSmall(path: string): string {
  try {
    return readSmall(path);
  } catch {
    return '';
  }
}

/** The error code of the system (`ENOENT`), or the error as text. */
export function codeOf(error: unknown): string {
  return (error as NodeJS.ErrnoException).code ?? String(error);
}
