import type { Alert } from './alert.js';

const REPLICA = 'instance="digits-1:9464",job="outrider"';

/** The models and the queues before them, as their own sidecars see them. */
export const MODEL_ALERTS: readonly Alert[] = [
  {
    name: 'OutriderModelDown',
    severity: 'warning',
    forMinutes: 2,
    expr: 'outrider_model_up == 0',
    summary: '{{ $labels.instance }}: the model {{ $labels.model }} does not answer',
    description: 'Neither inferences nor the golden input have shown for 2 minutes that it answers.',
    means: 'The replica takes no calls of this model; callers use the others.',
    steps: [
      '`npx outrider status --admin ADMIN` says why. The log of the sidecar has the last lines of the process.',
    ],
    test: {
      inputs: { [`outrider_model_up{${REPLICA},model="mnist"}`]: '0x60' },
      labels: { instance: 'digits-1:9464', job: 'outrider', model: 'mnist' },
    },
  },
  {
    name: 'OutriderModelRestarts',
    severity: 'warning',
    forMinutes: 0,
    expr: 'sum by (instance, model) (increase(outrider_model_restarts_total[30m])) > 2',
    summary: '{{ $labels.instance }}: the model {{ $labels.model }} keeps dying',
    description: 'Its process was started again {{ $value | printf "%.0f" }} times in 30 minutes.',
    means:
      'Calls in flight at each death fail or are retried elsewhere. The sidecar waits longer and longer between starts.',
    steps: [
      'The log of the sidecar has the exit code or signal: SIGKILL is often the OOM killer.',
      '`poison` in `/endpoints` names requests that were in the crashes.',
    ],
    test: {
      inputs: { [`outrider_model_restarts_total{${REPLICA},model="mnist"}`]: '0 0 1 1 2 2 3 3 4 4 5 5x60' },
      labels: { instance: 'digits-1:9464', model: 'mnist' },
      value: '5',
      atMinute: 20,
    },
  },
  {
    name: 'OutriderModelGivenUp',
    severity: 'critical',
    forMinutes: 1,
    expr: 'sum by (instance, model) (outrider_model_given_up) > 0',
    summary: '{{ $labels.instance }}: the model {{ $labels.model }} is given up',
    description: 'It died too often. The sidecar tries a single start now and then.',
    means: 'The replica is lost until its file, its machine or its requests change.',
    steps: [
      'As with OutriderModelRestarts. A repaired model starts at the next attempt, or at once if you restart the sidecar.',
    ],
    test: {
      inputs: { [`outrider_model_given_up{${REPLICA},model="mnist"}`]: '1x60' },
      labels: { instance: 'digits-1:9464', model: 'mnist' },
    },
  },
  {
    name: 'OutriderQueueRejects',
    severity: 'warning',
    forMinutes: 5,
    expr: 'sum by (service) (rate(outrider_local_replies_total{direction="inbound",reason=~"overloaded|queue-expired|memory-pressure"}[5m])) / sum by (service) (rate(outrider_calls_started_total{direction="inbound"}[5m])) > 0.01',
    summary:
      '{{ $labels.service }}: {{ $value | humanizePercentage }} of the calls are refused before the model',
    description:
      'The queues before the models of {{ $labels.service }} have been full, or too long for the deadlines, for 5 minutes.',
    means: 'There are more calls than the replicas can serve. Less important classes are refused first.',
    steps: [
      'Board "Outrider: model": waiting, running and concurrency of each replica. Uneven: look at balancing and at slow replicas.',
      'Add replicas, or limit the load: `rate_limits` by caller, `priority` by class.',
    ],
    test: {
      inputs: {
        [`outrider_calls_started_total{${REPLICA},direction="inbound",service="digits",method="m"}`]:
          '0+100x60',
        [`outrider_local_replies_total{${REPLICA},direction="inbound",service="digits",method="m",reason="overloaded"}`]:
          '0+10x60',
      },
      labels: { service: 'digits' },
      value: '10%',
    },
  },
  {
    name: 'OutriderMemoryPressure',
    severity: 'warning',
    forMinutes: 5,
    expr: 'outrider_memory_used_ratio > 0.9 or rate(outrider_shed_calls_total[5m]) > 0',
    summary: '{{ $labels.instance }}: memory runs short',
    description: 'The sidecar is near its limit of memory, or has ended calls for want of it, for 5 minutes.',
    means: 'Less important calls are refused first, then every new one; the largest holders are ended.',
    steps: [
      '`outrider_buffered_bytes` and `outrider_waiting_bytes` say what holds it: large requests, callers or models that read slowly.',
      'Raise the limit of the process, or lower `limits.memory_budget` so that it sheds earlier.',
    ],
    test: {
      inputs: { [`outrider_memory_used_ratio{${REPLICA}}`]: '0.95x60' },
      labels: { instance: 'digits-1:9464', job: 'outrider' },
    },
  },
];
