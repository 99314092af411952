import type { Alert } from './alert.js';

const SIDECAR = 'instance="digits-1:9464",job="outrider"';
const LABELS = { instance: 'digits-1:9464', job: 'outrider' };

/** The sidecars themselves, their certificates, Consul and DNS. */
export const SIDECAR_ALERTS: readonly Alert[] = [
  {
    name: 'OutriderSidecarDown',
    severity: 'critical',
    forMinutes: 1,
    expr: 'up{job="outrider"} == 0',
    summary: '{{ $labels.instance }} cannot be scraped',
    description:
      'Prometheus has had no answer of the sidecar for a minute: it is gone, hangs, or cannot be reached.',
    means: 'Its service gets no calls, or its application can make none.',
    steps: [
      '`curl http://INSTANCE/live` from the machine of Prometheus, then from its own machine: the network, or the process?',
      'The log says why it ended. Under `up` or systemd it is started again.',
    ],
    test: { inputs: { [`up{${SIDECAR}}`]: '0x60' }, labels: LABELS },
  },
  {
    name: 'OutriderSidecarRestarts',
    severity: 'warning',
    forMinutes: 0,
    expr: 'changes(process_start_time_seconds{job="outrider"}[30m]) > 2',
    summary: '{{ $labels.instance }} keeps restarting',
    description: 'The process of the sidecar began anew {{ $value | printf "%.0f" }} times in 30 minutes.',
    means: 'Each restart without a takeover breaks the calls in flight.',
    steps: [
      'Look at the last lines of its log, and at the exit code in the log of the program that starts it.',
      'Takeovers after changes of the file count too.',
    ],
    test: {
      inputs: {
        [`process_start_time_seconds{${SIDECAR}}`]: '1000 1000 1200 1200 1400 1400 1600 1600 1800x60',
      },
      labels: LABELS,
      value: '4',
    },
  },
  {
    name: 'OutriderCertificateExpires',
    severity: 'critical',
    forMinutes: 1,
    expr: 'outrider_identity_expires_seconds < 0.08 * outrider_identity_lifetime_seconds',
    summary: '{{ $labels.instance }}: the certificate expires in {{ $value | humanizeDuration }}',
    description:
      'Less than 8 percent of its life is left, and no new one has come: renewals come before, those of Consul when 10 to 40 percent are left.',
    means: 'When it has expired, peers refuse the sidecar: it can make no calls and gets none.',
    steps: [
      'Certificate files: does the program that writes them still run (cert-manager, SPIRE)?',
      'Consul: is the agent reachable, and does its cluster have an authority (`/v1/connect/ca/roots`)?',
    ],
    test: {
      inputs: {
        [`outrider_identity_expires_seconds{${SIDECAR}}`]: '600-30x60',
        [`outrider_identity_lifetime_seconds{${SIDECAR}}`]: '3600x60',
      },
      labels: LABELS,
      value: '3m 30s',
      atMinute: 13,
    },
  },
  {
    name: 'OutriderHandshakesFail',
    severity: 'warning',
    forMinutes: 10,
    expr: 'sum by (instance, reason) (rate(outrider_handshake_failures_total[5m])) > 0.05',
    summary: '{{ $labels.instance }} refuses TLS peers: {{ $labels.reason }}',
    description: 'For 10 minutes it has refused {{ $value | humanize }} peers a second.',
    means:
      'A peer has the wrong roots, an expired certificate or another trust domain; or something scans the port.',
    steps: ['The log has a line for each reason, with the identity as far as it was shown.'],
    test: {
      inputs: { [`outrider_handshake_failures_total{${SIDECAR},reason="no-identity"}`]: '0+60x60' },
      labels: { instance: 'digits-1:9464', reason: 'no-identity' },
      value: '1',
    },
  },
  {
    name: 'OutriderConsulUnreachable',
    severity: 'warning',
    forMinutes: 2,
    expr: 'outrider_consul_up == 0',
    summary: '{{ $labels.instance }} reads nothing from Consul',
    description: 'No query of the agent has succeeded for 2 minutes. What was known before stays in use.',
    means: 'Calls continue. New instances are not found, and intentions and certificates are not renewed.',
    steps: [
      'Is the agent alive and are its servers (`consul members`)?',
      'Is its token refused? `npx outrider status` has the message.',
    ],
    test: { inputs: { [`outrider_consul_up{${SIDECAR}}`]: '0x60' }, labels: LABELS },
  },
  {
    name: 'OutriderNotRegistered',
    severity: 'warning',
    forMinutes: 5,
    expr: 'outrider_consul_registered == 0',
    summary: '{{ $labels.instance }} is not registered in Consul',
    description: 'For 5 minutes the agent has not had this instance as it should.',
    means: 'Callers do not find the replica.',
    steps: ['`npx outrider status` says what the agent refused; often its token lacks `service:write`.'],
    test: { inputs: { [`outrider_consul_registered{${SIDECAR}}`]: '0x60' }, labels: LABELS },
  },
  {
    name: 'OutriderDnsFails',
    severity: 'warning',
    forMinutes: 5,
    expr: 'outrider_dns_failing == 1',
    summary: '{{ $labels.instance }}: DNS does not say where {{ $labels.upstream }} is',
    description:
      'For 5 minutes every query for its name has failed, for one record type at least. What was known before stays in use.',
    means:
      'Calls go to the addresses that were known before. New instances are not found, and those that are gone stay listed.',
    steps: [
      '`npx outrider status` has the reason of each server, and `npx outrider check --mesh FILE` asks anew.',
      '`dig +search NAME` from the machine of the sidecar, in Kubernetes from a pod: is the DNS of the cluster alive?',
      'If only AAAA fails and the instances have no IPv6 address, set `family: ipv4` of `dns`.',
    ],
    test: {
      inputs: {
        'outrider_dns_failing{instance="caller:9464",job="outrider",upstream="digits"}': '1x60',
        'outrider_dns_failing{instance="caller:9464",job="outrider",upstream="letters"}': '0x60',
      },
      labels: { instance: 'caller:9464', job: 'outrider', upstream: 'digits' },
    },
  },
  {
    name: 'OutriderKubernetesFails',
    severity: 'warning',
    forMinutes: 5,
    expr: 'outrider_kubernetes_failing == 1',
    summary: '{{ $labels.instance }}: the Kubernetes API does not say where {{ $labels.upstream }} is',
    description:
      'For 5 minutes its EndpointSlices could not be listed or watched. What was known before stays in use.',
    means:
      'Calls go to the pods that were known before. New pods are not found, and those that are gone stay listed.',
    steps: [
      '`npx outrider status` has the reason, and `npx outrider check --mesh FILE` asks anew.',
      'For 403: `kubectl auth can-i watch endpointslices --as=system:serviceaccount:NAMESPACE:NAME`.',
      'For no connection: do a NetworkPolicy and the API server let the pod ask?',
    ],
    test: {
      inputs: {
        'outrider_kubernetes_failing{instance="caller:9464",job="outrider",upstream="digits"}': '1x60',
        'outrider_kubernetes_failing{instance="caller:9464",job="outrider",upstream="letters"}': '0x60',
      },
      labels: { instance: 'caller:9464', job: 'outrider', upstream: 'digits' },
    },
  },
  {
    name: 'OutriderConfigurationRefused',
    severity: 'warning',
    forMinutes: 0,
    expr: 'increase(outrider_config_reloads_rejected_total[15m]) > 0',
    summary: '{{ $labels.instance }} refused its changed file',
    description: 'In the last 15 minutes it read a file with a problem, and goes on with the one before.',
    means: 'The change has no effect. A restart with this file would fail.',
    steps: ['`npx outrider validate FILE` says what is wrong with it.'],
    test: {
      inputs: { [`outrider_config_reloads_rejected_total{${SIDECAR}}`]: '0 0 0 0 1x60' },
      labels: LABELS,
    },
  },
  {
    name: 'OutriderDefect',
    severity: 'warning',
    forMinutes: 0,
    expr: 'increase(outrider_defects_total[1h]) > 0',
    summary: '{{ $labels.instance }}: an error of the sidecar itself ended a connection',
    description: 'The log has it with its stack. It is a bug of Outrider.',
    means: 'Calls on that connection failed.',
    steps: ['Report it as a bug, with the lines of the log.'],
    test: { inputs: { [`outrider_defects_total{${SIDECAR}}`]: '0 0 0 0 1x60' }, labels: LABELS },
  },
  {
    name: 'OutriderSidecarSaturated',
    severity: 'warning',
    forMinutes: 10,
    expr: 'rate(process_event_loop_active_seconds_total[5m]) / (rate(process_event_loop_active_seconds_total[5m]) + rate(process_event_loop_idle_seconds_total[5m])) > 0.9',
    summary: '{{ $labels.instance }}: the sidecar is busy {{ $value | humanizePercentage }} of the time',
    description: 'Its event loop has had almost no time to spare for 10 minutes.',
    means: 'Every call waits for the sidecar itself.',
    steps: ['Add replicas: a sidecar has one thread for calls.'],
    test: {
      inputs: {
        [`process_event_loop_active_seconds_total{${SIDECAR}}`]: '0+57x60',
        [`process_event_loop_idle_seconds_total{${SIDECAR}}`]: '0+3x60',
      },
      labels: LABELS,
      value: '95%',
    },
  },
  {
    name: 'OutriderLogsLost',
    severity: 'warning',
    forMinutes: 0,
    expr: 'increase(outrider_access_log_dropped_total[15m]) > 0 or increase(outrider_audit_missed_total[15m]) > 0',
    summary: '{{ $labels.instance }}: lines of a log are lost',
    description:
      'Lines of the access log were dropped, or decisions of the audit log found no room, in the last 15 minutes.',
    means: 'The disk is full, gone or too slow.',
    steps: ['Check the disk of `access_log.path` and `audit.path`.'],
    test: { inputs: { [`outrider_access_log_dropped_total{${SIDECAR}}`]: '0 0 0 0 9x60' }, labels: LABELS },
  },
  {
    name: 'OutriderSpansDropped',
    severity: 'warning',
    forMinutes: 5,
    // Failed calls over `errors_per_second` are left out on purpose.
    expr: 'sum by (instance, reason) (rate(outrider_spans_dropped_total{reason!="error-limit"}[5m])) > 0',
    summary: '{{ $labels.instance }}: spans of traces are dropped ({{ $labels.reason }})',
    description:
      'For 5 minutes it has dropped {{ $value | humanize }} spans a second. No call waits for them.',
    means: 'Traces of that time are missing or have gaps.',
    steps: [
      '`unreachable`: the collector of `traces.endpoint` is down; `full`: it is slower than the spans come; `refused`: its log says why.',
      '`full` with a healthy collector: a smaller `traces.sample`.',
    ],
    test: {
      inputs: { [`outrider_spans_dropped_total{${SIDECAR},reason="unreachable"}`]: '0+120x60' },
      labels: { instance: 'digits-1:9464', reason: 'unreachable' },
      value: '2',
    },
  },
];
