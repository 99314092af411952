import type { Inputs } from './alert.js';

const CALLER = 'instance="caller:9464",job="outrider"';
const REPLICAS = ['digits-1', 'digits-2', 'digits-3'] as const;
const endpoint = (name: string) => `${CALLER},upstream="digits",endpoint="${name}",name="${name}"`;
const call = `direction="outbound",service="digits",method="m"`;
/** Values of an hour, one a minute. */
const of = (value: number): string => `${value}x60`;

/**
 * An hour of a mesh that is well, with what happens in one: single calls fail and some are retried, one endpoint is
 * ejected for three minutes, a replica is drained and restarted, a model is started again once, a certificate is
 * renewed, Consul is away for a minute and DNS for four, one caller was refused.
 */
export const HEALTHY_HOUR: Inputs = {
  [`outrider_calls_total{${CALLER},${call},grpc_status="OK"}`]: '0+1998x60',
  [`outrider_calls_total{${CALLER},${call},grpc_status="UNAVAILABLE"}`]: '0+2x60',
  [`outrider_calls_total{${CALLER},${call},grpc_status="INVALID_ARGUMENT"}`]: '0+200x60',
  [`outrider_call_seconds_bucket{${CALLER},${call},le="0.1"}`]: '0+1990x60',
  [`outrider_call_seconds_bucket{${CALLER},${call},le="1"}`]: '0+2000x60',
  [`outrider_call_seconds_bucket{${CALLER},${call},le="+Inf"}`]: '0+2000x60',
  [`outrider_fallback_active{${CALLER},upstream="digits",method="m"}`]: '0x20 1x3 0x40',
  [`outrider_retry_budget_refused_total{${CALLER},upstream="digits"}`]: '0x20 5x40',
  [`outrider_breaker_open_total{${CALLER},upstream="digits",limit="in-flight"}`]: '0x30 3x30',
  [`outrider_endpoint_eligible{${endpoint('a')}}`]: '1x20 0x3 1x40',
  [`outrider_endpoint_eligible{${endpoint('b')}}`]: of(1),
  [`outrider_endpoint_eligible{${endpoint('c')}}`]: of(1),
  [`outrider_upstream_endpoints{${CALLER},upstream="digits"}`]: of(3),
  [`outrider_upstream_endpoints{${CALLER},upstream="new"}`]: '0x1 1x60',
  [`outrider_endpoint_ejected{${endpoint('a')}}`]: '0x20 1x3 0x40',
  [`outrider_ejections_total{${endpoint('a')},detector="consecutive-faults"}`]: '0x20 1x40',
  [`outrider_outputs_inspected_total{${CALLER},upstream="digits",result="inOrder"}`]: '0+10x60',
  [`outrider_dns_failing{${CALLER},upstream="digits"}`]: '0x30 1x3 0x30',
  [`outrider_kubernetes_failing{${CALLER},upstream="digits"}`]: '0x30 1x3 0x30',
  ...Object.fromEntries(REPLICAS.flatMap((name) => Object.entries(replica(name)))),
  // One replica is drained and starts anew.
  [`up{instance="digits-2:9464",job="outrider"}`]: '1x40 0x0 1x20',
  [`process_start_time_seconds{instance="digits-2:9464",job="outrider"}`]: '1000x40 3400x20',
  [`outrider_model_up{instance="digits-2:9464",job="outrider",model="mnist"}`]: '1x40 0x0 1x20',
  [`outrider_model_restarts_total{instance="digits-1:9464",job="outrider",model="mnist"}`]: '0x10 1x50',
  [`outrider_consul_up{instance="digits-1:9464",job="outrider"}`]: '1x15 0x0 1x45',
  [`outrider_handshake_failures_total{instance="digits-1:9464",job="outrider",reason="no-identity"}`]:
    '0x15 1x45',
};

function replica(name: string): Inputs {
  const target = `instance="${name}:9464",job="outrider"`;
  const inbound = 'direction="inbound",service="digits",method="m"';
  return {
    [`up{${target}}`]: of(1),
    [`process_start_time_seconds{${target}}`]: of(1000),
    [`process_event_loop_active_seconds_total{${target}}`]: '0+20x60',
    [`process_event_loop_idle_seconds_total{${target}}`]: '0+40x60',
    [`outrider_calls_started_total{${target},${inbound}}`]: '0+700x60',
    [`outrider_local_replies_total{${target},${inbound},reason="overloaded"}`]: '0+1x60',
    [`outrider_local_replies_total{${target},${inbound},reason="not-allowed"}`]: '0+100x60',
    [`outrider_model_up{${target},model="mnist"}`]: of(1),
    [`outrider_model_restarts_total{${target},model="mnist"}`]: of(0),
    [`outrider_model_given_up{${target},model="mnist"}`]: of(0),
    [`outrider_memory_used_ratio{${target}}`]: of(0.6),
    [`outrider_shed_calls_total{${target}}`]: of(0),
    // Renewed at half of its hour.
    [`outrider_identity_expires_seconds{${target}}`]: '3600-60x30 3600-60x30',
    [`outrider_identity_lifetime_seconds{${target}}`]: of(3600),
    [`outrider_consul_up{${target}}`]: of(1),
    [`outrider_consul_registered{${target}}`]: of(1),
    [`outrider_config_reloads_rejected_total{${target}}`]: of(0),
    [`outrider_defects_total{${target}}`]: of(0),
    [`outrider_access_log_dropped_total{${target}}`]: of(0),
    [`outrider_audit_missed_total{${target}}`]: of(0),
    [`outrider_spans_dropped_total{${target},reason="unreachable"}`]: '0x20 90x40',
    [`outrider_spans_dropped_total{${target},reason="error-limit"}`]: '0+60x60',
  };
}
