/**
 * Which Consul a mesh uses: the one its file names, one of its own (`--consul dev`), or none.
 *
 * An agent of its own gets what the mesh file says of intentions. One that is somebody else's is not written to, except
 * for what sidecars register; where the file then says something that has no effect, that is said.
 */

import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Address, ConsulConfig, MeshConfig } from '../../config/model.js';
import { plainConsul } from '../../config/options/consul/consul.js';
import type { AgentPorts } from '../consul/agent-file.js';
import type { PortAllocator } from './port-allocator.js';

const HOST = '127.0.0.1';
/** Where people and programs look for an agent first. */
const USUAL_PORT = 8500;

/** What every spec is told; `agentUrl` is that of an agent of our own. Undefined: the mesh does without Consul. */
export function consulOf(mesh: MeshConfig, agentUrl: string | undefined): ConsulConfig | undefined {
  if (agentUrl === undefined) return mesh.consul;
  const { tokenFile: _, ...said } = mesh.consul ?? plainConsul();
  return { ...said, address: agentUrl, tls: {} };
}

/** What of the file has no effect, one line each. */
export function withoutEffect(
  { consul, intentions, areIntentionsImplied }: MeshConfig,
  ownAgent: boolean,
): string[] {
  if (consul === undefined) return [];
  if (ownAgent) {
    const { address } = consul;
    return address === undefined ? [] : [`--consul dev brings an agent of its own; ${address} is not asked`];
  }
  if (!consul.intentions || intentions.length === 0 || areIntentionsImplied) return [];
  return [
    'the intentions in the mesh file have no effect: who may call is what the Consul agent says' +
      ' (consul intention create -allow FROM TO); --consul dev writes them into an agent of its own,' +
      ' and consul.intentions: false lets the file decide',
  ];
}

/** Free ports, held by `ports`; the API's is 8500 unless that is taken or the mesh wants it. */
export async function agentPorts(mesh: MeshConfig, ports: PortAllocator): Promise<AgentPorts> {
  const wanted = namedPorts(mesh);
  const usual = !wanted.has(USUAL_PORT) && (await ports.tryClaim(HOST, USUAL_PORT));
  const find = async (): Promise<number> => {
    const port = await ports.find(HOST);
    return wanted.has(port) ? find() : port;
  };
  return { http: usual ? USUAL_PORT : await find(), serfLan: await find(), rpc: await find() };
}

/** Those that the file gives to the caller and to replicas. */
function namedPorts({ caller, services }: MeshConfig): Set<number> {
  const listeners = [
    caller.admin,
    caller.shared?.listen,
    ...caller.upstreams.map((upstream) => upstream.listen),
  ];
  const replicas = services.flatMap(({ portBase, replicas }) =>
    portBase === undefined ? [] : Array.from({ length: 2 * replicas }, (_, i) => portBase + i),
  );
  return new Set([...listeners.flatMap(portOf), ...replicas]);
}

function portOf(address: Address | undefined): number[] {
  return address?.kind === 'tcp' ? [address.port] : [];
}

/** `.cache` of the clone, where programs that were brought lie. */
export function cacheFolder(): string {
  let folder = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(folder, 'package.json')) && folder !== dirname(folder)) folder = dirname(folder);
  return join(folder, '.cache');
}
