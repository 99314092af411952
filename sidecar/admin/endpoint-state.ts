import type { EndpointReport } from '../telemetry/reports.js';

/** Colour of a state: green, yellow or red. */
export type Tone = 'good' | 'warn' | 'bad';

/**
 * Below these success ratios of the last 10 s an endpoint that takes calls is shown as `warn` and
 * as `bad`.
 */
const FAIR = 0.8;
const POOR = 0.5;

/** States that pass by themselves. */
const TEMPORARY: ReadonlySet<EndpointReport['state']> = new Set(['standby', 'probing', 'connecting']);

/** The colour in which an endpoint is shown. */
export function endpointTone(report: EndpointReport): Tone {
  const { state, mayBeStarting, successRatio = 1, priority = 0, suspicion } = report;
  if (mayBeStarting) return 'warn';
  if (state !== 'eligible') return TEMPORARY.has(state) ? 'warn' : 'bad';
  if (successRatio < POOR) return 'bad';
  return successRatio < FAIR || priority >= CRITICAL || suspicion?.isSuspect === true ? 'warn' : 'good';
}

/** The state in one word, for people. */
export function endpointState({ state, mayBeStarting }: EndpointReport): string {
  return mayBeStarting ? 'starting' : state;
}

/** Why it is in its state, and what it is suspected of. */
export function endpointReason({ why, suspicion }: EndpointReport): string {
  if (suspicion === undefined || suspicion.why === '') return why;
  return why === '' ? suspicion.why : `${why}; ${suspicion.why}`;
}

/** Endpoints that Consul reports as critical have this priority or a higher number. */
const CRITICAL = 1_000;
