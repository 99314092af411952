import { createRequire } from 'node:module';
import { CommandFailure } from './failure.js';
import { optionalVersions } from './package-info.js';

const RUNTIME = 'onnxruntime-node';

/**
 * Checks that the inference runtime is installed. It is an optional dependency: its install script
 * downloads GPU libraries, and npm skips the package where that fails.
 *
 * @param from file URL or path from which the runtime is resolved.
 * @throws CommandFailure with the command that installs it.
 */
export function requireModelRuntime(from: string = import.meta.url): void {
  try {
    createRequire(from).resolve(RUNTIME);
  } catch {
    throw new CommandFailure(
      `the inference runtime (${RUNTIME}) is not installed, which serving models needs; install it with: npm install --ignore-scripts ${RUNTIME}@${optionalVersions(RUNTIME).replace(/^[~^]/, '')}`,
    );
  }
}
