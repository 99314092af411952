/** What is known of methods that the file says nothing of: in `/endpoints` and `/metrics`. */

import type { UpstreamState } from '../../outbound/upstream-state.js';
import type { Metric } from '../../telemetry/metric.js';
import { metric, metricsOver } from '../../telemetry/metric-rows.js';
import type { MethodReport } from '../../telemetry/reports.js';

/** Methods by what they are known as, and by what showed it; absent for an upstream of whose methods nothing is known. */
export function methodMetrics(outbounds: readonly UpstreamState[]): Metric[] {
  const known = outbounds.flatMap(({ name: upstream, kinds }) => {
    const counts = new Map<string, number>();
    for (const { kind, from } of kinds.known)
      counts.set(`${kind} ${from}`, (counts.get(`${kind} ${from}`) ?? 0) + 1);
    return [...counts].map(([key, value]) => {
      const [kind = '', from = ''] = key.split(' ');
      return { labels: { upstream, kind, from }, value };
    });
  });
  const perUpstream = metricsOver(outbounds, ({ name }) => ({ upstream: name }));
  return [
    metric('outrider_methods_known', known),
    perUpstream.metric('outrider_methods_unlearned_total', ({ kinds }) => kinds.unlearned),
  ];
}

/** Each method of each upstream of which something is known. */
export function methodReports(outbounds: readonly UpstreamState[]): MethodReport[] {
  return outbounds.flatMap(({ name: upstream, kinds }) => kinds.known.map((each) => ({ upstream, ...each })));
}
