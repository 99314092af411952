/**
 * Envoy for the drills, as one process: the proxy of the clients (listener `caller`, cluster `models`) and the proxy beside each
 * replica, as sidecars are. What its documentation offers against the drills is on, and set to what suits three replicas whose
 * runs take 10 ms; where Outrider has the same option it has the same value.
 *
 * Other settings were tried (`envoy-settings.ts`), each with
 * `outrider chaos overload-2 overload-5 kill slow error-burst all-fail --setups envoy --envoy-variant NAME`. Calls that failed, with
 * Envoy 1.40 on two cores, once each:
 *
 *     variant     kill  slow  error-burst  all-fail  overload-2  overload-5    sum
 *     plain          1     5            9       202         807       2,849  3,873
 *     one-out       10     7           17       200         798       2,850  3,882
 *     all-hosts      3    11           11       200         805       2,855  3,885
 *     hedge          6     7           19       200         806       2,849  3,887
 *     admission      3    11            7       265         844       2,879  4,009
 *     adaptive       1     7            8       200       1,026       2,940  4,182
 *
 * `plain` is the arm. The three after it differ from it by less than chance explains. `admission` loses more where all fail, as it
 * goes on refusing after they are well again. `adaptive` loses more under overload: it takes runs of 10 ms, jobs of 400 ms and
 * streams of 1 s for one kind of call, and compares the time of each with the least one.
 */
import { inferMethods, JOB, PLACES } from '../protocol/service.js';
import type { EnvoySettings } from './envoy-settings.js';
import { PING } from './mesh-file.js';

/** Where everything listens. */
export interface EnvoyPorts {
  readonly admin: number;
  readonly caller: number;
  /** Of the proxy beside each replica. */
  readonly beside: readonly number[];
  /** What the caller's proxy calls: `beside`, or the near ends of wires to it. */
  readonly endpoints: readonly number[];
  readonly models: readonly number[];
}

const FILTERS = 'type.googleapis.com/envoy.extensions.filters.http';

/** To every cluster: HTTP/2, with pings as in the mesh of the other arm. */
const HTTP2 = {
  'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': {
    '@type': 'type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions',
    explicit_http_config: {
      http2_protocol_options: { connection_keepalive: PING },
    },
  },
};

/** Below it the model is what limits, and not the filter: as many as it works on at once. */
const LEAST_CONCURRENCY = PLACES;

/** The bootstrap file (JSON, which is YAML). */
export function envoyBootstrap(
  { admin, caller, beside, endpoints, models }: EnvoyPorts,
  settings: EnvoySettings,
): string {
  const { admission, bound } = settings;
  const atCaller = admission === 'on' ? [admissionControl()] : [];
  const atModel = bound === 'breakers' ? [] : [adaptiveConcurrency()];
  return JSON.stringify({
    node: { id: 'outrider-chaos', cluster: 'outrider-chaos' },
    admin: { address: socket(admin) },
    static_resources: {
      listeners: [
        listener({ name: 'caller', port: caller, routes: callerRoutes(settings), filters: atCaller }),
        ...beside.map((port, i) => {
          const routes = [{ match: { prefix: '/' }, route: to(`local-${i + 1}`) }];
          return listener({ name: `beside-${i + 1}`, port, routes, filters: atModel });
        }),
      ],
      clusters: [
        modelsCluster(endpoints, settings),
        ...models.map((port, i) => localCluster(`local-${i + 1}`, port, settings)),
      ],
    },
  });
}

/** Calls that may be made twice are tried again; a stream until its headers. The job is in no policy. */
function callerRoutes({ hedge }: EnvoySettings): object[] {
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
      route: {
        ...to('models'),
        retry_policy: { ...retry, per_try_timeout: '0.4s' },
        ...(hedge === 'on' && { hedge_policy: { hedge_on_per_try_timeout: true } }),
      },
    },
    {
      match: { path: ModelStreamInfer.path },
      route: { ...to('models'), retry_policy: { ...retry, per_try_idle_timeout: '0.5s' } },
    },
    { match: { path: JOB.path }, route: to('models') },
    { match: { prefix: '/' }, route: to('models') },
  ];
}

/** The caller's own deadline holds, as in Outrider. */
function to(cluster: string): object {
  return { cluster, timeout: '0s', max_stream_duration: { grpc_timeout_header_max: '15s' } };
}

/** One listener: its filters stand before the router. */
interface ListenerPlan {
  readonly name: string;
  readonly port: number;
  readonly routes: readonly object[];
  readonly filters: readonly object[];
}

/** One HTTP/2 listener with its routes, and no filter that does nothing here: each one costs latency. */
function listener({ name, port, routes, filters }: ListenerPlan): object {
  const manager = {
    '@type':
      'type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager',
    stat_prefix: name,
    codec_type: 'HTTP2',
    generate_request_id: false,
    http_filters: [
      ...filters,
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

/**
 * Finds how many calls a model does at once by the gradient of its latency, with the values of Envoy's own example; the least latency
 * is measured anew each 10 s instead of each minute, as a drill is over by then.
 */
function adaptiveConcurrency(): object {
  return {
    name: 'envoy.filters.http.adaptive_concurrency',
    typed_config: {
      '@type': `${FILTERS}.adaptive_concurrency.v3.AdaptiveConcurrency`,
      gradient_controller_config: {
        sample_aggregate_percentile: { value: 90 },
        concurrency_limit_params: { max_concurrency_limit: 1_000, concurrency_update_interval: '0.1s' },
        min_rtt_calc_params: {
          ...{ interval: '10s', request_count: 50, min_concurrency: LEAST_CONCURRENCY },
          ...{ jitter: { value: 10 }, buffer: { value: 25 } },
        },
      },
      enabled: { default_value: true, runtime_key: 'adaptive_concurrency.enabled' },
    },
  };
}

/** Refuses calls at once by the share that succeeded of late; a window of 2 s in the place of 30 s, as a drill takes ten. */
function admissionControl(): object {
  return {
    name: 'envoy.filters.http.admission_control',
    typed_config: {
      '@type': `${FILTERS}.admission_control.v3.AdmissionControl`,
      enabled: { default_value: true, runtime_key: 'admission_control.enabled' },
      sampling_window: '2s',
      // Its own defaults: DEADLINE_EXCEEDED and UNAVAILABLE are among the failures.
      success_criteria: {},
      sr_threshold: { default_value: { value: 95 }, runtime_key: 'admission_control.sr_threshold' },
      rps_threshold: { default_value: 5, runtime_key: 'admission_control.rps_threshold' },
    },
  };
}

/** gRPC health checks twice a second, through the proxy beside the model. */
const CHECKS = [
  {
    ...{ interval: '0.5s', timeout: '0.5s', unhealthy_threshold: 2, healthy_threshold: 1 },
    grpc_health_check: {},
  },
];

/** The replicas, with everything that finds out a bad one. */
function modelsCluster(
  endpoints: readonly number[],
  { choices, consecutive, mostEjected, checks, retryPercent }: EnvoySettings,
): object {
  return {
    name: 'models',
    type: 'STATIC',
    connect_timeout: '1s',
    // Steers around a slow host; with round robin it would get a third of all calls.
    lb_policy: 'LEAST_REQUEST',
    least_request_lb_config: { choice_count: choices },
    ...(checks === 'on' && { health_checks: CHECKS }),
    circuit_breakers: {
      thresholds: [
        {
          ...{ max_connections: 1_024, max_pending_requests: 1_024, max_requests: 1_024 },
          // In place of max_retries, whose default of 3 is too few: a share, as Outrider's budget is.
          retry_budget: { budget_percent: { value: retryPercent }, min_retry_concurrency: 3 },
        },
      ],
    },
    outlier_detection: {
      ...{ consecutive_5xx: consecutive, consecutive_gateway_failure: consecutive },
      enforcing_consecutive_gateway_failure: 100,
      // Ejections are ended, and statistics looked at, at this interval; 10 s by default.
      ...{ interval: '0.5s', base_ejection_time: '2s', max_ejection_time: '10s' },
      max_ejection_percent: mostEjected,
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
function localCluster(name: string, port: number, { bound }: EnvoySettings): object {
  const most =
    bound === 'adaptive'
      ? { max_pending_requests: 1_024, max_requests: 1_024 }
      : { max_pending_requests: PLACES, max_requests: 2 * PLACES };
  const admission = { max_connections: 1, ...most };
  return {
    ...{ name, type: 'STATIC', connect_timeout: '1s', circuit_breakers: { thresholds: [admission] } },
    typed_extension_protocol_options: HTTP2,
    load_assignment: assignment(name, [port]),
  };
}

/** Endpoints on loopback. */
function assignment(cluster_name: string, ports: readonly number[]): object {
  const lb_endpoints = ports.map((port) => ({ endpoint: { address: socket(port) } }));
  return { cluster_name, endpoints: [{ lb_endpoints }] };
}

function socket(port: number): object {
  return { socket_address: { address: '127.0.0.1', port_value: port } };
}
