/** The version of this package, read once from the nearest package.json above this file. */

import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** `unknown` when the package file is not where it is installed. */
export function packageVersion(): string {
  for (let folder = dirname(fileURLToPath(import.meta.url)); ; folder = dirname(folder)) {
    try {
      const { name, version } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
      if (name === 'outrider') return String(version);
    } catch {
      // no package file here: look one folder up
    }
    if (folder === dirname(folder)) return 'unknown';
  }
}
