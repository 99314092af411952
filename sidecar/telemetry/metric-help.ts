/**
 * What each counter and gauge of a sidecar says, by its name: one whose name ends in `_total` is a counter. Histograms
 * stand where they are made, and what the operating system says of the process in runtime/process/stats.ts.
 */
export const HELP = {
  // calls, endpoints and connections
  outrider_calls_started_total: 'Calls that arrived.',
  outrider_calls_total: 'Calls that ended, by the gRPC status the caller got.',
  outrider_local_replies_total: 'Calls the sidecar answered itself, by outrider-reason.',
  outrider_calls_in_flight: 'Calls that are under way.',
  outrider_retries_total:
    'Retries that were decided on, counted before their backoff; hedges are not among them.',
  outrider_methods_known:
    'Methods whose kind (unary or streaming) was learned, from the description of the service (description) or from responses (answers).',
  outrider_methods_unlearned_total: 'Methods that were taken for unary and then sent a second message.',
  outrider_streams_resumed_total:
    'Times another endpoint continued a stream, after its own had died or fallen silent.',
  outrider_attempts_total: 'Attempts begun at an endpoint.',
  outrider_attempt_outcomes_total: 'Attempts ended, by outcome.',
  outrider_endpoint_in_flight: 'Attempts under way.',
  outrider_endpoint_eligible: '1 when the endpoint may receive traffic.',
  outrider_health_checks_total:
    'Checks of endpoints, by result. void: the connection was lost, or our own process stood still; skipped: calls had shown the same.',
  outrider_health_check_seconds: 'How long the last response to a check took.',
  outrider_health_check_timeout_seconds: 'Timeout of the last check.',
  outrider_recovery_checks_total:
    'Checks of ejected endpoints whose sidecar said that the model cannot serve, or that no call came to try, by result.',
  outrider_endpoint_healthy: '0 while the health check of the endpoint fails.',
  outrider_endpoint_share:
    'Share of its weight that the endpoint gets: less than 1 while it warms up, is full or is far away.',
  outrider_endpoint_ewma_seconds: 'Peak-sensitive average of the latency of unary calls.',
  outrider_endpoint_first_message_seconds:
    'Peak-sensitive average of the time to the first message of streams; 0: there was none yet.',
  outrider_endpoint_stream_messages_per_second:
    'Average pace of one stream after its first message; 0: not known. Every eighth stream is measured whose request is complete and whose caller keeps up.',
  outrider_endpoint_connections: 'Live connections.',
  outrider_endpoint_ejected: '1 while the endpoint is ejected or on probation.',
  outrider_ejections_total: 'Ejections enforced, by detector.',
  outrider_ejections_detected_total: 'Times a detector tripped, enforced or not.',
  outrider_ejections_not_enforced_total:
    'Times a detector tripped and nothing was ejected: the detector only observes, too many are ejected, the endpoint is the last one, or it is only slow and others are full.',
  outrider_outputs_inspected_total:
    'Sampled responses of ModelInfer, of Predict (TensorFlow Serving) and of Predictions (TorchServe), by result: in order; charged, because a peer answers the same request properly; acquitted, because it does not; unproven; unreadable. unknownFormat counts all responses of other methods, which are not checked.',
  outrider_size_limited_total:
    'Calls that a feature (repeat: retries and hedges, fallback, last-good, inspection, mirror, comparison) could not see: a request longer than replay, a response longer than hold or sample, or no room in memory_budget (memory).',
  outrider_cold_start_waiting: 'Calls that wait for an endpoint that is up.',
  outrider_cold_start_calls_total:
    'Calls that had to wait for an endpoint that is up (waited); of these, calls that got none in time (expired); calls that failed at once because max_waiting were waiting (refused).',
  outrider_wakes_total: 'Requests for the start of a service (sent), and those of them that failed (failed).',
  outrider_model_misses_total:
    'Calls that went to any endpoint although endpoints have different models: no endpoint has the model (unclaimed), none that has it could take the call (unavailable), or the name cannot be read from the request (unnamed).',
  outrider_upstream_endpoints: 'Endpoints that are known, whether or not they take calls.',
  outrider_panics_total: 'Times fewer than half of the endpoints were eligible.',
  outrider_retry_budget_refused_total: 'Retries and hedges refused for lack of budget.',
  outrider_endpoint_priority: 'Lower goes first; from 1000 on, the endpoint is critical in the registry.',
  outrider_calls_waiting_for_discovery: 'Calls that wait until the endpoints of their upstream are known.',
  outrider_limit_hits_total: 'Times a bound against hostile peers was hit.',
  outrider_protocol_errors_total: 'Connections ended for breaking HTTP/2.',
  outrider_defects_total:
    'Bugs of the sidecar, each of which ended a connection or a call. The fifth within a minute, or one that cannot be contained, ends the process.',
  outrider_connections_accepted_total: 'Connections accepted.',
  outrider_connections_open: 'Accepted connections that are open.',
  outrider_connections_convicted_total:
    'Connections to endpoints or to the model that were replaced because the peer reset every call on them.',
  outrider_handshake_failures_total: 'TLS peers refused, by reason.',
  outrider_buffered_bytes: 'Payload held for another attempt, and promised by wide stream windows.',
  outrider_waiting_bytes: 'Payload that waits to be passed on, and 4 KiB for each open stream of a peer.',
  outrider_granted_bytes: 'What peers may send at once by the stream windows they have been given.',
  outrider_shed_calls_total: 'Calls ended for lack of memory, on the connections that held most.',
  outrider_unread_responses_total:
    'Complete responses that were reset because their caller did not read them in time.',
  outrider_info: '1; the labels say which sidecar this is.',
  outrider_config_reloads_rejected_total: 'Changed configurations that were refused.',
  outrider_identity_rotations_total: 'Identities taken over since the start.',
  outrider_identity_failing:
    '1 while the newest identity cannot be used, or none can be asked for; the one before stays in use.',
  outrider_identity_lifetime_seconds: 'Length of validity of our certificate.',
  outrider_identity_expires_seconds: 'Seconds until our certificate expires.',

  // load reports
  outrider_load_reports_total:
    'Load reports of endpoints that were read: in the trailers of calls (trailers), or out of band (stream).',
  outrider_load_report_faults_total:
    'Values in load reports of endpoints that were wrong and ignored: not-finite, out-of-range, repeated, too-many, too-long, unreadable, two-formats, and contradicted, which reports fewer calls than we have there ourselves.',
  outrider_endpoint_reported_load:
    'Calls at the endpoint divided by those it can run at once, by its last report and our own calls since. Absent without a report in the last 3 s.',
  outrider_endpoint_suspicion:
    'How much the endpoint is suspected of being about to fail, compared with its own past: 0 to 1. From 0.5 on it is a suspect. Absent with foresight off.',
  outrider_suspicions_total:
    'Suspicions that began, by the detector that brought them: latency-shift, error-shift, queue-trend.',
  outrider_suspicions_not_enforced_total:
    'Seconds in which a suspect kept all of its calls, by reason: observed (foresight.mode), shared (so many are suspect that they share the cause), full (the others refuse calls).',
  outrider_load_streams: 'Open streams of load reports to callers.',
  outrider_load_streams_refused_total:
    'Streams of load reports that were refused because there were too many.',
  outrider_engine_running: 'Requests that the language-model engine runs, as it says itself (GetLoads).',
  outrider_engine_waiting:
    'Requests that wait in the language-model engine, as it says itself: with `queue.concurrency: auto` those of other callers.',
  outrider_engine_cache_used_ratio:
    'Share in use of the cache of keys and values of the language-model engine, as it says itself.',
  outrider_model_load_report_faults_total:
    'Values in load reports of the local model that were wrong and ignored, by the same reasons.',

  // language-model engines
  outrider_engine_cached_tokens_total:
    'Tokens of prompts that engines had in their caches; they count in gen_ai_client_token_usage as input, too.',

  // hedging, fallbacks and breakers
  outrider_crashed_attempts_total:
    'Attempts that ran in a model process when it crashed. They are not retried. Requests that were in two crashes are refused for a while (outrider_local_replies_total, reason poison).',
  outrider_keyless_calls_total:
    'Calls of an upstream with hash_on, or with the balancer prefix, that stick to no endpoint: the parameter, model or prompt is absent (absent), not within the first 64 KiB of the message (beyond), in a compressed message (compressed) or one that is none (malformed), or the request was not here when it had to go (incomplete).',
  outrider_hedges_total: 'Second copies sent of calls that were late.',
  outrider_hedges_won_total: 'Second copies that answered before the first.',
  outrider_hedges_not_sent_total:
    'Late calls that got no second copy: the request was not kept (request), there is no other endpoint (endpoint), or the share of calls (ratio), the retry budget (budget) or the breaker (breaker) is used up.',
  outrider_degraded_answers_total: 'Calls answered by a fallback, by which one and why.',
  outrider_degraded_declined_total: 'Failed calls whose caller accepts no degraded response.',
  outrider_fallback_active: '1 while calls go to the fallback at once, because the primary keeps failing.',
  outrider_response_cache_bytes: 'Bytes of responses kept for the same request.',
  outrider_response_cache_entries: 'Answers kept for the same request.',
  outrider_breaker_open_total:
    'Times a bound of the upstream was hit: calls in flight (in-flight), calls waiting (pending), extra attempts (retries), connections.',
  outrider_breaker_in_flight: 'Calls that count against the bound of their upstream.',

  // the queue before the model
  outrider_queue_concurrency:
    'Calls that the local model may have at once, configured or measured; 0 while it is not ready.',
  outrider_queue_evicted_total:
    'Calls that gave way in a full queue to more important ones or to callers with fewer.',
  outrider_queue_running: 'Calls that the local model has.',
  outrider_queue_waiting: 'Calls that wait for the local model.',
  outrider_queue_waiting_bytes: 'Request bytes that wait.',
  outrider_queue_waiting_tokens:
    'Tokens of the calls that wait before an engine (`engine: vllm`): ids of their prompts, and the most that they ask for.',
  outrider_queue_admitted_total: 'Calls let through to the local model.',
  outrider_queue_expired_total: 'Calls whose deadline passed, or was about to pass, in the queue.',
  outrider_queue_unloaded_seconds:
    'Lowest recent latency, from which the adaptive concurrency is computed; 0 while unknown.',
  outrider_queue_class_waiting: 'Calls that wait for the local model, by class.',
  outrider_tokens_reserved: 'Tokens that are reserved for calls under way, by limits with tokens_per_minute.',
  outrider_rate_limited_total:
    'Calls refused by a rate limit; limits about models have the labels `model` and `version`.',
  outrider_memory_used_ratio: 'Share in use of the memory this process may hold, at the last look.',
  outrider_memory_pressure_total:
    'Times memory ran short: high sheds what is less important, critical every new call.',

  outrider_model_probes_total:
    'Probes of an idle model, by result. void: our own process stood still, or the model was at work.',
  outrider_model_up: '1 while inferences or the golden input show that the model answers.',
  outrider_model_restarts_total: 'Times a process of the model ended and was started again.',
  outrider_model_given_up:
    'Processes of the model that died too often: a single start tries again now and then.',
  outrider_model_version_ready: '1 while this version of the model is ready.',
  outrider_model_memory_bytes: 'Resident memory of a model process, as it says itself.',
  nv_inference_request_success: 'Requests that a model has answered; a stream counts once, at its end.',
  nv_inference_request_failure:
    'Requests that failed in a model process, or whose time was up there. Those whose caller has gone are not counted, unlike Triton (reason CANCELED).',
  nv_inference_count: 'Rows that a model has been run for; a batch of n counts n.',
  nv_inference_exec_count: 'Runs of a model.',
  nv_inference_request_duration_us:
    'Time of answered requests in the model process, from arrival to response.',
  nv_inference_queue_duration_us: 'Time that requests waited in the model process.',
  nv_inference_compute_input_duration_us: 'Time for the inputs of runs.',
  nv_inference_compute_infer_duration_us: 'Time of runs.',
  nv_inference_compute_output_duration_us: 'Time for the outputs of runs.',
  nv_inference_pending_request_count: 'Calls that wait before a model.',
  outrider_model_transitions_total:
    'Times a version of a model went from one state to another (pending, loading, warming, golden, shadow, serving, suspect, draining, stopped, backing-off, given-up, rejected); of more than 64 versions those beyond are `other`.',
  outrider_model_recycles_total:
    'Processes that were replaced by recycling: done, or failed, in which case the old one stays.',
  outrider_model_loads_total: 'Loads of versions of a model, by how they ended.',

  // splits, mirrors and injected faults
  outrider_split_total: 'Calls of split routes, by the upstream that got them.',
  outrider_mirror_sent_total: 'Copies of calls sent to another upstream.',
  outrider_mirror_skipped_total: 'Calls that should have been copied and were not, by reason.',
  outrider_mirror_compared_total: 'Copies whose end was compared with that of the call.',
  outrider_mirror_not_compared_total: 'Copies whose end was not compared, by reason.',
  outrider_mirror_mismatched_total: 'Copies that ended otherwise than their call, by what differed.',
  outrider_mirror_largest_class_total:
    'Pairs of responses with classes, by whether the largest one is the same.',
  outrider_faults_active:
    'Injected faults that are active, by what they do: delay or abort calls, or freeze a model process. Absent if the file allows none.',
  outrider_faults_injected_total: 'Calls that an injected fault hit.',

  // what is read from Consul, and the registration there
  outrider_consul_up: '1 while at least one blocking query of the Consul agent succeeds; 0 while none does.',
  outrider_consul_query_failing:
    '1 while the last read of a query failed, or the token may not read all of its answer. What was known before stays in use.',
  outrider_consul_age_seconds:
    'Time since the last good answer to a query. At rest it goes up to the wait of a blocking query (5 min).',
  outrider_consul_answers_total: 'Good answers to a query.',
  outrider_consul_failures_total: 'Failed reads of a query.',
  outrider_consul_index_resets_total:
    'Times that the index of a query went backwards: servers were restored or replaced.',
  outrider_consul_rereads_total: 'Times that an answer to a query was doubted and read again.',
  outrider_consul_bytes_total: 'Bytes of bodies read for a query.',
  outrider_consul_registered: '1 while the agent had this instance and its checks when last asked.',
  outrider_consul_registrations_total:
    'Definitions sent to the agent; more than a few an hour mean that it keeps forgetting them.',
  outrider_consul_registration_failures_total: 'Rounds of registration, comparison or refresh that failed.',
  outrider_consul_check_passing:
    'What each check tells Consul: 1 passing, 0 critical, or a warning that one of several models is not served.',
  outrider_consul_instances: 'Instances in use by target and by the status that counts.',
  outrider_consul_kept_instances:
    'Instances in use although Consul took them away, because too many went at once.',
  outrider_consul_holds_total:
    'Times Consul suddenly listed less than half of the instances in use, and the others were kept for the grace time.',
  outrider_consul_unreadable:
    '1 while Consul hides the instances of a target from the token. The last list, if there was one, stays in use.',
  outrider_consul_skipped_entries: 'Entries of the last answer that are invalid and ignored.',
  outrider_consul_parses_total:
    'Answers about instances that were parsed, on the main thread or in a thread of its own.',
  outrider_consul_parse_failures_total: 'Answers that the parse thread could not parse.',

  // upstreams that are found by a DNS name
  outrider_dns_failing:
    '1 while the last query for the name of an upstream failed, and what was known before stays in use.',
  outrider_dns_age_seconds: 'Time since the last good answer about the name of an upstream.',
  outrider_dns_queries_total:
    'Rounds of queries for the name of an upstream that have ended; one asks for A and AAAA records.',
  outrider_dns_failures_total: 'Rounds of queries without an answer for at least one record type.',
  outrider_dns_addresses: 'Addresses in the last good answer.',
  outrider_dns_kept_addresses:
    'Endpoints in use although the last answer does not have them, because too many went at once.',

  // upstreams that are found by a Service of Kubernetes
  outrider_kubernetes_failing:
    '1 while the API of Kubernetes cannot be followed for an upstream, and what was known before stays in use.',
  outrider_kubernetes_age_seconds:
    'Time since the API of Kubernetes last said something of an upstream; up to about a minute while all is well.',
  outrider_kubernetes_lists_total: 'Lists of EndpointSlices that were read.',
  outrider_kubernetes_watches_total: 'Watches of EndpointSlices that were begun.',
  outrider_kubernetes_failures_total: 'Lists and watches that failed.',
  outrider_kubernetes_endpoints: 'Ready endpoints of the Service of an upstream.',
  outrider_kubernetes_unready_endpoints:
    'Endpoints that are not ready; they get calls only while no other can.',
  outrider_kubernetes_terminating_endpoints:
    'Endpoints whose pods end; they get calls only while no other can.',
  outrider_kubernetes_kept_endpoints:
    'Endpoints in use although the API does not list them, because too many went at once.',

  // the access log
  outrider_access_log_lines_total: 'Lines of the access log that were written, or handed to standard error.',
  outrider_access_log_dropped_total:
    'Lines of the access log that were dropped because the disk is full, gone or too slow. On standard error, lines of every log.',

  // traces
  outrider_traced_calls_total:
    'Calls whose spans were queued for the collector: they were in the sample, failed, were retried or were degraded.',
  outrider_spans_exported_total: 'Spans that the collector has taken.',
  outrider_spans_dropped_total:
    'Spans that were not exported: the collector is slow (full), down (unreachable) or refused them (refused), they could not be encoded (encode), were over errors_per_second (error-limit), or were left at the end (shutdown).',
  outrider_spans_waiting: 'Spans that wait for the collector.',
  outrider_spans_waiting_bytes: 'Bytes of encoded spans that wait for the collector.',
  outrider_trace_export_failures_total: 'Requests to the collector that failed or were refused.',

  // metrics that are sent to a collector
  outrider_metric_points_exported_total: 'Data points of metrics that the collector has taken.',
  outrider_metric_points_dropped_total:
    'Data points that were not exported: the collector is down or too slow (unreachable) or refused them (refused), the export before was still under way (late; as many as that one has), they were no finite numbers (invalid), could not be read or encoded (encode), or the end or a changed configuration cut an export off (shutdown).',
  outrider_metric_export_failures_total:
    'Requests with metrics to the collector that failed or were refused.',

  // the audit log
  outrider_audit_lines_total: 'Lines of the audit log that the disk has taken.',
  outrider_audit_missed_total:
    'Decisions that were dropped while the disk took no lines; a line `gap` counts them in the log.',
  outrider_audit_waiting_lines: 'Lines of the audit log that wait for the disk.',
  outrider_audit_published_line: 'Number of the last line whose hash Consul has.',
} as const;

/** Name of a counter or gauge. */
export type MetricName = keyof typeof HELP;
