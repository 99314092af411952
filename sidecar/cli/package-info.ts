import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { attempt } from '../runtime/attempt.js';
import type { Place } from './own-command.js';

interface PackageInfo {
  readonly folder: string;
  readonly name: string;
  readonly version: string;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
  /** In the packed package, where the optional dependencies of a clone are optional peers. */
  readonly peerDependencies?: Readonly<Record<string, string>>;
}

/**
 * The package's `package.json`: the nearest one named `outrider` above this file, which holds both
 * for `dist/sidecar/cli/` and for the sources. Undefined when the package was taken apart.
 */
const PACKAGE = findPackage(dirname(fileURLToPath(import.meta.url)));

function findPackage(start: string): PackageInfo | undefined {
  for (let folder = start; ; folder = dirname(folder)) {
    const info = attempt(() => JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')), undefined);
    if (info?.name === 'outrider') return { ...info, folder };
    if (folder === dirname(folder)) return undefined;
  }
}

/** Version of this package, such as `0.1.0`; `unknown` when its `package.json` is missing. */
export function packageVersion(): string {
  return PACKAGE?.version ?? 'unknown';
}

/** Version range of an optional dependency in `package.json`; `latest` when none is stated. */
export function optionalVersions(dependency: string): string {
  const { optionalDependencies, peerDependencies } = PACKAGE ?? {};
  return optionalDependencies?.[dependency] ?? peerDependencies?.[dependency] ?? 'latest';
}

/** Where the program lies, and from where it was started. */
export function ownPlace(): Place {
  const { PATH: path = '' } = process.env;
  const folder = PACKAGE?.folder ?? '.';
  return { cwd: process.cwd(), path, folder, entry: join(folder, 'dist/sidecar/main.js') };
}

/**
 * A file that is shipped with the program, such as `mesh-config/demo.yaml`.
 *
 * @param path relative to the working directory or to the package.
 * @returns the path in the working directory when it exists there, else in the package, else
 * unchanged.
 */
export function packageFile(path: string): string {
  const shipped = join(PACKAGE?.folder ?? '.', path);
  return !existsSync(path) && existsSync(shipped) ? shipped : path;
}

/** Folder of the mesh files that come with the program. */
export function shippedMeshes(): string {
  return join(PACKAGE?.folder ?? '.', 'mesh-config');
}

/** `.cache` of the package: downloaded programs (Consul) are kept there. */
export function cacheFolder(): string {
  return join(PACKAGE?.folder ?? '.', '.cache');
}
