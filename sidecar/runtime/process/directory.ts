import { mkdirSync, statSync } from 'node:fs';
import { dirname } from 'node:path';

/**
 * Makes a directory and those above it that are missing; one that is there is left as it is. `mode`: of each that is made, less the
 * umask, default 0777. In place of `mkdir` with `recursive`, which never returns where the file system says of a directory in one that
 * exists that there is no such entry, as /proc does (Node 20 to 24).
 * @throws the error of the system, such as EACCES, ENOSPC, and EEXIST or ENOTDIR where a file stands in the way
 */
export function makeDirectory(path: string, mode = 0o777): void {
  if (isDirectory(path)) return;
  const parent = dirname(path);
  if (parent !== path) makeDirectory(parent, mode);
  try {
    mkdirSync(path, { mode });
  } catch (error) {
    // Another process may have made it meanwhile.
    if (!isDirectory(path)) throw error;
  }
}

function isDirectory(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
}
