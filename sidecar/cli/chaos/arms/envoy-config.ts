/**
 * Envoy for the drills, as one process: the proxy of the clients (listener `caller`, cluster `models`) and the proxy beside each
 * replica, as sidecars are. What its documentation offers against the drills is on, and set to what suits three replicas whose
 * runs take 10 ms; where Outrider has the same option it has the same value. Other settings were measured and lost more calls
 * (decision 0220).
 */
import { vllmService } from '../../../../proto/vllm-service.js';
import { inferMethods, JOB, PLACES } from '../protocol/service.js';
import { PING } from './mesh-file.js';

export interface EnvoyPorts {
  readonly admin: number;
  readonly caller: number;
  /** Of the proxy beside each replica. */
  readonly beside: readonly number[];
  /** What the caller's proxy calls: `beside`, or the near ends of wires to it. */
  readonly endpoints: readonly number[];
  readonly models: readonly number[];
}

/** To every cluster: HTTP/2, with pings as in the mesh of the other arm. */
const HTTP2 = {
  'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': {
    '@type': 'type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions',
    explicit_http_config: {
      http2_protocol_options: { connection_keepalive: PING },
    },
  },
};

/** The bootstrap file (JSON, which is YAML). */
export function envoyBootstrap({ admin, caller, beside, endpoints, models }: EnvoyPorts): string {
  return JSON.stringify({
    node: { id: 'outrider-chaos', cluster: 'outrider-chaos' },
    admin: { address: socket(admin) },
    static_resources: {
      listeners: [
        listener('caller', caller, callerRoutes()),
        ...beside.map((port, i) => {
          const routes = [{ match: { prefix: '/' }, route: to(`local-${i + 1}`) }];
          return listener(`beside-${i + 1}`, port, routes);
        }),
      ],
      clusters: [modelsCluster(endpoints), ...models.map((port, i) => localCluster(`local-${i + 1}`, port))],
    },
  });
}

/** Calls that may be made twice are tried again; a stream until its headers. The job is in no policy. */
function callerRoutes(): object[] {
  const { ModelInfer, ModelStreamInfer } = inferMethods();
  const retry = {
    // gRPC codes are seen in headers only; gateway-error makes an attempt that timed out be tried again.
    retry_on:
      'unavailable,deadline-exceeded,connect-failure,refused-stream,reset-before-request,reset,gateway-error',
    num_retries: 2,
    retry_back_off: { base_interval: '0.025s', max_interval: '0.25s' },
    // Another host than the one that failed.
    retry_host_predicate: [
      {
        name: 'envoy.retry_host_predicates.previous_hosts',
        typed_config: {
          '@type': 'type.googleapis.com/envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate',
        },
      },
    ],
    host_selection_retry_max_attempts: 3,
  };
  return [
    {
      match: { path: ModelInfer.path },
      route: { ...to('models'), retry_policy: { ...retry, per_try_timeout: '0.4s' } },
    },
    {
      match: { path: ModelStreamInfer.path },
      route: { ...to('models'), retry_policy: { ...retry, per_try_idle_timeout: '0.5s' } },
    },
    {
      // Two tokens of an answer are 40 ms apart; no idle time that ends it, as none would make another engine continue it.
      match: { path: vllmService().Generate.path },
      route: { ...to('models'), retry_policy: retry },
    },
    { match: { path: JOB.path }, route: to('models') },
    { match: { prefix: '/' }, route: to('models') },
  ];
}

/** The caller's own deadline holds, as in Outrider. */
function to(cluster: string): object {
  return { cluster, timeout: '0s', max_stream_duration: { grpc_timeout_header_max: '15s' } };
}

/** One HTTP/2 listener with its routes, and no filter that does nothing here: each one costs latency. */
function listener(name: string, port: number, routes: readonly object[]): object {
  const manager = {
    '@type':
      'type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager',
    stat_prefix: name,
    codec_type: 'HTTP2',
    generate_request_id: false,
    http_filters: [
      {
        name: 'envoy.filters.http.router',
        typed_config: { '@type': 'type.googleapis.com/envoy.extensions.filters.http.router.v3.Router' },
      },
    ],
    route_config: { virtual_hosts: [{ name: 'all', domains: ['*'], routes }] },
  };
  const filter = { name: 'envoy.filters.network.http_connection_manager', typed_config: manager };
  return { name, address: socket(port), filter_chains: [{ filters: [filter] }] };
}

/** The replicas, with everything that finds out a bad one. */
function modelsCluster(endpoints: readonly number[]): object {
  return {
    name: 'models',
    type: 'STATIC',
    connect_timeout: '1s',
    // Steers around a slow host; with round robin it would get a third of all calls.
    lb_policy: 'LEAST_REQUEST',
    least_request_lb_config: { choice_count: 2 },
    circuit_breakers: {
      thresholds: [
        {
          ...{ max_connections: 1_024, max_pending_requests: 1_024, max_requests: 1_024 },
          // In place of max_retries, whose default of 3 is too few: a share, as Outrider's budget is.
          retry_budget: { budget_percent: { value: 20 }, min_retry_concurrency: 3 },
        },
      ],
    },
    outlier_detection: {
      ...{ consecutive_5xx: 5, consecutive_gateway_failure: 5 },
      enforcing_consecutive_gateway_failure: 100,
      // Ejections are ended, and statistics looked at, at this interval; 10 s by default.
      ...{ interval: '0.5s', base_ejection_time: '2s', max_ejection_time: '10s' },
      max_ejection_percent: 50,
      // Without it no host of three would be ejected where the percentage allows less than two.
      always_eject_one_host: true,
      // The defaults, 5 hosts and 100 calls for each interval, are never reached here.
      ...{ success_rate_minimum_hosts: 3, success_rate_request_volume: 10 },
      ...{ enforcing_failure_percentage: 100, failure_percentage_threshold: 20 },
      ...{ failure_percentage_minimum_hosts: 2, failure_percentage_request_volume: 5 },
    },
    typed_extension_protocol_options: HTTP2,
    load_assignment: assignment('models', endpoints),
  };
}

/** As many as the model does at once and as many again, as the queue of the other arm: more is refused at once. */
function localCluster(name: string, port: number): object {
  const admission = { max_connections: 1, max_pending_requests: PLACES, max_requests: 2 * PLACES };
  return {
    ...{ name, type: 'STATIC', connect_timeout: '1s', circuit_breakers: { thresholds: [admission] } },
    typed_extension_protocol_options: HTTP2,
    load_assignment: assignment(name, [port]),
  };
}

function assignment(cluster_name: string, ports: readonly number[]): object {
  const lb_endpoints = ports.map((port) => ({ endpoint: { address: socket(port) } }));
  return { cluster_name, endpoints: [{ lb_endpoints }] };
}

function socket(port: number): object {
  return { socket_address: { address: '127.0.0.1', port_value: port } };
}
