/** Reading the file a command was given: the configuration, or every problem with it as the command's failure. */

import { loadMeshFile, loadSidecarFile } from '../config/file/load.js';
import type { ParseResult } from '../config/file/parse.js';
import { formatProblem, formatProblems, type Problem } from '../config/file/problem.js';
import type { MeshConfig, SidecarConfig } from '../config/model.js';
import { CommandFailure } from './failure.js';

export function readMeshFile(file: string, warn: (line: string) => void): MeshConfig {
  return configOf(loadMeshFile(file), warn);
}

export function readSidecarFile(file: string, warn: (line: string) => void): SidecarConfig {
  return configOf(loadSidecarFile(file), warn);
}

/** One line per problem. */
export function problemsText(problems: readonly Problem[]): string {
  return formatProblems(problems);
}

function configOf<T>(result: ParseResult<T>, warn: (line: string) => void): T {
  if (!result.ok) throw new CommandFailure(problemsText(result.problems));
  for (const warning of result.warnings) warn(formatProblem(warning));
  return result.config;
}
