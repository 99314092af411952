import { loadMeshFile, loadSidecarFile } from '../config/file/load.js';
import type { ParseResult } from '../config/file/parse.js';
import type { AdoptedProxy, MeshConfig, SidecarConfig } from '../config/model.js';
import { formatProblem, formatProblems } from '../config/problem.js';
import { CommandFailure } from './failure.js';
import { shippedMeshes } from './package-info.js';

/**
 * Reads and validates a mesh file whose models lie on this machine; each warning goes to `warn` as one line.
 *
 * @throws CommandFailure with every problem, one line each.
 */
export function readMeshFile(file: string, warn: (line: string) => void): MeshConfig {
  return configOf(loadMeshFile(file, { models: 'required', shipped: shippedMeshes() }), warn);
}

/** As `readMeshFile`, for a sidecar file. @param adopted the registration that its `consul.adopt` names, once it is read. */
export function readSidecarFile(
  file: string,
  warn: (line: string) => void,
  adopted?: AdoptedProxy,
): SidecarConfig {
  return configOf(loadSidecarFile(file, adopted), warn);
}

function configOf<T>(result: ParseResult<T>, warn: (line: string) => void): T {
  if (!result.ok) throw new CommandFailure(formatProblems(result.problems));
  for (const warning of result.warnings) warn(formatProblem(warning));
  return result.config;
}
