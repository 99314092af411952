import { familiesOf } from '../../../sidecar/app/metrics/traffic.js';
import type { Family } from '../../../sidecar/telemetry/metric.js';
import type { Stack } from './stack.js';

export function familiesIn(
  { relay }: Stack,
  over: Partial<Parameters<typeof familiesOf>[0]> = {},
): readonly Family[] {
  return familiesOf({
    tally: relay.tally,
    memory: relay.memory,
    outbounds: [],
    inbound: undefined,
    reloadsRejected: 0,
    rotations: 0,
    leafSecondsLeft: undefined,
    ...over,
  });
}
