import { isCounter } from '../sidecar/telemetry/metric-rows.js';

/** A metric as a source file declares it. */
export interface DeclaredMetric {
  readonly kind: string;
  readonly name: string;
  readonly help: string;
}

interface Group {
  readonly title: string;
  readonly about: string;
  /** Labels of each metric, by its name; the order of the page. */
  readonly metrics: Readonly<Record<string, readonly string[]>>;
}

const CALL = ['direction', 'service', 'method', 'model'];
const ENDPOINT = ['upstream', 'cluster', 'endpoint', 'name'];
const UPSTREAM = ['upstream', 'cluster'];
const MIRROR = ['upstream', 'to'];
const ENGINE = [
  'direction',
  'caller',
  'gen_ai_request_model',
  'gen_ai_provider_name',
  'gen_ai_operation_name',
];
const ROUTE = ['upstream', 'method', 'model'];

const GROUPS: readonly Group[] = [
  {
    title: 'Calls',
    about:
      'Of both directions: from peers to the local model, and from the local application to its upstreams. `model` is there for calls that name a model to an upstream for which that makes a difference: one that a route or a split names, or that only some endpoints have, at most 100; all other models are `other`.',
    metrics: {
      outrider_calls_started_total: CALL,
      outrider_calls_total: [...CALL, 'grpc_status'],
      outrider_local_replies_total: [...CALL, 'reason'],
      outrider_calls_in_flight: CALL,
      outrider_call_seconds: CALL,
      outrider_retries_total: CALL,
      outrider_access_log_lines_total: [],
      outrider_access_log_dropped_total: [],
      outrider_traced_calls_total: ['because'],
      outrider_spans_exported_total: [],
      outrider_spans_dropped_total: ['reason'],
      outrider_spans_waiting: [],
      outrider_spans_waiting_bytes: [],
      outrider_trace_export_failures_total: [],
      outrider_metric_points_exported_total: [],
      outrider_metric_points_dropped_total: ['reason'],
      outrider_metric_export_failures_total: [],
      outrider_audit_lines_total: [],
      outrider_audit_missed_total: [],
      outrider_audit_waiting_lines: [],
      outrider_audit_published_line: [],
    },
  },
  {
    title: 'Endpoints',
    about: 'Every endpoint of every upstream, and what its calls, checks and detectors say of it.',
    metrics: {
      outrider_attempts_total: ENDPOINT,
      outrider_attempt_outcomes_total: [...ENDPOINT, 'outcome'],
      outrider_endpoint_in_flight: ENDPOINT,
      outrider_endpoint_eligible: ENDPOINT,
      outrider_endpoint_healthy: ENDPOINT,
      outrider_endpoint_share: ENDPOINT,
      outrider_endpoint_ewma_seconds: ENDPOINT,
      outrider_endpoint_first_message_seconds: ENDPOINT,
      outrider_endpoint_stream_messages_per_second: ENDPOINT,
      outrider_endpoint_connections: ENDPOINT,
      outrider_endpoint_priority: ENDPOINT,
      outrider_endpoint_reported_load: ENDPOINT,
      outrider_endpoint_suspicion: ENDPOINT,
      outrider_suspicions_total: [...UPSTREAM, 'detector'],
      outrider_suspicions_not_enforced_total: [...UPSTREAM, 'reason'],
      outrider_load_reports_total: ['upstream', 'source'],
      outrider_load_report_faults_total: ['upstream', 'reason'],
      outrider_endpoint_ejected: ENDPOINT,
      outrider_ejections_total: [...ENDPOINT, 'detector'],
      outrider_ejections_detected_total: [...UPSTREAM, 'detector'],
      outrider_ejections_not_enforced_total: [...UPSTREAM, 'detector', 'reason'],
      outrider_outputs_inspected_total: [...UPSTREAM, 'result'],
      outrider_size_limited_total: ['upstream', 'feature', 'reason'],
      outrider_model_misses_total: [...UPSTREAM, 'reason'],
      outrider_cold_start_waiting: ['upstream'],
      outrider_cold_start_calls_total: ['upstream', 'result'],
      outrider_wakes_total: ['upstream', 'result'],
      outrider_upstream_endpoints: UPSTREAM,
      outrider_panics_total: UPSTREAM,
      outrider_health_checks_total: ['upstream', 'endpoint', 'result'],
      outrider_recovery_checks_total: ['upstream', 'result'],
      outrider_health_check_seconds: ['upstream', 'endpoint'],
      outrider_health_check_timeout_seconds: ['upstream', 'endpoint'],
    },
  },
  {
    title: 'Retries, hedging, breakers and fallbacks',
    about:
      'What is done when an attempt fails or is late, and what keeps that from making an overload worse.',
    metrics: {
      outrider_retry_budget_refused_total: UPSTREAM,
      outrider_methods_known: ['upstream', 'kind', 'from'],
      outrider_methods_unlearned_total: ['upstream'],
      outrider_streams_resumed_total: ['upstream'],
      outrider_calls_waiting_for_discovery: ['upstream'],
      outrider_hedges_total: ROUTE,
      outrider_hedges_won_total: ROUTE,
      outrider_hedges_not_sent_total: [...ROUTE, 'reason'],
      outrider_breaker_open_total: ['upstream', 'limit'],
      outrider_breaker_in_flight: ['upstream'],
      outrider_degraded_answers_total: [...ROUTE, 'from', 'why'],
      outrider_degraded_declined_total: ROUTE,
      outrider_fallback_active: ROUTE,
      outrider_response_cache_bytes: ['upstream'],
      outrider_response_cache_entries: ['upstream'],
      outrider_crashed_attempts_total: ['upstream'],
      outrider_keyless_calls_total: ['upstream', 'reason'],
    },
  },
  {
    title: 'Language-model engines',
    about:
      'Of sidecars that know an `engine`, once it has been called. The names, labels and buckets of `gen_ai_…` are those of OpenTelemetry for generative AI. Both sidecars of a call count it, so choose a `direction`. `outbound`: what the caller sees, and an answer that is continued elsewhere is one call. `inbound`: what each engine does for each of its callers; one that continues an answer gets the tokens so far as input.',
    metrics: {
      gen_ai_client_token_usage: [...ENGINE, 'gen_ai_token_type'],
      gen_ai_server_time_to_first_token_seconds: ENGINE,
      gen_ai_server_time_per_output_token_seconds: ENGINE,
      outrider_engine_cached_tokens_total: ENGINE,
    },
  },
  {
    title: 'Splits, mirrors and drills',
    about: 'Present once they have been used.',
    metrics: {
      outrider_split_total: MIRROR,
      outrider_mirror_sent_total: MIRROR,
      outrider_mirror_skipped_total: [...MIRROR, 'reason'],
      outrider_mirror_compared_total: MIRROR,
      outrider_mirror_not_compared_total: [...MIRROR, 'reason'],
      outrider_mirror_mismatched_total: [...MIRROR, 'about'],
      outrider_mirror_largest_class_total: [...MIRROR, 'class'],
      outrider_mirror_extra_seconds: MIRROR,
      outrider_faults_active: ['direction', 'kind'],
      outrider_faults_injected_total: ['direction', 'kind'],
    },
  },
  {
    title: 'The queue before the model',
    about: 'Of a sidecar beside a model; those of limits that are not configured are absent.',
    metrics: {
      outrider_queue_concurrency: ['model', 'version'],
      outrider_queue_running: ['model', 'version'],
      outrider_queue_waiting: ['model', 'version'],
      outrider_queue_waiting_bytes: ['model', 'version'],
      outrider_queue_waiting_tokens: ['model', 'version'],
      outrider_queue_class_waiting: ['model', 'version', 'class'],
      outrider_queue_admitted_total: ['model', 'version'],
      outrider_queue_expired_total: ['model', 'version'],
      outrider_queue_evicted_total: ['model', 'version'],
      outrider_queue_unloaded_seconds: ['model', 'version'],
      outrider_tokens_reserved: [],
      outrider_engine_running: [],
      outrider_engine_waiting: [],
      outrider_engine_cache_used_ratio: [],
      outrider_load_streams: [],
      outrider_load_streams_refused_total: [],
      outrider_model_load_report_faults_total: ['reason'],
      outrider_rate_limited_total: [],
      outrider_memory_used_ratio: [],
      outrider_memory_pressure_total: ['level'],
      outrider_model_probes_total: ['model', 'result'],
      outrider_model_up: ['model'],
      outrider_model_restarts_total: ['model', 'version'],
      outrider_model_given_up: ['model', 'version'],
      outrider_model_version_ready: ['model', 'version'],
      outrider_model_loads_total: ['model', 'result'],
      outrider_model_recycles_total: ['result'],
      outrider_model_transitions_total: ['model', 'version', 'from', 'to'],
    },
  },
  {
    title: 'Models by their own statistics',
    about:
      'Of model processes of our own, read from each every 5 s (ModelStatistics), added up over instances and restarts. Those that begin with `nv_` are named and defined as Triton has them; durations are microseconds in all.',
    metrics: {
      nv_inference_request_success: ['model', 'version'],
      nv_inference_request_failure: ['model', 'version'],
      nv_inference_count: ['model', 'version'],
      nv_inference_exec_count: ['model', 'version'],
      nv_inference_request_duration_us: ['model', 'version'],
      nv_inference_queue_duration_us: ['model', 'version'],
      nv_inference_compute_input_duration_us: ['model', 'version'],
      nv_inference_compute_infer_duration_us: ['model', 'version'],
      nv_inference_compute_output_duration_us: ['model', 'version'],
      nv_inference_pending_request_count: ['model', 'version'],
      outrider_model_batch_size: ['model', 'version'],
      outrider_model_memory_bytes: ['model', 'version', 'instance'],
    },
  },
  {
    title: 'Connections, identity and configuration',
    about: 'The sidecar itself.',
    metrics: {
      outrider_info: ['mesh_service', 'sidecar', 'version'],
      outrider_connections_accepted_total: [],
      outrider_connections_open: [],
      outrider_connections_convicted_total: [],
      outrider_handshake_failures_total: ['reason'],
      outrider_limit_hits_total: ['limit'],
      outrider_protocol_errors_total: [],
      outrider_defects_total: [],
      outrider_buffered_bytes: [],
      outrider_waiting_bytes: [],
      outrider_granted_bytes: [],
      outrider_shed_calls_total: [],
      outrider_unread_responses_total: [],
      outrider_identity_rotations_total: [],
      outrider_identity_failing: [],
      outrider_identity_expires_seconds: [],
      outrider_identity_lifetime_seconds: [],
      outrider_config_reloads_rejected_total: [],
    },
  },
  {
    title: 'Consul',
    about: 'Of a sidecar that reads a Consul agent.',
    metrics: {
      outrider_consul_up: [],
      outrider_consul_query_failing: ['query'],
      outrider_consul_age_seconds: ['query'],
      outrider_consul_answers_total: ['query'],
      outrider_consul_failures_total: ['query'],
      outrider_consul_index_resets_total: ['query'],
      outrider_consul_rereads_total: ['query'],
      outrider_consul_bytes_total: ['query'],
      outrider_consul_instances: ['target', 'status'],
      outrider_consul_kept_instances: ['target'],
      outrider_consul_holds_total: ['target'],
      outrider_consul_unreadable: ['target'],
      outrider_consul_skipped_entries: ['target'],
      outrider_consul_parses_total: ['where'],
      outrider_consul_parse_failures_total: [],
      outrider_consul_registered: [],
      outrider_consul_registrations_total: [],
      outrider_consul_registration_failures_total: [],
      outrider_consul_check_passing: ['check'],
    },
  },
  {
    title: 'DNS',
    about: 'Of a sidecar with upstreams that are found by a DNS name.',
    metrics: {
      outrider_dns_failing: ['upstream'],
      outrider_dns_age_seconds: ['upstream'],
      outrider_dns_queries_total: ['upstream'],
      outrider_dns_failures_total: ['upstream'],
      outrider_dns_addresses: ['upstream'],
      outrider_dns_kept_addresses: ['upstream'],
    },
  },
  {
    title: 'Kubernetes',
    about: 'Of a sidecar with upstreams that are found by a Service of Kubernetes.',
    metrics: {
      outrider_kubernetes_failing: ['upstream'],
      outrider_kubernetes_age_seconds: ['upstream'],
      outrider_kubernetes_lists_total: ['upstream'],
      outrider_kubernetes_watches_total: ['upstream'],
      outrider_kubernetes_failures_total: ['upstream'],
      outrider_kubernetes_endpoints: ['upstream'],
      outrider_kubernetes_unready_endpoints: ['upstream'],
      outrider_kubernetes_terminating_endpoints: ['upstream'],
      outrider_kubernetes_kept_endpoints: ['upstream'],
    },
  },
  {
    title: 'The process',
    about: 'As the operating system and the runtime see it, read when it is asked for.',
    metrics: {
      process_cpu_seconds_total: [],
      process_resident_memory_bytes: [],
      process_heap_bytes: [],
      process_external_memory_bytes: [],
      process_start_time_seconds: [],
      process_event_loop_active_seconds_total: [],
      process_event_loop_idle_seconds_total: [],
      process_event_loop_lag_seconds: [],
      process_open_fds: [],
      process_active_resources: ['type'],
    },
  },
];

const LABELS: Readonly<Record<string, string>> = {
  about: 'What differed between the two answers.',
  because:
    'Why the spans of a call were exported: it was `sampled`, or it `failed`, was retried or degraded.',
  caller:
    'The service that called, empty where it has no identity; of more than 64 at one service, those beyond are `other`.',
  check: 'Id of a check in the catalogue.',
  class:
    'Of the line: a class of `inbound.queue.priority`. Of a mirror: whether the largest class of both answers is the same.',
  cluster: 'Where traffic rules make several clusters of one upstream: which. Else absent.',
  detector: 'What found the endpoint out, as under `ejection`.',
  direction: '`inbound`: from peers. `outbound`: from the local application.',
  endpoint: 'Its address.',
  name: 'Of an endpoint: the name of its instance, as `outrider status` shows it; its address where it has none.',
  feature:
    'What could not see the call: `repeat` (retries and hedges), `fallback`, `last-good`, `inspection`, `mirror`, `comparison`.',
  from: 'What answered instead.',
  gen_ai_operation_name: '`text_completion`.',
  gen_ai_provider_name: 'The `engine` that the file names.',
  gen_ai_request_model: 'The service that was called.',
  gen_ai_token_type: '`input` or `output`.',
  grpc_status: 'Name of the status that the caller got.',
  kind: 'Of faults: `delay`, `abort` or `freeze`. Of methods: `unary` or `streaming`.',
  level: '`high` or `critical`.',
  limit: 'The bound that was hit.',
  mesh_service: 'The service that the sidecar stands beside.',
  method: 'A method that a route names; `other`: one that none does.',
  instance: 'Number of the process, from 1, where a model has several.',
  model: 'Where one sidecar serves several models: which. Else absent.',
  outcome: 'What the end of an attempt says about its endpoint.',
  query: 'What is read from the agent, in words.',
  reason: 'Why; of answers of our own, the `outrider-reason`.',
  result: 'What came of it.',
  service: 'The service that was called.',
  sidecar: 'Name of the instance.',
  source: 'How the report came: `stream`, out of band, or `trailers` of a call.',
  status: 'As Consul has it: `passing`, `warning` or `critical`.',
  target: 'A service, with datacenter and filter where there are any.',
  to: 'The upstream that got the call or its copy.',
  upstream: 'Name of the upstream, as in the file.',
  version: 'Where versions of a model are told apart: which. Of `outrider_info`: the version of Outrider.',
  type: 'What the event loop waits for, as Node names it: `Timeout`, `TCPSocketWrap`, …',
  where: '`main` thread, or a `thread` of its own.',
  why: 'The word after `outrider-degraded:`.',
};

/** A name, and a help in either quotes, as arguments or as properties. */
const AS_ARGUMENTS =
  /\b(counter|gauge)\(\s*'((?:outrider|process|nv|gen_ai)_\w+)',\s*('(?:[^'\\\n]|\\.)*'|"[^"\\\n]*")/g;
const AS_OBJECT =
  /\bkind: '(\w+)',\s*name: '((?:outrider|process|nv|gen_ai)_\w+)',\s*help:\s*('(?:[^'\\\n]|\\.)*'|"[^"\\\n]*")/g;
/** In a table of helps; the name says what it is. */
const IN_TABLE = /^ {2}((?:outrider|process|nv|gen_ai)_\w+):\s*('(?:[^'\\\n]|\\.)*'|"[^"\\\n]*"),$/gm;

/**
 * The metrics that source files declare, in the order found; one that is declared twice is listed
 * once.
 */
export function declaredMetrics(sources: Iterable<string>): DeclaredMetric[] {
  const found = new Map<string, DeclaredMetric>();
  const add = (kind: string, name: string, help: string): void => {
    if (found.has(name)) return;
    found.set(name, { kind, name, help: help.slice(1, -1).replaceAll(/\\(.)/g, '$1') });
  };
  for (const source of sources) {
    for (const pattern of [AS_ARGUMENTS, AS_OBJECT])
      for (const [, kind, name, help] of source.matchAll(pattern)) add(kind!, name!, help!);
    for (const [, name, help] of source.matchAll(IN_TABLE))
      add(isCounter(name!) ? 'counter' : 'gauge', name!, help!);
  }
  return [...found.values()];
}

/**
 * The page of all metrics, `mesh-config/METRICS.md`. Names, types and helps come from the sources,
 * labels and order from `GROUPS`.
 *
 * @throws Error when a metric is missing in the groups, or a group lists one that no source
 * declares.
 */
export function metricsReference(metrics: readonly DeclaredMetric[]): string {
  const byName = new Map(metrics.map((metric) => [metric.name, metric]));
  const placed = new Set(GROUPS.flatMap((group) => Object.keys(group.metrics)));
  const missing = metrics.filter(({ name }) => !placed.has(name)).map(({ name }) => name);
  if (missing.length > 0)
    throw new Error(`tools/metrics-reference.ts gives no labels of ${missing.join(', ')}`);
  const gone = [...placed].filter((name) => !byName.has(name));
  if (gone.length > 0)
    throw new Error(`tools/metrics-reference.ts names what nothing makes: ${gone.join(', ')}`);
  return [INTRO, ...GROUPS.map((group) => renderGroup(group, byName)), renderLabels()].join('\n');
}

const INTRO = `# Metrics

Generated by \`npm run generate\` from the declarations of metrics in \`sidecar/\`. Do not edit.

A sidecar answers \`GET /metrics\` on its admin address and at \`observe\` in the Prometheus text format. Label values come from the
configuration, from discovery and from methods that a route names, never from what calls carry, so their number is
bounded. Counters begin at 0 with the process. Durations are in seconds, and in microseconds in Triton's metrics (\`nv_inference_…\`). Those
keep Triton's names, so that its dashboards and autoscalers work. \`promtool check metrics\` warns of their suffixes and units, and of
nothing else.
`;

function renderGroup({ title, about, metrics }: Group, byName: ReadonlyMap<string, DeclaredMetric>): string {
  const rows = Object.entries(metrics).map(([name, labels]) => {
    const { kind, help } = byName.get(name)!;
    const cells = [
      `\`${name}\``,
      kind,
      unitOf(name, help),
      labels.map((label) => `\`${label}\``).join(', '),
      help,
    ];
    return `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  });
  return `## ${title}\n\n${about}\n\n| Name | Type | Unit | Labels | Meaning |\n| --- | --- | --- | --- | --- |\n${rows.join('\n')}\n`;
}

function renderLabels(): string {
  const rows = Object.entries(LABELS).map(([label, meaning]) => `| \`${label}\` | ${meaning} |`);
  return `## Labels\n\n| Label | Meaning |\n| --- | --- |\n${rows.join('\n')}\n`;
}

function unitOf(name: string, help: string): string {
  if (/^[01] (?:while|when) /.test(help)) return '0 or 1';
  const unit = /_(seconds|bytes|ratio)(?:_total)?$/.exec(name)?.[1];
  return unit === undefined ? 'number' : unit === 'ratio' ? '0 to 1' : unit;
}

/** Labels of a metric, by its name; undefined for one that is not on the page. */
export function documentedLabels(name: string): readonly string[] | undefined {
  return GROUPS.find(({ metrics }) => Object.hasOwn(metrics, name))?.metrics[name];
}

/** Labels that the page explains. */
export const LABEL_NAMES: readonly string[] = Object.keys(LABELS);
