/**
 * Whether the inference runtime is installed. It is an optional dependency: its install script downloads GPU libraries, and
 * where it cannot, npm leaves the package out and installs the rest, which serves models of other programs without it.
 */

import { createRequire } from 'node:module';
import { CommandFailure } from './failure.js';
import { optionalVersions } from './version.js';

const RUNTIME = 'onnxruntime-node';

/** Throws a CommandFailure with the line that installs the runtime, unless `from` (a file URL or path) can import it. */
export function requireModelRuntime(from: string = import.meta.url): void {
  try {
    createRequire(from).resolve(RUNTIME);
  } catch {
    throw new CommandFailure(
      `the inference runtime (${RUNTIME}) is not installed, which serving models needs; install it with: npm install --ignore-scripts ${RUNTIME}@${optionalVersions(RUNTIME).replace(/^[~^]/, '')}`,
    );
  }
}
