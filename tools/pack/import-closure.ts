/** Which files a program consists of: what its entries import, and what those import, of one tree of compiled modules. */
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

export interface ImportClosure {
  /** The files, the entries included, sorted. */
  readonly files: readonly string[];
  /** Names of the packages that they import, sorted; Node's own modules are left out. */
  readonly packages: readonly string[];
}

/** An import that stands at the start of a line or in a call, as the compiler and esbuild write them; words in comments do not. */
const IMPORT =
  /^(?:import|export)\s(?:[^'";]*?\sfrom\s)?(?:'([^'\n]+)'|"([^"\n]+)")|\bimport\('([^'\n]+)'\)/gm;

/**
 * Follows the imports of ES modules from `entries`. A relative import leads to a file, any other to a package.
 *
 * @param read the text of a file; throws where it is not there, which says that the tree is not whole.
 */
export function importClosure(
  entries: readonly string[],
  read: (path: string) => string = (path) => readFileSync(path, 'utf8'),
): ImportClosure {
  const files = new Set<string>();
  const packages = new Set<string>();
  const walk = (file: string): void => {
    if (files.has(file)) return;
    files.add(file);
    for (const [, from, quoted, called] of read(file).matchAll(IMPORT)) {
      const target = (from ?? quoted ?? called)!;
      if (target.startsWith('.')) walk(join(dirname(file), target));
      else if (!target.startsWith('node:')) packages.add(packageOf(target));
    }
  };
  for (const entry of entries) walk(entry);
  return { files: [...files].sort(), packages: [...packages].sort() };
}

/** `@scope/name/path` and `name/path` without the path. */
function packageOf(specifier: string): string {
  return specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/');
}
