import type { EndpointConfig, UpstreamConfig } from '../../config/model.js';
import type { Metric } from '../../telemetry/metric.js';
import { metricsOver } from '../../telemetry/metric-rows.js';
import type { KubernetesReport } from '../../telemetry/reports.js';
import {
  type Discovery,
  type DiscoverySubscription,
  MAIN_CLUSTER,
  type UpstreamSnapshot,
} from '../snapshot.js';
import { type ServiceDeps, ServiceWatcher } from './service-watcher.js';

/** Endpoints by the EndpointSlices of Services, which the Kubernetes API tells of. */
export class KubernetesDiscovery implements Discovery {
  private readonly watchers = new Map<string, ServiceWatcher>();

  constructor(private readonly deps: ServiceDeps) {}

  /** Of an upstream without `kubernetes` nothing is followed. */
  watchUpstream(
    { name, kubernetes }: UpstreamConfig,
    onSnapshot: (snapshot: UpstreamSnapshot) => void,
  ): DiscoverySubscription {
    if (kubernetes === undefined) return { update: () => {}, doubt: () => {}, close: () => {} };
    const watcher = new ServiceWatcher(name, kubernetes, this.deps, (endpoints) =>
      onSnapshot(snapshotOf(endpoints)),
    );
    this.watchers.set(name, watcher);
    return {
      update: (next) => next.kubernetes && watcher.update(next.kubernetes),
      doubt: () => watcher.doubt(),
      hurry: () => watcher.hurry(),
      close: () => {
        watcher.close();
        if (this.watchers.get(name) === watcher) this.watchers.delete(name);
      },
    };
  }

  /** Why there are no endpoints of this upstream, or perhaps old ones; undefined: nothing is wrong. */
  problemOf(upstream: string): string | undefined {
    return this.watchers.get(upstream)?.report().problem;
  }

  /** One for each upstream with `kubernetes`. */
  reports(): readonly KubernetesReport[] {
    return [...this.watchers.values()].map((watcher) => watcher.report());
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
}

/** Kubernetes knows no traffic rules here: one cluster, to which every call goes. */
function snapshotOf(endpoints: readonly EndpointConfig[]): UpstreamSnapshot {
  return {
    routes: [{ split: [{ weight: 1, cluster: MAIN_CLUSTER }] }],
    clusters: new Map([[MAIN_CLUSTER, { endpoints }]]),
  };
}
