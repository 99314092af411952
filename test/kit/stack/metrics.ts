import { metricsOf } from '../../../sidecar/app/metrics/traffic.js';
import type { Metric } from '../../../sidecar/telemetry/metric.js';
import type { Stack } from './stack.js';

const NONE = {
  outbounds: [],
  inbound: undefined,
  rejectedReloads: 0,
  rotations: 0,
  isIdentityFailing: false,
  leafSecondsLeft: undefined,
  leafLifetimeSeconds: undefined,
};

/** The families of a stack's traffic, `over` in place of a sidecar that has neither side. */
export function metricsIn(
  { context }: Stack,
  over: Partial<Parameters<typeof metricsOf>[0]> = {},
): readonly Metric[] {
  return metricsOf({ stats: context.stats, memory: context.memory, ...NONE, ...over });
}
