/**
 * Envoy with a bootstrap written by hand: static listeners and clusters, and Connect's certificates inline, as Consul
 * would hand them to it. `http` reads HTTP/2, as Consul sets Envoy up for the protocols http2 and grpc; `tcp` only
 * carries bytes, as it does by default.
 */

import { readFile } from 'node:fs/promises';
import type { Address } from '../../../sidecar/config/model.js';
import { type HttpAnswer, httpAsk } from '../process/http-ask.js';
import type { ConnectMesh, Leaf } from './mesh.js';
import { loopback, Program, portOf } from './programs.js';

export const LAYERS = ['http', 'tcp'] as const;
export type Layer = (typeof LAYERS)[number];
export const LAYER_TITLES = { http: 'as an HTTP/2 proxy', tcp: 'as a TCP proxy, without ALPN' } as const;

/**
 * Our listeners' default. A burst on a new connection is sent before the server's SETTINGS are read, up to this many
 * calls, 1,024 by default; what goes beyond the server's own limit is refused.
 */
const MAX_STREAMS = 256;

type Json = { readonly [key: string]: unknown };

/** Where its files are, and what ends it. */
export type EnvoyHome = Pick<ConnectMesh, 'file' | 'own'>;

export class Envoy {
  private constructor(
    private readonly program: Program,
    /** Its one listener. */
    readonly address: Address,
    private readonly admin: Address,
  ) {}

  /** Starts one and waits until it listens. `binary`: from toolOrSkip. */
  static async start(mesh: EnvoyHome, binary: string, name: string, resources: Json): Promise<Envoy> {
    const adminFile = await mesh.file(`${name}.admin`, '');
    const node = { id: name, cluster: name };
    const bootstrap = { node, admin: { address: socketAddress(loopback(0)) }, static_resources: resources };
    const file = await mesh.file(`${name}.json`, JSON.stringify(bootstrap));
    const options = ['--concurrency', '1', '--disable-hot-restart', '-l', 'warning', '--drain-time-s', '2'];
    const command = [binary, '-c', file, ...options, '--admin-address-path', adminFile] as const;
    const program = mesh.own(new Program(name, command));
    const admin = await program.started('it has an admin address', () => readAddressFile(adminFile));
    const ask = (path: string) => httpAsk(admin, { path });
    await program.started('it is live', async () => (await ask('/ready')).status === 200);
    const listeners = JSON.parse((await ask('/listeners?format=json')).text) as Listeners;
    const port = listeners.listener_statuses[0]?.local_address.socket_address.port_value;
    if (port === undefined) throw new Error(`${name} has no listener:\n${program.output}`);
    return new Envoy(program, loopback(port), admin);
  }

  /** A page of its admin listener. */
  page(path: string, method = 'GET'): Promise<HttpAnswer> {
    return httpAsk(this.admin, { path, method });
  }

  /** One counter or gauge; 0 when it has not been made yet. */
  async stat(name: string): Promise<number> {
    const { text } = await this.page(`/stats?usedonly&filter=^${name.replaceAll('.', '\\.')}$`);
    return Number(/: (\d+)/.exec(text)?.[1] ?? 0);
  }

  stop(): Promise<void> {
    return this.program.stop();
  }
}

interface Listeners {
  readonly listener_statuses: readonly { readonly local_address: ReturnType<typeof socketAddress> }[];
}

/**
 * Beside a caller: plaintext in, mutual TLS as the leaf's service out to `peers`, which must all be `upstream`.
 * `balancing`: fields of the cluster that say how; default round robin.
 */
export function clientResources(
  layer: Layer,
  mesh: Pick<ConnectMesh, 'sni'>,
  leaf: Leaf,
  upstream: string,
  peers: readonly Address[],
  balancing: Json = {},
): Json {
  const expected = leaf.uri.replace(/[^/]+$/, upstream);
  const names = { match_typed_subject_alt_names: [{ san_type: 'URI', matcher: { exact: expected } }] };
  const secure = tlsContext('Upstream', layer, leaf, names, { sni: mesh.sni(upstream) });
  return {
    listeners: [listener([filterChain(layer, 'peer', [])])],
    clusters: [{ ...cluster(layer, 'peer', peers, secure), ...balancing }],
  };
}

export interface ServerOptions {
  /** Callers that the intentions let in. */
  readonly allowed: readonly string[];
  /** Where its service is. */
  readonly local: Address;
  /** A client must ask for one of these services in Consul's form, as at a mesh gateway, which finds its way by it. */
  readonly names: readonly string[];
  /** A connection is closed after so many calls. Default: never. */
  readonly callsPerConnection?: number;
}

/** Answers 200 to the paths `/0`, `/1`, … whose headers match, by a direct response; else 404. HTTP/1.1, plaintext. */
export function matcherResources(matchers: readonly Json[]): Json {
  const routes = matchers.map((matcher, row) => ({
    match: { path: `/${row}`, headers: [matcher] },
    direct_response: { status: 200 },
  }));
  const manager = managerOf({ route_config: routesOf(routes), http_filters: [ROUTER] });
  return { listeners: [listener([{ filters: [manager] }])] };
}

/** Weights by the load reports of its peers (gRFC A58), believed 3 s after the first one rather than 10 s, the default. */
export function weightedByReports(): Json {
  const name = 'load_balancing_policies.client_side_weighted_round_robin';
  const policy = extension(name, `${name}.v3.ClientSideWeightedRoundRobin`, { blackout_period: '3s' });
  return { load_balancing_policy: { policies: [{ typed_extension_config: policy }] } };
}

/** Beside a service: mutual TLS in, plaintext out. */
export function serverResources(layer: Layer, mesh: ConnectMesh, leaf: Leaf, options: ServerOptions): Json {
  const { allowed, local, names, callsPerConnection } = options;
  const secure = tlsContext('Downstream', layer, leaf, {}, { require_client_certificate: true });
  const chain = filterChain(layer, 'local', [rbac(layer, mesh.trustDomain, allowed)], callsPerConnection);
  const match = { filter_chain_match: { server_names: names.map((name) => mesh.sni(name)) } };
  const name = 'filters.listener.tls_inspector';
  const inspector = extension(name, `${name}.v3.TlsInspector`);
  return {
    listeners: [{ ...listener([{ ...chain, ...match, ...secure }]), listener_filters: [inspector] }],
    clusters: [cluster(layer, 'local', [local])],
  };
}

const typed = (type: string, fields: Json = {}): Json => {
  return { '@type': `type.googleapis.com/envoy.extensions.${type}`, ...fields };
};
/** An extension by its name, with its configuration. */
const extension = (name: string, type: string, fields: Json = {}): Json => {
  return { name: `envoy.${name}`, typed_config: typed(type, fields) };
};

const ROUTER = extension('filters.http.router', 'filters.http.router.v3.Router');
const managerOf = (fields: Json): Json => {
  const name = 'filters.network.http_connection_manager';
  return extension(name, `${name}.v3.HttpConnectionManager`, { stat_prefix: 'in', ...fields });
};
/** Every host goes to these routes. */
const routesOf = (routes: readonly Json[]): Json => {
  return { name: 'all', virtual_hosts: [{ name: 'all', domains: ['*'], routes }] };
};

function socketAddress(address: Address) {
  return { socket_address: { address: '127.0.0.1', port_value: portOf(address) } };
}

function listener(filterChains: readonly Json[]): Json {
  return { name: 'in', address: socketAddress(loopback(0)), filter_chains: filterChains };
}

/** Everything to one cluster. `guards`: filters before it. */
function filterChain(layer: Layer, to: string, guards: readonly Json[], callsPerConnection?: number): Json {
  if (layer === 'tcp') {
    const name = 'filters.network.tcp_proxy';
    const proxy = extension(name, `${name}.v3.TcpProxy`, { stat_prefix: 'in', cluster: to });
    return { filters: [...guards, proxy] };
  }
  const previous = 'retry.host.previous_hosts.v3.PreviousHostsPredicate';
  // Only what was never processed: a connection that is refused, and a call that came after GOAWAY.
  const retry_policy = {
    retry_on: 'connect-failure,refused-stream',
    num_retries: 2,
    retry_host_predicate: [extension('retry_host_predicates.previous_hosts', previous)],
    host_selection_retry_max_attempts: 5,
  };
  const route = { match: { prefix: '/' }, route: { cluster: to, timeout: '0s', retry_policy } };
  const limits = { max_requests_per_connection: callsPerConnection };
  const manager = managerOf({
    codec_type: 'HTTP2',
    ...(callsPerConnection === undefined ? {} : { common_http_protocol_options: limits }),
    http_filters: [...guards, ROUTER],
    route_config: routesOf([route]),
  });
  return { filters: [manager] };
}

function cluster(layer: Layer, name: string, to: readonly Address[], secure: Json = {}): Json {
  const endpoints = to.map((address) => ({ endpoint: { address: socketAddress(address) } }));
  const http2_protocol_options = { max_concurrent_streams: MAX_STREAMS };
  const type = 'upstreams.http.v3.HttpProtocolOptions';
  const http2 = typed(type, { explicit_http_config: { http2_protocol_options } });
  const options = { [`envoy.extensions.${type}`]: http2 };
  return {
    name,
    type: 'STATIC',
    connect_timeout: '5s',
    circuit_breakers: { thresholds: [{ max_retries: 1000 }] },
    load_assignment: { cluster_name: name, endpoints: [{ lb_endpoints: endpoints }] },
    ...(layer === 'http' ? { typed_extension_protocol_options: options } : {}),
    ...secure,
  };
}

/** `names`: what must be in the peer's certificate. */
function tlsContext(
  side: 'Upstream' | 'Downstream',
  layer: Layer,
  leaf: Leaf,
  names: Json,
  fields: Json,
): Json {
  const inline = (text: string): Json => ({ inline_string: text });
  const common_tls_context = {
    tls_certificates: [{ certificate_chain: inline(leaf.cert), private_key: inline(leaf.key) }],
    validation_context: { trusted_ca: inline(leaf.roots), ...names },
    ...(layer === 'http' ? { alpn_protocols: ['h2'] } : {}),
  };
  const type = `transport_sockets.tls.v3.${side}TlsContext`;
  const socket = extension('transport_sockets.tls', type, { ...fields, common_tls_context });
  return { transport_socket: socket };
}

/** Intentions as Consul writes them for Envoy: a caller that is not named is denied. */
function rbac(layer: Layer, trustDomain: string, allowed: readonly string[]): Json {
  const name = `filters.${layer === 'http' ? 'http' : 'network'}.rbac`;
  const principals = allowed.map((service) => {
    const regex = `^spiffe://${trustDomain}/ns/default/dc/[^/]+/svc/${service}$`;
    return { authenticated: { principal_name: { safe_regex: { regex } } } };
  });
  const policies = { 'consul-intentions-layer4': { permissions: [{ any: true }], principals } };
  const rules = { action: 'ALLOW', policies };
  const fields = layer === 'http' ? { rules } : { rules, stat_prefix: 'connect_authz' };
  return extension(name, `${name}.v3.RBAC`, fields);
}

async function readAddressFile(file: string): Promise<Address | undefined> {
  const found = /:(\d+)$/.exec((await readFile(file, 'utf8')).trim());
  return found ? loopback(Number(found[1])) : undefined;
}
