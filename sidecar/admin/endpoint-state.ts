import type { EndpointReport } from '../telemetry/reports.js';

export type Tone = 'good' | 'warn' | 'bad';

/** Below this share of recent calls that succeeded, an endpoint that takes calls is no longer shown as good. */
const FAIR = 0.8;
const POOR = 0.5;

const PASSING: ReadonlySet<EndpointReport['state']> = new Set(['standby', 'probing', 'connecting']);

export function endpointTone({ state, mayBeStarting, successRatio = 1, priority = 0 }: EndpointReport): Tone {
  if (mayBeStarting) return 'warn';
  if (state !== 'eligible') return PASSING.has(state) ? 'warn' : 'bad';
  if (successRatio < POOR) return 'bad';
  return successRatio < FAIR || priority >= CRITICAL ? 'warn' : 'good';
}

/** Its state in one word. */
export function endpointState({ state, mayBeStarting }: EndpointReport): string {
  return mayBeStarting ? 'starting' : state;
}

/** The priority from which on the registry calls an endpoint critical. */
const CRITICAL = 1_000;
