/**
 * One caller's sidecar in front of several scripted upstreams: for tests of what the client role makes of them.
 */

import { writeAddress } from '../../../sidecar/config/codecs/address.js';
import type { Address } from '../../../sidecar/config/model.js';
import { type RawScript, type RawServer, rawServer } from '../http2/raw-server.js';
import { SidecarBench, type SidecarProcess } from '../process/sidecars.js';

export interface SidecarBeforeUpstreams {
  readonly sidecar: SidecarProcess;
  server(name: string): RawServer;
  /** Where the application calls the upstream of this name. */
  target(name: string): Address;
  close(): Promise<void>;
}

/** `options`: what each upstream's block says beside its listener, endpoint and `tls: plaintext`. */
export async function startUpstreams(
  scripts: Readonly<Record<string, RawScript>>,
  options: Readonly<Record<string, unknown>> = {},
): Promise<SidecarBeforeUpstreams> {
  const bench = await SidecarBench.open();
  const servers = new Map<string, RawServer>();
  const close = async (): Promise<void> => {
    await bench.close();
    for (const server of servers.values()) await server.close();
  };
  try {
    const upstreams: Record<string, unknown> = {};
    for (const [name, script] of Object.entries(scripts)) {
      const server = await rawServer(script);
      servers.set(name, server);
      upstreams[name] = {
        listen: '127.0.0.1:0',
        tls: 'plaintext',
        endpoints: [writeAddress(server.address)],
        ...options,
      };
    }
    const sidecar = await bench.start('caller', { service: 'app', outbound: { upstreams } });
    return {
      sidecar,
      server: (name) => servers.get(name) as RawServer,
      target: (name) => sidecar.address(`upstream ${name}`),
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}
