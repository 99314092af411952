/**
 * Envoy with a bootstrap written by hand: static listeners and clusters, and Connect's certificates inline, as Consul
 * would hand them to it. `http` reads HTTP/2, as Consul sets Envoy up for the protocols http2 and grpc; `tcp` only
 * carries bytes, as it does by default.
 */

import { readFile } from 'node:fs/promises';
import http from 'node:http';
import type { Address } from '../../../sidecar/config/model.js';
import type { ConnectMesh, Leaf } from './mesh.js';
import { loopback, Program, portOf } from './programs.js';

export type Layer = 'http' | 'tcp';

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
    const bootstrap = {
      node: { id: name, cluster: name },
      admin: { address: socketAddress(loopback(0)) },
      static_resources: resources,
    };
    const file = await mesh.file(`${name}.json`, JSON.stringify(bootstrap));
    const program = mesh.own(
      new Program(name, [
        ...([binary, '-c', file] as const),
        ...['--concurrency', '1', '--disable-hot-restart', '-l', 'warning'],
        ...['--admin-address-path', adminFile, '--drain-time-s', '2'],
      ]),
    );
    const admin = await program.started('it has an admin address', () => readAddressFile(adminFile));
    await program.started(
      'it is live',
      async () => (await httpAsk(admin, { path: '/ready' })).status === 200,
    );
    const listeners = JSON.parse(
      (await httpAsk(admin, { path: '/listeners?format=json' })).text,
    ) as Listeners;
    const port = listeners.listener_statuses[0]?.local_address.socket_address.port_value;
    if (port === undefined) throw new Error(`${name} has no listener:\n${program.output}`);
    return new Envoy(program, loopback(port), admin);
  }

  /** A page of its admin listener. */
  page(path: string, method = 'GET'): Promise<{ status: number; text: string }> {
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
  readonly listener_statuses: readonly {
    readonly local_address: { readonly socket_address: { readonly port_value: number } };
  }[];
}

/** Beside a caller: plaintext in, mutual TLS as the leaf's service out to `peers`, which must all be `upstream`. */
export function clientResources(
  layer: Layer,
  mesh: ConnectMesh,
  leaf: Leaf,
  upstream: string,
  peers: readonly Address[],
): Json {
  const expected = leaf.uri.replace(/[^/]+$/, upstream);
  const names = { match_typed_subject_alt_names: [{ san_type: 'URI', matcher: { exact: expected } }] };
  const secure = tlsContext('Upstream', layer, leaf, names, { sni: mesh.sni(upstream) });
  return {
    listeners: [listener([filterChain(layer, 'peer', [])])],
    clusters: [cluster(layer, 'peer', peers, secure)],
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
  const manager = typed('extensions.filters.network.http_connection_manager.v3.HttpConnectionManager', {
    stat_prefix: 'in',
    route_config: { name: 'rows', virtual_hosts: [{ name: 'rows', domains: ['*'], routes }] },
    http_filters: [ROUTER],
  });
  const filter = { name: 'envoy.filters.network.http_connection_manager', typed_config: manager };
  return { listeners: [listener([{ filters: [filter] }])] };
}

/** Beside a service: mutual TLS in, plaintext out. */
export function serverResources(layer: Layer, mesh: ConnectMesh, leaf: Leaf, options: ServerOptions): Json {
  const { allowed, local, names, callsPerConnection } = options;
  const secure = tlsContext('Downstream', layer, leaf, {}, { require_client_certificate: true });
  const chain = filterChain(layer, 'local', [rbac(layer, mesh.trustDomain, allowed)], callsPerConnection);
  const match = { filter_chain_match: { server_names: names.map((name) => mesh.sni(name)) } };
  const inspector = {
    name: 'envoy.filters.listener.tls_inspector',
    typed_config: typed('extensions.filters.listener.tls_inspector.v3.TlsInspector'),
  };
  return {
    listeners: [{ ...listener([{ ...chain, ...match, ...secure }]), listener_filters: [inspector] }],
    clusters: [cluster(layer, 'local', [local])],
  };
}

const typed = (type: string, fields: Json = {}): Json => ({
  '@type': `type.googleapis.com/envoy.${type}`,
  ...fields,
});

const ROUTER: Json = {
  name: 'envoy.filters.http.router',
  typed_config: typed('extensions.filters.http.router.v3.Router'),
};

function socketAddress(address: Address): Json {
  return { socket_address: { address: '127.0.0.1', port_value: portOf(address) } };
}

function listener(filterChains: readonly Json[]): Json {
  return { name: 'in', address: socketAddress(loopback(0)), filter_chains: filterChains };
}

/** Everything to one cluster. `guards`: filters before it. */
function filterChain(layer: Layer, to: string, guards: readonly Json[], callsPerConnection?: number): Json {
  if (layer === 'tcp') {
    const proxy = typed('extensions.filters.network.tcp_proxy.v3.TcpProxy', {
      stat_prefix: 'in',
      cluster: to,
    });
    return { filters: [...guards, { name: 'envoy.filters.network.tcp_proxy', typed_config: proxy }] };
  }
  // Only what was never processed: a connection that is refused, and a call that came after GOAWAY.
  const elsewhere = {
    name: 'envoy.retry_host_predicates.previous_hosts',
    typed_config: typed('extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate'),
  };
  const retry_policy = {
    retry_on: 'connect-failure,refused-stream',
    num_retries: 2,
    retry_host_predicate: [elsewhere],
    host_selection_retry_max_attempts: 5,
  };
  const route = { match: { prefix: '/' }, route: { cluster: to, timeout: '0s', retry_policy } };
  const manager = typed('extensions.filters.network.http_connection_manager.v3.HttpConnectionManager', {
    stat_prefix: 'in',
    codec_type: 'HTTP2',
    ...(callsPerConnection === undefined
      ? {}
      : { common_http_protocol_options: { max_requests_per_connection: callsPerConnection } }),
    http_filters: [...guards, ROUTER],
    route_config: { name: 'all', virtual_hosts: [{ name: 'all', domains: ['*'], routes: [route] }] },
  });
  return { filters: [{ name: 'envoy.filters.network.http_connection_manager', typed_config: manager }] };
}

function cluster(layer: Layer, name: string, to: readonly Address[], secure: Json = {}): Json {
  const endpoints = to.map((address) => ({ endpoint: { address: socketAddress(address) } }));
  const http2 = typed('extensions.upstreams.http.v3.HttpProtocolOptions', {
    explicit_http_config: { http2_protocol_options: { max_concurrent_streams: MAX_STREAMS } },
  });
  return {
    name,
    type: 'STATIC',
    connect_timeout: '5s',
    circuit_breakers: { thresholds: [{ max_retries: 1000 }] },
    load_assignment: { cluster_name: name, endpoints: [{ lb_endpoints: endpoints }] },
    ...(layer === 'http'
      ? {
          typed_extension_protocol_options: {
            'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': http2,
          },
        }
      : {}),
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
  const type = `extensions.transport_sockets.tls.v3.${side}TlsContext`;
  const typed_config = typed(type, { ...fields, common_tls_context });
  return { transport_socket: { name: 'envoy.transport_sockets.tls', typed_config } };
}

/** Intentions as Consul writes them for Envoy: a caller that is not named is denied. */
function rbac(layer: Layer, trustDomain: string, allowed: readonly string[]): Json {
  const kind = layer === 'http' ? 'http' : 'network';
  const principals = allowed.map((service) => {
    const regex = `^spiffe://${trustDomain}/ns/default/dc/[^/]+/svc/${service}$`;
    return { authenticated: { principal_name: { safe_regex: { regex } } } };
  });
  const rules = {
    action: 'ALLOW',
    policies: { 'consul-intentions-layer4': { permissions: [{ any: true }], principals } },
  };
  const type = `extensions.filters.${kind}.rbac.v3.RBAC`;
  const fields = layer === 'http' ? { rules } : { rules, stat_prefix: 'connect_authz' };
  return { name: `envoy.filters.${kind}.rbac`, typed_config: typed(type, fields) };
}

async function readAddressFile(file: string): Promise<Address | undefined> {
  const found = /:(\d+)$/.exec((await readFile(file, 'utf8')).trim());
  return found ? loopback(Number(found[1])) : undefined;
}

/** One HTTP/1.1 request on a connection of its own. */
export function httpAsk(
  address: Address,
  options: Pick<http.RequestOptions, 'path' | 'method' | 'headers'>,
): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    const at = { host: '127.0.0.1', port: portOf(address), agent: false };
    const request = http.request({ ...at, ...options }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (part: string) => {
        text += part;
      });
      response.on('end', () => resolve({ status: response.statusCode ?? 0, text }));
    });
    request.on('error', reject);
    request.end();
  });
}
