/** What a Consul agent of our own is told: one server on loopback, with its UI, that keeps its state in a private folder. */

import { join } from 'node:path';

export interface AgentPorts {
  readonly http: number;
  readonly serfLan: number;
  readonly rpc: number;
}

export interface AgentFileInput {
  /** Private; the state goes into it. */
  readonly folder: string;
  readonly ports: AgentPorts;
  readonly datacenter: string;
  /** Of the program, such as `1.8.7`. */
  readonly version: string;
}

/**
 * Like `consul agent -dev`, except that the state is on disk: an agent that died and was started again then has the same
 * certificate authority, services and intentions, and no call notices. The price is a second until the first leader.
 */
export function agentFile({ folder, ports, datacenter, version }: AgentFileInput): Record<string, unknown> {
  return {
    server: true,
    bootstrap_expect: 1,
    node_name: 'outrider-dev',
    datacenter,
    bind_addr: '127.0.0.1',
    client_addr: '127.0.0.1',
    data_dir: join(folder, 'data'),
    ports: {
      http: ports.http,
      serf_lan: ports.serfLan,
      server: ports.rpc,
      ...unusedPorts(version),
    },
    performance: { raft_multiplier: 1, leave_drain_time: '0s' },
    connect: { enabled: true },
    disable_update_check: true,
    log_level: 'INFO',
  };
}

/** Switched off; an agent refuses a key that its version does not know. */
export function unusedPorts(version: string): Record<string, number> {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  const hasGrpcTls = major > 1 || minor >= 14;
  return { https: -1, dns: -1, grpc: -1, serf_wan: -1, ...(hasGrpcTls ? { grpc_tls: -1 } : {}) };
}
