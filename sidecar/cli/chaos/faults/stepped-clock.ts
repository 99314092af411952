/**
 * A wall clock that can be stepped, for processes that are started with its variables: libfaketime answers their questions for the
 * time. The clock of the machine is not touched, and neither are monotonic clocks, as with a real step.
 */

import { existsSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { cacheFolder } from '../../package-info.js';

/** The library for programs with threads, as Node is one. */
const LIBRARY = 'libfaketimeMT.so.1';
/** Debian and its relatives put it below a folder of the processor's name; others do not. */
const ROOTS = ['/usr/lib', '/usr/lib64', '/usr/local/lib'];

/** Path of libfaketime; undefined: it is not here. `OUTRIDER_LIBFAKETIME` names it; `.cache/libfaketime` may hold it unpacked. */
export function findFaketime(
  env: NodeJS.ProcessEnv = process.env,
  roots: readonly string[] = [...ROOTS, join(cacheFolder(), 'libfaketime/usr/lib')],
): string | undefined {
  const asked = env['OUTRIDER_LIBFAKETIME'] ?? '';
  if (asked !== '') return existsSync(asked) ? asked : undefined;
  const folders = roots.filter(existsSync).flatMap((root) => [root, ...subfolders(root)]);
  return folders.map((folder) => join(folder, 'faketime', LIBRARY)).find(existsSync);
}

function subfolders(root: string): readonly string[] {
  return readdirSync(root, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => join(root, name));
}

export class SteppedClock {
  private constructor(
    private readonly file: string,
    private readonly library: string,
  ) {
    this.step(0);
  }

  /** @param dir private folder of the run. Throws where there is no libfaketime. */
  static create(dir: string, library: string | undefined = findFaketime()): SteppedClock {
    if (library === undefined) throw new Error('there is no libfaketime');
    return new SteppedClock(join(dir, 'clock'), library);
  }

  /** Variables of a process whose wall clock this is. */
  get env(): Readonly<Record<string, string>> {
    return {
      LD_PRELOAD: this.library,
      FAKETIME_TIMESTAMP_FILE: this.file,
      // Deadlines and timers count from a clock that no step moves.
      FAKETIME_DONT_FAKE_MONOTONIC: '1',
      // The shortest time, s, after which the file is read again.
      FAKETIME_CACHE_DURATION: '1',
    };
  }

  /** The clock is so far ahead of the machine's, s, within a second from now on. 0: it is right. */
  step(seconds: number): void {
    writeFileSync(this.file, `${seconds < 0 ? '' : '+'}${seconds}\n`, { mode: 0o600 });
  }
}
