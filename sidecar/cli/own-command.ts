import { existsSync, realpathSync } from 'node:fs';
import { basename, delimiter, dirname, join } from 'node:path';
import { attempt } from '../runtime/attempt.js';

/** Where a person types, and where the program lies. */
export interface Place {
  /** The working directory. */
  readonly cwd: string;
  /** The variable PATH; empty where there is none. */
  readonly path: string;
  /** Folder of the package. */
  readonly folder: string;
  /** File that runs the program, such as `FOLDER/dist/sidecar/main.js`. */
  readonly entry: string;
}

/**
 * How a person at `cwd` calls this very program, for lines that are printed to be pasted:
 * `npx outrider` where npm finds it from there, `outrider` where it is on the PATH, else Node with
 * the file. A folder that npm itself has put on the PATH is gone in the person's shell.
 */
export function ownCommand({ cwd, path, folder, entry }: Place): string {
  const own = real(entry);
  for (let at = cwd; ; at = dirname(at)) {
    if (real(at) === real(folder) || real(join(at, 'node_modules/.bin/outrider')) === own)
      return 'npx outrider';
    if (at === dirname(at)) break;
  }
  const shellPath = path.split(delimiter).filter((each) => basename(each) !== '.bin');
  if (shellPath.some((each) => each !== '' && real(join(each, 'outrider')) === own)) return 'outrider';
  return `node ${quoted(own ?? entry)}`;
}

/**
 * The line that installs a package beside the program in `folder`, without the package's install
 * script: into the project at `cwd`, or globally, or into the folder where npx or another project
 * has put the program.
 */
export function installLine(what: string, { cwd, folder }: Pick<Place, 'cwd' | 'folder'>): string {
  const install = 'npm install --ignore-scripts';
  const modules = dirname(folder);
  const project = basename(modules) === 'node_modules' ? dirname(modules) : folder;
  if (real(project) === real(cwd)) return `${install} ${what}`;
  // npm's global folder is PREFIX/lib/node_modules, and is no project.
  if (basename(project) === 'lib' && !existsSync(join(project, 'package.json')))
    return `${install} -g ${what}`;
  return `${install} --prefix ${quoted(project)} ${what}`;
}

function real(path: string): string | undefined {
  return attempt(() => realpathSync(path), undefined);
}

function quoted(path: string): string {
  return /^[\w@%+=:,./~-]+$/.test(path) ? path : `'${path.replaceAll("'", "'\\''")}'`;
}
