/**
 * One caller's sidecar in front of several scripted upstreams: for tests of what the client role makes of them.
 */

import { writeAddress } from '../../../sidecar/config/codecs/address.js';
import { type RawScript, type RawServer, rawServer } from '../http2/raw-server.js';
import { SidecarBench } from '../process/sidecars.js';

export type SidecarBeforeUpstreams = Awaited<ReturnType<typeof startUpstreams>>;
type Scripts = Readonly<Record<string, RawScript>>;

/** `options`: what each upstream's block says beside its listener, endpoint and `tls: plaintext`. */
export async function startUpstreams(scripts: Scripts, options: Readonly<Record<string, unknown>> = {}) {
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
      const endpoints = [writeAddress(server.address)];
      upstreams[name] = { listen: '127.0.0.1:0', tls: 'plaintext', endpoints, ...options };
    }
    const sidecar = await bench.start('caller', { service: 'app', outbound: { upstreams } });
    return {
      sidecar,
      server: (name: string) => servers.get(name) as RawServer,
      /** Where the application calls the upstream of this name. */
      target: (name: string) => sidecar.address(`upstream ${name}`),
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}
