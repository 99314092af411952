import { loadAnyFile } from '../../config/file/load.js';
import type { ConsulConfig, MeshConfig, SidecarConfig } from '../../config/model.js';
import { formatProblems } from '../../config/problem.js';
import { AgentError } from '../../discovery/consul/client/response.js';
import { readAdopted } from '../check/adopted-registration.js';
import { AskedAgent } from '../consul/asked-agent.js';
import { CommandFailure } from '../failure.js';
import { readSidecarFile } from '../read-config.js';
import { meshNeeds, policyRules, sidecarNeeds } from './policy-rules.js';

/** Flags of `outrider consul policy`, as commander parses them. */
export interface PolicyFlags {
  readonly node?: string;
  readonly consul?: string;
}

/**
 * `outrider consul policy FILE`: prints the ACL rules that the sidecar of a file needs, or for a
 * mesh file the token that all its sidecars use. Only for a file with `consul.adopt` an agent is asked: its registration says
 * which service this is, and what it calls.
 *
 * @returns 0.
 * @throws CommandFailure for an invalid file, for one that does not use Consul, and for a registration that cannot be read.
 */
export async function policyCommand(
  file: string,
  { node, consul: address }: PolicyFlags,
  print: (text: string) => void = (text) => void process.stdout.write(text),
): Promise<number> {
  const { kind, result } = loadAnyFile(file);
  if (!result.ok) throw new CommandFailure(formatProblems(result.problems));
  const config = result.config as SidecarConfig | MeshConfig;
  if (config.consul === undefined)
    throw new CommandFailure(`${file}: consul: found none; a file that does not use Consul needs no policy`);
  const needs =
    kind === 'mesh'
      ? meshNeeds(config as MeshConfig)
      : sidecarNeeds(await withRegistration(file, config as SidecarConfig, address));
  print(policyRules({ ...needs, node }));
  return 0;
}

/** The file with the registration that it adopts, where it adopts one. */
async function withRegistration(
  file: string,
  config: SidecarConfig,
  address: string | undefined,
): Promise<SidecarConfig> {
  const { adopt } = config.consul!;
  if (adopt === undefined) return config;
  // The token of the file is what the policy is for, and may not exist yet: the operator's, of the environment, is used.
  const { tokenFile: _, ...said } = config.consul!;
  const agent = AskedAgent.open(address, said as ConsulConfig);
  try {
    const adopted = await readAdopted(agent, adopt);
    if (typeof adopted === 'string') throw new CommandFailure(`${file}: ${adopted}`);
    return readSidecarFile(file, () => {}, adopted);
  } catch (error) {
    throw error instanceof CommandFailure ? error : unread(file, agent, error);
  } finally {
    agent.close();
  }
}

function unread(file: string, agent: AskedAgent, error: unknown): CommandFailure {
  const { message } = agent.failure(error);
  const isDenied = error instanceof AgentError && error.status === 403;
  const next = isDenied ? '; CONSUL_HTTP_TOKEN needs a token with service "NAME" { policy = "read" }' : '';
  return new CommandFailure(
    `${file}: consul.adopt: the registration says what the policy needs, and cannot be read: ${message}${next}`,
  );
}
