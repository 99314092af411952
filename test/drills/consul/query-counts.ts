/** How often sidecars ask, counted at the proxy that each has before its agent. */

import type { FaultProxy } from '../../kit/consul/fault-proxy.js';
import type { SidecarNode } from './sidecar-node.js';

/** The query that one sidecar read most often, and how often. Times are of `performance.now()`. */
export function busiestQueryOf(
  nodes: readonly SidecarNode[],
  fromMs: number,
  toMs = Number.POSITIVE_INFINITY,
) {
  const all = nodes.flatMap(({ proxy }) => [...readsOf(proxy, fromMs, toMs)]);
  const [query, reads] = all.sort(([, a], [, b]) => b - a)[0] ?? (['any', 0] as const);
  return { query, reads };
}

/** Reads by path and query, without what a blocking read adds. */
function readsOf({ seen }: FaultProxy, fromMs: number, toMs: number): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (const { atMs, method, path, query } of seen) {
    if (atMs < fromMs || atMs >= toMs || method !== 'GET') continue;
    const rest = [...query].filter(([key]) => key !== 'index' && key !== 'wait' && key !== 'hash');
    const name = rest.length === 0 ? path : `${path}?${new URLSearchParams(rest)}`;
    counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  return counts;
}
