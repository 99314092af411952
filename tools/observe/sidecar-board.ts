import type { Board } from './panel.js';

const AT = 'instance=~"$instance"';
const rate = (metric: string, by: string) => `sum by (${by}) (rate(${metric}{${AT}}[$__rate_interval]))`;

/** The sidecars themselves. */
export const SIDECAR_BOARD: Board = {
  name: 'sidecar',
  title: 'Outrider: sidecar',
  about: 'The sidecars themselves: processes, connections, certificates, Consul.',
  variables: [{ name: 'instance', metric: 'outrider_info', label: 'instance' }],
  rows: [
    {
      title: 'Process',
      panels: [
        {
          title: 'CPU',
          kind: 'timeseries',
          unit: 'percentunit',
          about: 'Of one core.',
          targets: [[rate('process_cpu_seconds_total', 'instance'), '{{instance}}']],
        },
        {
          title: 'Event loop',
          kind: 'timeseries',
          unit: 'percentunit',
          about: 'Share of the time in which the thread that relays calls works; near 1 calls wait for it.',
          targets: [
            [
              `rate(process_event_loop_active_seconds_total{${AT}}[$__rate_interval]) / (rate(process_event_loop_active_seconds_total{${AT}}[$__rate_interval]) + rate(process_event_loop_idle_seconds_total{${AT}}[$__rate_interval]))`,
              '{{instance}}',
            ],
          ],
        },
        {
          title: 'Memory',
          kind: 'timeseries',
          unit: 'bytes',
          about: 'Resident, and heap of JavaScript.',
          targets: [
            [`process_resident_memory_bytes{${AT}}`, 'resident {{instance}}'],
            [`process_heap_bytes{${AT}}`, 'heap {{instance}}'],
          ],
        },
        {
          title: 'Memory for calls',
          kind: 'timeseries',
          unit: 'bytes',
          about: 'Buffered, waiting to be passed on, and granted to peers.',
          targets: [
            [`outrider_buffered_bytes{${AT}}`, 'buffered {{instance}}'],
            [`outrider_waiting_bytes{${AT}}`, 'waiting {{instance}}'],
            [`outrider_granted_bytes{${AT}}`, 'granted {{instance}}'],
          ],
        },
        {
          title: 'Open files',
          kind: 'timeseries',
          about: 'File descriptors.',
          targets: [[`process_open_fds{${AT}}`, '{{instance}}']],
        },
        {
          title: 'Memory in use',
          kind: 'timeseries',
          unit: 'percentunit',
          about: 'Of what the process may hold; calls are shed near 1.',
          targets: [[`outrider_memory_used_ratio{${AT}}`, '{{instance}}']],
        },
      ],
    },
    {
      title: 'Connections and peers',
      panels: [
        {
          title: 'Connections',
          kind: 'timeseries',
          about: 'Accepted and open.',
          targets: [[`outrider_connections_open{${AT}}`, '{{instance}}']],
        },
        {
          title: 'Refused peers',
          kind: 'timeseries',
          unit: 'ops',
          about: 'TLS handshakes that failed, by reason.',
          targets: [
            [rate('outrider_handshake_failures_total', 'instance, reason'), '{{instance}}: {{reason}}'],
          ],
        },
        {
          title: 'Limits hit',
          kind: 'timeseries',
          unit: 'ops',
          about: 'Bounds against hostile peers.',
          targets: [[rate('outrider_limit_hits_total', 'instance, limit'), '{{instance}}: {{limit}}']],
        },
        {
          title: 'Errors',
          kind: 'timeseries',
          unit: 'ops',
          about: 'Peers that broke HTTP/2; defects of our own; calls ended for want of memory.',
          targets: [
            [rate('outrider_protocol_errors_total', 'instance'), 'protocol {{instance}}'],
            [rate('outrider_defects_total', 'instance'), 'defects {{instance}}'],
            [rate('outrider_shed_calls_total', 'instance'), 'shed {{instance}}'],
          ],
        },
      ],
    },
    {
      title: 'Identity, Consul, configuration',
      panels: [
        {
          title: 'Life of the certificate',
          kind: 'timeseries',
          unit: 'percentunit',
          about: 'What is left of it; it should jump back to 1.',
          targets: [
            [`outrider_identity_expires_seconds{${AT}} / outrider_identity_lifetime_seconds`, '{{instance}}'],
          ],
        },
        {
          title: 'Consul',
          kind: 'state-timeline',
          about: 'Whether queries of the agent succeed.',
          targets: [[`outrider_consul_up{${AT}}`, '{{instance}}']],
          colours: [
            [null, 'red'],
            [1, 'green'],
          ],
          words: { 0: 'away', 1: 'answers' },
        },
        {
          title: 'Instances in use',
          kind: 'timeseries',
          about: 'By target and status in Consul; kept: Consul took them away, and they still answer.',
          targets: [
            [`sum by (target, status) (outrider_consul_instances{${AT}})`, '{{target}} {{status}}'],
            [`sum by (target) (outrider_consul_kept_instances{${AT}})`, '{{target}} kept'],
          ],
        },
        {
          title: 'Refused files, lost lines',
          kind: 'timeseries',
          about: 'In an hour.',
          targets: [
            [`increase(outrider_config_reloads_rejected_total{${AT}}[1h])`, 'refused {{instance}}'],
            [`increase(outrider_access_log_dropped_total{${AT}}[1h])`, 'access log {{instance}}'],
            [`increase(outrider_audit_missed_total{${AT}}[1h])`, 'audit log {{instance}}'],
          ],
        },
      ],
    },
  ],
};
