/** What the package.json of this package says, the nearest one above this file. */

import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** `unknown` when the package file is not where it is installed. */
export function packageVersion(): string {
  return packageFile()?.version ?? 'unknown';
}

/** The versions of an optional dependency that fit; `latest` when the package file does not say. */
export function optionalVersions(dependency: string): string {
  return packageFile()?.optionalDependencies?.[dependency] ?? 'latest';
}

interface PackageFile {
  readonly name: string;
  readonly version: string;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
}

function packageFile(): PackageFile | undefined {
  for (let folder = dirname(fileURLToPath(import.meta.url)); ; folder = dirname(folder)) {
    try {
      const file = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as PackageFile;
      if (file.name === 'outrider') return file;
    } catch {
      // no package file here: look one folder up
    }
    if (folder === dirname(folder)) return undefined;
  }
}
