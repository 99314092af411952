/**
 * Writes the generated files of mesh-config/. Run by `npm run generate`; a test fails when they are out of date.
 */
import { existsSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { generatedFiles } from './generated-files.js';

const target = join(packageRoot(dirname(fileURLToPath(import.meta.url))), 'mesh-config');
for (const { name, content } of generatedFiles()) writeFileSync(join(target, name), content);

/** The same from the sources and from dist/. */
function packageRoot(directory: string): string {
  if (existsSync(join(directory, 'package.json'))) return directory;
  const parent = dirname(directory);
  if (parent === directory) throw new Error('no package.json above this file');
  return packageRoot(parent);
}
