import { metricsOf } from '../../../sidecar/app/metrics/traffic.js';
import type { Metric } from '../../../sidecar/telemetry/metric.js';
import type { Stack } from './stack.js';

export function metricsIn(
  { context }: Stack,
  over: Partial<Parameters<typeof metricsOf>[0]> = {},
): readonly Metric[] {
  return metricsOf({
    stats: context.stats,
    memory: context.memory,
    outbounds: [],
    inbound: undefined,
    rejectedReloads: 0,
    rotations: 0,
    leafSecondsLeft: undefined,
    ...over,
  });
}
