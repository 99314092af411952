/** Where metrics are sent, beside the ports that are scraped. */
import { collectorOptions, refusePathOfGrpc, resourceAttributes } from './collector.js';
import { block, option, rules } from './option.js';
import { duration } from './values.js';

const metricsBlock = () =>
  block({
    ...collectorOptions({ path: '/v1/metrics', why: 'Metrics without a collector would go nowhere.' }),
    interval: option(duration({ min: 1_000, max: 3_600_000 }).prefault('60s'), {
      meaning:
        'Time between two exports. The first one comes after half of it to all of it, so that sidecars that start together do not export together; the last one at the end of the process.',
      why: "OpenTelemetry's own default (`OTEL_METRIC_EXPORT_INTERVAL`).",
    }),
    attributes: resourceAttributes(),
  }).check(rules(refusePathOfGrpc));

const PRESENT =
  'Present: the metrics of `/metrics` are also sent to an OpenTelemetry collector (docs/OBSERVE.md), for one that scrapes nothing. Names and labels are the same.';

/** In a sidecar file. */
export const metrics = option(metricsBlock().optional(), {
  meaning: PRESENT,
  otherwise: 'absent: metrics are only scraped',
  why: 'It needs a collector.',
});

/** In a mesh file. */
export const meshMetrics = option(metricsBlock().optional(), {
  meaning: `${PRESENT} For every sidecar of the mesh.`,
  otherwise: 'absent: metrics are only scraped',
  why: 'It needs a collector.',
});
