import { createRequire } from 'node:module';
import { CommandFailure } from './failure.js';
import { installLine } from './own-command.js';
import { optionalVersions, ownPlace } from './package-info.js';

const RUNTIME = 'onnxruntime-node';

/**
 * Checks that the inference runtime is installed. It is not part of the package: a sidecar needs
 * none, and its install script downloads GPU libraries. `outrider-models` brings it along.
 *
 * @throws CommandFailure with the command that installs it.
 */
export function requireModelRuntime(): void {
  try {
    createRequire(import.meta.url).resolve(RUNTIME);
  } catch {
    const version = optionalVersions(RUNTIME).replace(/^[~^]/, '');
    throw new CommandFailure(
      `the inference runtime (${RUNTIME}) is not installed, which serving models needs; install it with: ${installLine(`${RUNTIME}@${version}`, ownPlace())}`,
    );
  }
}
