/**
 * Consul's built-in proxy, `consul connect proxy`: TLS with Connect certificates around plain TCP. It fetches leaf,
 * roots, peers and intentions from the agent by itself, names no server in its hello, and knows nothing of HTTP/2.
 */

import type { Address } from '../../../sidecar/config/model.js';
import { freePort } from '../process/free-port.js';
import type { ConnectMesh } from './mesh.js';
import { accepts, loopback, Program, portOf } from './programs.js';

/** `address`: where it listens, for its own application in the client role, for peers in the server role. */
export type BuiltinProxy = Awaited<ReturnType<typeof start>>;

/** The client role: what comes in plainly for `upstream` goes to a peer of it that the catalogue names, as `service`. */
export async function builtinClient(mesh: ConnectMesh, service: string, upstream: string) {
  const port = await freePort();
  return start(mesh, service, port, `-upstream=${upstream}:127.0.0.1:${port}`);
}

/** The server role: lets callers in that the intentions allow to call `service`, and passes it on to `local`. */
export async function builtinServer(mesh: ConnectMesh, service: string, local: Address, listen?: number) {
  const port = listen ?? (await freePort());
  return start(mesh, service, port, `-service-addr=127.0.0.1:${portOf(local)}`, `-listen=127.0.0.1:${port}`);
}

async function start(mesh: ConnectMesh, service: string, port: number, ...args: string[]) {
  const command = [mesh.consulBinary, 'connect', 'proxy', `-service=${service}`, ...args] as const;
  const program = mesh.own(new Program(`built-in proxy of ${service}`, command, mesh.consulEnvironment()));
  await program.started('it listens', () => accepts(port));
  return { address: loopback(port), stop: () => program.stop() };
}
