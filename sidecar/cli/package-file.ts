/** Files that come with the program: found where it is installed when the working directory is no clone. */

import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** Runs as dist/sidecar/cli/package-file.js or as sidecar/cli/package-file.ts. */
const ROOTS = ['../../../', '../../'];

/** `path` as it is when it is there; else where the package has it; else as it is. */
export function packageFile(path: string): string {
  if (existsSync(path)) return path;
  const places = ROOTS.map((root) => fileURLToPath(new URL(root + path, import.meta.url)));
  return places.find((place) => existsSync(place)) ?? path;
}
