import { loadAnyFile } from '../../config/file/load.js';
import type { MeshConfig, SidecarConfig } from '../../config/model.js';
import { formatProblems } from '../../config/problem.js';
import { CommandFailure } from '../failure.js';
import { meshNeeds, policyRules, sidecarNeeds } from './policy-rules.js';

/** Flags of `outrider consul policy`, as commander parses them. */
export interface PolicyFlags {
  readonly node?: string;
}

/**
 * `outrider consul policy FILE`: prints the ACL rules that the sidecar of a file needs, or for a
 * mesh file the token that all its sidecars use. Asks no agent.
 *
 * @returns 0.
 * @throws CommandFailure for an invalid file, and for one that does not use Consul.
 */
export function policyCommand(file: string, { node }: PolicyFlags): number {
  const { kind, result } = loadAnyFile(file);
  if (!result.ok) throw new CommandFailure(formatProblems(result.problems));
  const config = result.config as SidecarConfig | MeshConfig;
  if (config.consul === undefined)
    throw new CommandFailure(`${file}: consul: found none; a file that does not use Consul needs no policy`);
  const needs = kind === 'mesh' ? meshNeeds(config as MeshConfig) : sidecarNeeds(config as SidecarConfig);
  process.stdout.write(policyRules({ ...needs, node }));
  return 0;
}
