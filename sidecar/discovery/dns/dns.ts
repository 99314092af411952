import type { DnsConfig, EndpointConfig, UpstreamConfig } from '../../config/model.js';
import type { Metric } from '../../telemetry/metric.js';
import { metricsOver } from '../../telemetry/metric-rows.js';
import type { DnsReport } from '../../telemetry/reports.js';
import { WatchedSource } from '../watched-source.js';
import { type NameDeps, NameWatcher } from './name-watcher.js';

/**
 * Endpoints by DNS: the addresses of a name, each of them an endpoint, as with Envoy's STRICT_DNS and gRPC's `dns:` names. A
 * headless service of Kubernetes has such a name.
 */
export class DnsDiscovery extends WatchedSource<DnsConfig, DnsReport> {
  constructor(private readonly deps: NameDeps) {
    super();
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

  protected override settingsOf({ dns }: UpstreamConfig): DnsConfig | undefined {
    return dns;
  }

  protected override watch(
    upstream: string,
    settings: DnsConfig,
    onEndpoints: (endpoints: readonly EndpointConfig[]) => void,
  ): NameWatcher {
    return new NameWatcher(upstream, settings, this.deps, onEndpoints);
  }
}
