/**
 * Which Consul agent a mesh uses: the one its file names, one started beside it (`--consul dev`),
 * or none.
 */

import type { Address, ConsulConfig, MeshConfig } from '../../config/model.js';
import { plainConsul } from '../../config/options/consul/consul.js';
import { ConsulAgent } from '../../discovery/consul/client/client.js';
import { agentSettings } from '../../discovery/consul/client/settings.js';
import type { Environment } from '../../discovery/settings-files.js';
import { systemTimers } from '../../runtime/time/timers.js';
import type { AgentPorts } from '../consul/agent-file.js';
import { DevAgent, type DevAgentInput } from '../consul/dev-agent.js';
import { MeshIntentionWriter } from '../consul/write-intentions.js';
import { CommandFailure, oneLine } from '../failure.js';
import type { PortAllocator } from './port-allocator.js';
import type { RunDirectory } from './run-directory.js';

const HOST = '127.0.0.1';
/** Consul's default HTTP port: its command line and UI bookmarks use it without configuration. */
const DEFAULT_PORT = 8500;
/**
 * Folder of the agent in the run directory. Names of services begin with a letter or digit, so it
 * is free.
 */
const FOLDER = '_consul';
const LEADER_QUERY = { timeoutMs: 2_000, maxBytes: 65_536 };

/**
 * The `consul` block for every sidecar file of the mesh.
 *
 * @param agentUrl URL of the agent started by `--consul dev`; undefined: the mesh file's own block
 * holds.
 * @returns undefined when the mesh runs without Consul.
 */
export function consulOf(mesh: MeshConfig, agentUrl: string | undefined): ConsulConfig | undefined {
  if (agentUrl === undefined) return mesh.consul;
  const { tokenFile: _, ...options } = mesh.consul ?? plainConsul();
  return { ...options, address: agentUrl, tls: {} };
}

/**
 * Options of the mesh file that have no effect with this agent, one line each, for standard error.
 */
export function withoutEffect(
  { consul, intentions, areIntentionsImplied }: MeshConfig,
  { ownAgent }: { readonly ownAgent: boolean },
): string[] {
  if (consul === undefined) return [];
  if (ownAgent) {
    const { address } = consul;
    return address === undefined ? [] : [`--consul dev brings an agent of its own; ${address} is not asked`];
  }
  if (!consul.intentions || intentions.length === 0 || areIntentionsImplied) return [];
  return [
    'the intentions in the mesh file have no effect: the Consul agent decides which calls are allowed' +
      ' (consul intention create -allow FROM TO); --consul dev writes them into an agent of its own,' +
      ' and consul.intentions: false lets the file decide',
  ];
}

/**
 * Ports for the agent of `--consul dev`, held by `ports`. HTTP is 8500 unless it is taken or the
 * mesh file uses it.
 */
export async function agentPorts(mesh: MeshConfig, ports: PortAllocator): Promise<AgentPorts> {
  const reserved = portsInFile(mesh);
  const isDefaultFree = !reserved.has(DEFAULT_PORT) && (await ports.tryClaim(HOST, DEFAULT_PORT));
  const find = async (): Promise<number> => {
    const port = await ports.find(HOST);
    return reserved.has(port) ? find() : port;
  };
  return { http: isDefaultFree ? DEFAULT_PORT : await find(), serfLan: await find(), rpc: await find() };
}

/** TCP ports that the mesh file assigns to the caller, to replicas and to upstreams of services. */
function portsInFile({ caller, services }: MeshConfig): Set<number> {
  const upstreams = [caller, ...services].flatMap((calling) => calling.upstreams ?? []);
  const listeners = [caller.admin, caller.shared?.listen, ...upstreams.map(({ listen }) => listen)];
  const replicaPorts = services.flatMap(({ portBase, replicas }) =>
    portBase === undefined ? [] : Array.from({ length: 2 * replicas }, (_, i) => portBase + i),
  );
  const portOf = (at: Address | undefined) => (at?.kind === 'tcp' ? [at.port] : []);
  return new Set([...listeners.flatMap(portOf), ...replicaPorts]);
}

export interface StartConsulInput extends Omit<DevAgentInput, 'folder' | 'ports' | 'datacenter'> {
  readonly mesh: MeshConfig;
  readonly run: RunDirectory;
}

/**
 * Starts the agent of `--consul dev`. It is not ready when this resolves: see `prepareConsul`.
 *
 * @param allocator keeps the agent's ports reserved until it is closed.
 */
export async function startConsul(input: StartConsulInput, allocator: PortAllocator): Promise<DevAgent> {
  const { mesh, run } = input;
  const ports = await agentPorts(mesh, allocator);
  const agent = new DevAgent({ ...input, folder: run.folder(FOLDER), ports, datacenter: mesh.datacenter });
  await allocator.release();
  agent.start();
  return agent;
}

/** Writes the intentions of a mesh file into the agent of `--consul dev`. The lines say what it has changed. */
export type WriteIntentions = (mesh: MeshConfig) => Promise<readonly string[]>;

/**
 * Waits until the agent can serve sidecars, and writes the mesh file's intentions into it, unless
 * the file itself decides (`consul.intentions: false`).
 *
 * @returns what writes those of a changed file; undefined where the file itself decides.
 * @throws CommandFailure when the agent does not start or refuses an intention.
 */
export async function prepareConsul(agent: DevAgent, mesh: MeshConfig): Promise<WriteIntentions | undefined> {
  await agent.ready;
  if (mesh.consul?.intentions === false) return undefined;
  const writer = new MeshIntentionWriter(agent.api);
  await writer.write(mesh);
  return (next) => writer.write(next);
}

export interface ExternalConsul {
  /** URL for messages, such as `http://127.0.0.1:8500`. */
  readonly where: string;
  /**
   * One line when the agent does not answer. Not fatal: sidecars wait for an agent that starts
   * later.
   */
  readonly problem?: string;
}

/**
 * Asks the agent that the mesh file names for its leader, so that a wrong address is reported at
 * start.
 *
 * @throws CommandFailure for settings that cannot be used, such as a CA file that does not exist.
 */
export async function checkExternalConsul(config: ConsulConfig, env: Environment): Promise<ExternalConsul> {
  const agent = agentFor(config, env);
  const { where } = agent;
  try {
    await agent.leader(LEADER_QUERY);
    return { where };
  } catch (error) {
    const problem = `no Consul agent at ${where} (${oneLine(error)}): sidecars wait for it; --consul dev brings one along`;
    return { where, problem };
  } finally {
    agent.close();
  }
}

function agentFor(config: ConsulConfig, env: Environment): ConsulAgent {
  try {
    return new ConsulAgent(agentSettings(config, env), systemTimers);
  } catch (error) {
    throw new CommandFailure(`consul: ${oneLine(error)}`);
  }
}
