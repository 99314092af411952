import type { StatusReport } from '../../admin/status.js';
import type { ModelReport } from '../../telemetry/reports.js';
import type { CatalogInstance } from '../status/catalog.js';
import { ENDPOINT, type EndpointSources, endpointsOf, type Samples } from './metric-endpoints.js';
import { samplesIn } from './samples.js';

/** Metrics of a sidecar from which its models and its queue are read. */
const MODEL = { restarts: 'outrider_model_restarts_total', ready: 'outrider_model_version_ready' } as const;
const QUEUE = {
  concurrency: 'outrider_queue_concurrency',
  running: 'outrider_queue_running',
  waiting: 'outrider_queue_waiting',
  waitingBytes: 'outrider_queue_waiting_bytes',
} as const;
const NAMES = [ENDPOINT, MODEL, QUEUE].flatMap((group) => Object.values<string>(group));

/**
 * What a sidecar's own report would say, as far as the catalogue and its metrics have it: `/endpoints` is on the admin port, which other
 * machines do not reach.
 *
 * @param metrics the text of `/metrics`; undefined: it has no `observe`, or does not answer there.
 */
export function catalogReport(
  { service, version, status, why }: CatalogInstance,
  metrics: string | undefined,
  sources: EndpointSources,
): StatusReport {
  const found = samplesIn(metrics ?? '', NAMES);
  const models = modelsOf(found);
  const notReady = status === 'critical' ? [why] : [];
  const sum = (metric: string) => found.get(metric)!.reduce((all, { value }) => all + value, 0);
  return {
    service,
    instance: sources.sidecar,
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
    endpoints: endpointsOf(found, sources),
  };
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
