import type { EndpointReport } from '../../telemetry/reports.js';
import type { CatalogMemory } from './catalog-memory.js';
import type { TextSample } from './samples.js';

/** Metrics of a sidecar from which its endpoints are read. */
export const ENDPOINT = {
  eligible: 'outrider_endpoint_eligible',
  ejected: 'outrider_endpoint_ejected',
  healthy: 'outrider_endpoint_healthy',
  connections: 'outrider_endpoint_connections',
  inFlight: 'outrider_endpoint_in_flight',
  ewma: 'outrider_endpoint_ewma_seconds',
  outcomes: 'outrider_attempt_outcomes_total',
  ejections: 'outrider_ejections_total',
} as const;

/** Samples of a scrape by the name of their metric. */
export type Samples = ReadonlyMap<string, readonly TextSample[]>;

/** What the catalogue has of the instance that is reached at an address. */
export interface CatalogPeer {
  readonly name: string;
  /** What its checks that do not pass say; empty: they pass. */
  readonly why: string;
}

/** What endpoints are read with, beside the metrics. */
export interface EndpointSources {
  /** Name of the sidecar whose endpoints they are. */
  readonly sidecar: string;
  readonly memory: CatalogMemory;
  /** By `HOST:PORT`. */
  readonly peers: ReadonlyMap<string, CatalogPeer>;
}

/** Each endpoint of each upstream; one in several clusters once for each. */
export function endpointsOf(found: Samples, { sidecar, memory, peers }: EndpointSources): EndpointReport[] {
  const ejected = sums(found, ENDPOINT.ejected);
  const healthy = sums(found, ENDPOINT.healthy);
  const connections = sums(found, ENDPOINT.connections);
  const inFlight = sums(found, ENDPOINT.inFlight);
  const ewma = sums(found, ENDPOINT.ewma);
  const attempts = sums(found, ENDPOINT.outcomes);
  const faults = sums(found, ENDPOINT.outcomes, ({ labels }) => labels['outcome'] === 'fault');
  const detectors = detectorCounts(found);
  return found.get(ENDPOINT.eligible)!.map((sample) => {
    const key = keyOf(sample);
    const { upstream = '', cluster = '', endpoint: address = '' } = sample.labels;
    const state = stateOf({
      isEligible: sample.value === 1,
      isEjected: ejected.get(key) === 1,
      isHealthy: healthy.get(key) !== 0,
      connections: connections.get(key) ?? 0,
    });
    const counts = detectors.get(key) ?? new Map<string, number>();
    const detector = memory.latestDetector(`${sidecar}\n${key}`, counts);
    const peer = peers.get(address);
    const ewmaMs = 1_000 * (ewma.get(key) ?? 0);
    const seen = { state, detector, attempts: attempts.get(key) ?? 0, faults: faults.get(key) ?? 0 };
    return {
      upstream,
      ...(cluster === '' || cluster === upstream ? {} : { cluster }),
      endpoint: peer?.name ?? address,
      address,
      state,
      why: whyOf(seen, peer),
      sinceMs: memory.since(`${sidecar}\n${key}`, state),
      connections: connections.get(key) ?? 0,
      inFlight: inFlight.get(key) ?? 0,
      ewmaMs,
      // Metrics have no other latency of one endpoint.
      ...(ewmaMs === 0 ? {} : { latencyMs: ewmaMs }),
      weight: 1,
      attempts: seen.attempts,
      faults: seen.faults,
      consecutiveFaults: 0,
      ejections: [...counts.values()].reduce((sum, count) => sum + count, 0),
    };
  });
}

function keyOf({ labels: { upstream, cluster, endpoint } }: TextSample): string {
  return `${upstream}\n${cluster}\n${endpoint}`;
}

/** By endpoint: sums over the labels beyond its own, such as outcomes. */
function sums(
  found: Samples,
  metric: string,
  counts: (sample: TextSample) => boolean = () => true,
): ReadonlyMap<string, number> {
  const all = new Map<string, number>();
  for (const sample of found.get(metric)!)
    if (counts(sample)) all.set(keyOf(sample), (all.get(keyOf(sample)) ?? 0) + sample.value);
  return all;
}

/** By endpoint: how often each detector ejected it. */
function detectorCounts(found: Samples): ReadonlyMap<string, Map<string, number>> {
  const all = new Map<string, Map<string, number>>();
  for (const sample of found.get(ENDPOINT.ejections)!) {
    const counts = all.get(keyOf(sample)) ?? new Map<string, number>();
    counts.set(sample.labels['detector'] ?? '', sample.value);
    all.set(keyOf(sample), counts);
  }
  return all;
}

/** In the order in which a sidecar decides it: an ejected endpoint is not connected for its own sake. */
function stateOf(seen: {
  readonly isEligible: boolean;
  readonly isEjected: boolean;
  readonly isHealthy: boolean;
  readonly connections: number;
}): EndpointReport['state'] {
  if (seen.isEjected) return 'ejected';
  if (seen.isEligible) return 'eligible';
  if (seen.connections === 0) return 'disconnected';
  return seen.isHealthy ? 'standby' : 'unhealthy';
}

/**
 * Why it is in its state, as far as metrics and the catalogue say it: the detector of an ejection, and the output of the
 * endpoint's own checks. The status of the last fault and the error of a connection are in the report of the admin port only.
 */
function whyOf(
  seen: Pick<EndpointReport, 'state' | 'attempts' | 'faults'> & { readonly detector: string },
  peer: CatalogPeer | undefined,
): string {
  const own =
    seen.state === 'ejected' && seen.detector !== ''
      ? `by the detector ${seen.detector}; ${seen.faults} of ${seen.attempts} attempts failed so far`
      : (STATES[seen.state] ?? '');
  const checks = peer === undefined || peer.why === '' ? '' : `in Consul: ${peer.why}`;
  return [own, checks].filter((each) => each !== '').join('; ');
}

const STATES: Readonly<Partial<Record<EndpointReport['state'], string>>> = {
  disconnected: 'no connection',
  unhealthy: 'its health check fails, or its model is loading',
  standby: 'other endpoints go first',
};
