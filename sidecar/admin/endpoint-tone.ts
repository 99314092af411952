/** How an endpoint is shown at a glance: the colour of its state, on the page and in a terminal. */

import type { EndpointReport } from './view.js';

export type Tone = 'good' | 'warn' | 'bad';

/** Below this share of recent calls that succeeded, an endpoint that takes calls is no longer shown as good. */
const FAIR = 0.8;
const POOR = 0.5;

const PASSING: ReadonlySet<EndpointReport['state']> = new Set([
  'standby',
  'probing',
  'connecting',
  'starting',
]);

export function endpointTone({ state, successRatio = 1, priority = 0 }: EndpointReport): Tone {
  if (state !== 'eligible') return PASSING.has(state) ? 'warn' : 'bad';
  if (successRatio < POOR) return 'bad';
  return successRatio < FAIR || priority >= CRITICAL ? 'warn' : 'good';
}

/** The priority from which on the registry calls an endpoint critical. */
const CRITICAL = 1_000;
