import type { EndpointConfig, UpstreamConfig } from '../../config/model.js';
import type { Metric } from '../../telemetry/metric.js';
import { metricsOver } from '../../telemetry/metric-rows.js';
import type { DnsReport } from '../../telemetry/reports.js';
import {
  type Discovery,
  type DiscoverySubscription,
  MAIN_CLUSTER,
  type UpstreamSnapshot,
} from '../snapshot.js';
import { type NameDeps, NameWatcher } from './name-watcher.js';

/**
 * Endpoints by DNS: the addresses of a name, each of them an endpoint, as with Envoy's STRICT_DNS and gRPC's `dns:` names. A
 * headless service of Kubernetes has such a name.
 */
export class DnsDiscovery implements Discovery {
  private readonly watchers = new Map<string, NameWatcher>();

  constructor(private readonly deps: NameDeps) {}

  /** Of an upstream without `dns` nothing is followed. */
  watchUpstream(
    config: UpstreamConfig,
    onSnapshot: (snapshot: UpstreamSnapshot) => void,
  ): DiscoverySubscription {
    const { name, dns } = config;
    if (dns === undefined) return { update: () => {}, doubt: () => {}, close: () => {} };
    const watcher = new NameWatcher(name, dns, this.deps, (endpoints) => onSnapshot(snapshotOf(endpoints)));
    this.watchers.set(name, watcher);
    return {
      update: (next) => next.dns && watcher.update(next.dns),
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

  /** One for each upstream with `dns`. */
  reports(): readonly DnsReport[] {
    return [...this.watchers.values()].map((watcher) => watcher.report());
  }

  /** Empty where no upstream is found by DNS. */
  metrics(): Metric[] {
    const rows = this.reports();
    if (rows.length === 0) return [];
    const labelsOf = ({ upstream }: DnsReport) => ({ upstream });
    const each = metricsOver(rows, labelsOf);
    const answered = rows.filter(({ ageMs }) => ageMs !== undefined);
    return [
      each.metric('outrider_dns_failing', ({ state }) => Number(state === 'failing')),
      metricsOver(answered, labelsOf).metric('outrider_dns_age_seconds', ({ ageMs = 0 }) => ageMs / 1_000),
      each.metric('outrider_dns_queries_total', ({ rounds }) => rounds),
      each.metric('outrider_dns_failures_total', ({ failures }) => failures),
      each.metric('outrider_dns_addresses', ({ addresses }) => addresses),
      each.metric('outrider_dns_kept_addresses', ({ kept }) => kept),
    ];
  }
}

/** DNS knows no traffic rules: one cluster, to which every call goes. */
function snapshotOf(endpoints: readonly EndpointConfig[]): UpstreamSnapshot {
  return {
    routes: [{ split: [{ weight: 1, cluster: MAIN_CLUSTER }] }],
    clusters: new Map([[MAIN_CLUSTER, { endpoints }]]),
  };
}
