import type { StatusReport } from '../../admin/status.js';
import type { EndpointReport, ModelReport } from '../../telemetry/reports.js';
import type { CatalogInstance } from '../status/catalog.js';
import { samplesIn, type TextSample } from './samples.js';

/** Metrics of a sidecar from which its endpoints, models and line are read. */
const ENDPOINT = {
  eligible: 'outrider_endpoint_eligible',
  ejected: 'outrider_endpoint_ejected',
  healthy: 'outrider_endpoint_healthy',
  connections: 'outrider_endpoint_connections',
  inFlight: 'outrider_endpoint_in_flight',
  ewma: 'outrider_endpoint_ewma_seconds',
  outcomes: 'outrider_attempt_outcomes_total',
  ejections: 'outrider_ejections_total',
} as const;
const MODEL = { restarts: 'outrider_model_restarts_total', ready: 'outrider_model_version_ready' } as const;
const QUEUE = {
  concurrency: 'outrider_queue_concurrency',
  running: 'outrider_queue_running',
  waiting: 'outrider_queue_waiting',
  waitingBytes: 'outrider_queue_waiting_bytes',
} as const;
const NAMES = [ENDPOINT, MODEL, QUEUE].flatMap((group) => Object.values<string>(group));

/** Says for how many ms something has been in a state. */
export type Since = (what: string, state: string) => number;

/**
 * What a sidecar's own report would say, as far as the catalogue and its metrics have it: `/endpoints` is on the admin port, which other
 * machines do not reach. Why an endpoint is out is in no metric: its state says whether it was ejected, is unhealthy or has no connection.
 *
 * @param metrics the text of `/metrics`; undefined: it has no `observe`, or does not answer there.
 */
export function catalogReport(
  name: string,
  { service, version, status, why }: CatalogInstance,
  metrics: string | undefined,
  since: Since,
): StatusReport {
  const found = samplesIn(metrics ?? '', NAMES);
  const models = modelsOf(found);
  const notReady = status === 'critical' ? [why] : [];
  const sum = (metric: string) => found.get(metric)!.reduce((all, { value }) => all + value, 0);
  return {
    service,
    instance: name,
    version,
    ready: status !== 'critical',
    notReady,
    ...(models.length === 0 ? {} : { models }),
    ...(found.get(QUEUE.concurrency)!.length === 0
      ? {}
      : {
          queue: {
            running: sum(QUEUE.running),
            waiting: sum(QUEUE.waiting),
            waitingBytes: sum(QUEUE.waitingBytes),
            concurrency: sum(QUEUE.concurrency),
          },
        }),
    endpoints: endpointsOf(name, found, since),
  };
}

type Samples = ReadonlyMap<string, readonly TextSample[]>;

/** Each endpoint of each upstream; one in several clusters once for each. */
function endpointsOf(sidecar: string, found: Samples, since: Since): EndpointReport[] {
  const keyOf = ({ labels: { upstream, cluster, endpoint } }: TextSample) =>
    `${upstream}\n${cluster}\n${endpoint}`;
  /** Sums over the labels beyond the endpoint's own, such as detectors. */
  const read = (metric: string, counts = (_: TextSample) => true): ReadonlyMap<string, number> => {
    const sums = new Map<string, number>();
    for (const sample of found.get(metric)!)
      if (counts(sample)) sums.set(keyOf(sample), (sums.get(keyOf(sample)) ?? 0) + sample.value);
    return sums;
  };
  const [ejected, healthy, connections] = [
    read(ENDPOINT.ejected),
    read(ENDPOINT.healthy),
    read(ENDPOINT.connections),
  ];
  const [inFlight, ewma, ejections] = [
    read(ENDPOINT.inFlight),
    read(ENDPOINT.ewma),
    read(ENDPOINT.ejections),
  ];
  const attempts = read(ENDPOINT.outcomes);
  const faults = read(ENDPOINT.outcomes, ({ labels }) => labels['outcome'] === 'fault');
  return found.get(ENDPOINT.eligible)!.map((sample) => {
    const key = keyOf(sample);
    const { upstream = '', cluster = '', endpoint = '' } = sample.labels;
    const state = stateOf({
      isEligible: sample.value === 1,
      isEjected: ejected.get(key) === 1,
      isHealthy: healthy.get(key) !== 0,
      connections: connections.get(key) ?? 0,
    });
    return {
      upstream,
      ...(cluster === '' || cluster === upstream ? {} : { cluster }),
      endpoint,
      address: endpoint,
      state,
      why: '',
      sinceMs: since(`${sidecar}\n${key}`, state),
      connections: connections.get(key) ?? 0,
      inFlight: inFlight.get(key) ?? 0,
      ewmaMs: 1_000 * (ewma.get(key) ?? 0),
      weight: 1,
      attempts: attempts.get(key) ?? 0,
      faults: faults.get(key) ?? 0,
      consecutiveFaults: 0,
      ejections: ejections.get(key) ?? 0,
    };
  });
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

/** Each version with its restarts. A sidecar beside a caller only has none. */
function modelsOf(found: Samples): ModelReport[] {
  return found.get(MODEL.ready)!.map(({ labels: { model = '', version = '' }, value }) => ({
    name: model,
    version,
    state: value === 1 ? 'ready' : 'starting',
    why: '',
    restarts: found
      .get(MODEL.restarts)!
      // Where versions are not told apart the count has no version.
      .filter(({ labels }) => labels['model'] === model && (labels['version'] ?? version) === version)
      .reduce((all, each) => all + each.value, 0),
  }));
}
