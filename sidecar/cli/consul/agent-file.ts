import { join } from 'node:path';

/** TCP ports of an agent on 127.0.0.1. */
export interface AgentPorts {
  readonly http: number;
  readonly serfLan: number;
  readonly rpc: number;
}

export interface AgentFileInput {
  /** Private folder; the agent's state goes into `data` in it. */
  readonly folder: string;
  readonly ports: AgentPorts;
  readonly datacenter: string;
  /** Version of the program, such as `1.8.7`. */
  readonly version: string;
}

/**
 * Configuration of a Consul agent for development: one server on loopback, with its UI.
 *
 * It differs from `consul agent -dev` in keeping its state on disk: after a restart the agent has
 * the same certificate authority, services and intentions. The cost is about a second until the
 * first leader election.
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
    ports: { http: ports.http, serf_lan: ports.serfLan, server: ports.rpc, ...unusedPorts(version) },
    performance: { raft_multiplier: 1, leave_drain_time: '0s' },
    connect: { enabled: true },
    disable_update_check: true,
    log_level: 'INFO',
  };
}

/**
 * Ports to switch off (−1). `grpc_tls` exists since Consul 1.14; an older agent refuses the key.
 */
function unusedPorts(version: string): Record<string, number> {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  const hasGrpcTls = major > 1 || minor >= 14;
  return { https: -1, dns: -1, grpc: -1, serf_wan: -1, ...(hasGrpcTls ? { grpc_tls: -1 } : {}) };
}
