import type { EndpointConfig, KubernetesConfig, UpstreamConfig } from '../../config/model.js';
import type { Metric } from '../../telemetry/metric.js';
import { metricsOver } from '../../telemetry/metric-rows.js';
import type { KubernetesReport } from '../../telemetry/reports.js';
import { WatchedSource } from '../watched-source.js';
import { type ServiceDeps, ServiceWatcher } from './service-watcher.js';

/** Endpoints by the EndpointSlices of Services, which the Kubernetes API tells of. */
export class KubernetesDiscovery extends WatchedSource<KubernetesConfig, KubernetesReport> {
  constructor(private readonly deps: ServiceDeps) {
    super();
  }

  /** Empty where no upstream is found by Kubernetes. */
  metrics(): Metric[] {
    const rows = this.reports();
    if (rows.length === 0) return [];
    const labelsOf = ({ upstream }: KubernetesReport) => ({ upstream });
    const each = metricsOver(rows, labelsOf);
    const proven = rows.filter(({ ageMs }) => ageMs !== undefined);
    return [
      each.metric('outrider_kubernetes_failing', ({ state }) => Number(state === 'failing')),
      metricsOver(proven, labelsOf).metric(
        'outrider_kubernetes_age_seconds',
        ({ ageMs = 0 }) => ageMs / 1_000,
      ),
      each.metric('outrider_kubernetes_lists_total', ({ lists }) => lists),
      each.metric('outrider_kubernetes_watches_total', ({ watches }) => watches),
      each.metric('outrider_kubernetes_failures_total', ({ failures }) => failures),
      each.metric('outrider_kubernetes_endpoints', ({ endpoints }) => endpoints),
      each.metric('outrider_kubernetes_unready_endpoints', ({ unready }) => unready),
      each.metric('outrider_kubernetes_terminating_endpoints', ({ terminating }) => terminating),
      each.metric('outrider_kubernetes_kept_endpoints', ({ kept }) => kept),
    ];
  }

  protected override settingsOf({ kubernetes }: UpstreamConfig): KubernetesConfig | undefined {
    return kubernetes;
  }

  protected override watch(
    upstream: string,
    settings: KubernetesConfig,
    onEndpoints: (endpoints: readonly EndpointConfig[]) => void,
  ): ServiceWatcher {
    return new ServiceWatcher(upstream, settings, this.deps, onEndpoints);
  }
}
