/**
 * The configuration of a test's Consul agent: its ports, whether it keeps anything on disk, tokens and certificates.
 *
 * The file is private, because it holds the token that may do everything.
 */

import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

export interface AgentPorts {
  /** The HTTP or HTTPS API. */
  readonly api: number;
  readonly serfLan: number;
  readonly serfWan: number;
  readonly rpc: number;
}

export interface ConsulOptions {
  /** Tokens are demanded, policy `deny`; `token` may do everything. */
  readonly acl?: boolean;
  /** The API speaks HTTPS; `mutual`: and demands a certificate. */
  readonly tls?: 'server' | 'mutual';
  /** State outlives the process, so that `restart` can keep it; the first leader then takes a second longer. Default false. */
  readonly persistent?: boolean;
  /** Default `server`. A client needs `join`. */
  readonly role?: 'server' | 'client';
  /** Servers to wait for before the first election. More than one makes the server persistent. Default 1. */
  readonly expect?: number;
  /** `host:port` of agents of the cluster, and of servers of other datacenters. */
  readonly join?: readonly string[];
  readonly joinWan?: readonly string[];
  /** Default `consul-test`. */
  readonly node?: string;
  /** Default `dc1`. `primary`: the datacenter whose servers sign certificates, where it is another one. */
  readonly datacenter?: string;
  readonly primary?: string;
  /** Added to the agent's configuration, in its own words; top-level keys replace ours. */
  readonly config?: Readonly<Record<string, unknown>>;
}

/** Files of the API's certificates; `cert` and `key` are a client's. */
export interface ConsulTls {
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
}

interface AgentFacts {
  readonly folder: string;
  readonly nodeId: string;
  readonly ports: AgentPorts;
  readonly token?: string;
  readonly version: string;
}

/** An agent of a single test server keeps all in memory, like `consul agent -dev`. */
export function isInMemory({ persistent = false, role = 'server', expect = 1 }: ConsulOptions): boolean {
  return !persistent && role === 'server' && expect === 1;
}

export function agentConfig(options: ConsulOptions, facts: AgentFacts): Record<string, unknown> {
  const { role = 'server', expect = 1, join = [], joinWan = [], datacenter = 'dc1', primary } = options;
  const { api, serfLan, serfWan, rpc } = facts.ports;
  const tls = options.tls !== undefined;
  return {
    node_name: options.node ?? 'consul-test',
    node_id: facts.nodeId,
    datacenter,
    ...(primary === undefined ? {} : { primary_datacenter: primary }),
    bind_addr: '127.0.0.1',
    client_addr: '127.0.0.1',
    data_dir: path.join(facts.folder, 'data'),
    ports: {
      http: tls ? -1 : api,
      https: tls ? api : -1,
      ...{ dns: -1, grpc: -1, serf_lan: serfLan, serf_wan: serfWan, server: rpc },
    },
    ...(role === 'server' && !isInMemory(options) ? { server: true, bootstrap_expect: expect } : {}),
    ...(role === 'client' ? { server: false } : {}),
    retry_join: join,
    retry_interval: '500ms',
    ...(role === 'server' ? { retry_join_wan: joinWan, retry_interval_wan: '500ms' } : {}),
    ...(isInMemory(options) ? {} : { performance: { raft_multiplier: 1, leave_drain_time: '0s' } }),
    connect: { enabled: true },
    ui: role === 'server',
    disable_update_check: true,
    leave_on_terminate: false,
    log_level: 'INFO',
    ...(facts.token === undefined ? {} : { acl: acl(facts.token, facts.version) }),
    ...(tls ? tlsConfig(options, facts.folder) : {}),
    ...options.config,
  };
}

function acl(token: string, version: string): object {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  const management = major > 1 || minor >= 11 ? 'initial_management' : 'master';
  return {
    enabled: true,
    default_policy: 'deny',
    enable_token_persistence: true,
    tokens: { [management]: token, agent: token },
  };
}

function tlsConfig({ tls, datacenter = 'dc1' }: ConsulOptions, folder: string): object {
  return {
    ca_file: path.join(folder, 'consul-agent-ca.pem'),
    cert_file: path.join(folder, `${datacenter}-server-consul-0.pem`),
    key_file: path.join(folder, `${datacenter}-server-consul-0-key.pem`),
    verify_incoming_https: tls === 'mutual',
  };
}

/** An authority, a server's and a client's certificate in `folder`, by Consul's own means; for 127.0.0.1 and localhost. */
export async function makeTls(binary: string, folder: string, datacenter = 'dc1'): Promise<ConsulTls> {
  const consul = (...args: string[]) => run(binary, ['tls', ...args], { cwd: folder });
  await consul('ca', 'create');
  await consul('cert', 'create', '-server', '-dc', datacenter);
  await consul('cert', 'create', '-client', '-dc', datacenter);
  const file = (name: string) => path.join(folder, name);
  return {
    ca: file('consul-agent-ca.pem'),
    cert: file(`${datacenter}-client-consul-0.pem`),
    key: file(`${datacenter}-client-consul-0-key.pem`),
  };
}

/** The contents, as `https.request` takes them. */
export function readTls({ ca, cert, key }: ConsulTls): { ca: Buffer; cert: Buffer; key: Buffer } {
  return { ca: readFileSync(ca), cert: readFileSync(cert), key: readFileSync(key) };
}
