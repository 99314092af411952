/** How often sidecars ask, counted at the proxy that each has before its agent. */

import type { FaultProxy } from '../../kit/consul/consul-proxy.js';
import type { SidecarNode } from './sidecar-node.js';

/** How often one query was read. */
export interface QueryCount {
  /** Path and query, without what a blocking read adds. */
  readonly query: string;
  readonly reads: number;
}

/** The query that one sidecar read most often. Times are of `performance.now()`. */
export function busiestQueryOf(
  nodes: readonly SidecarNode[],
  fromMs: number,
  toMs = Number.POSITIVE_INFINITY,
): QueryCount {
  const all = nodes.map(({ proxy }) => busiestQuery(proxy, fromMs, toMs));
  return all.sort((a, b) => b.reads - a.reads)[0]!;
}

function busiestQuery({ seen }: FaultProxy, fromMs: number, toMs: number): QueryCount {
  const counts = new Map<string, number>();
  for (const { atMs, method, path, query } of seen) {
    if (atMs < fromMs || atMs >= toMs || method !== 'GET') continue;
    const rest = [...query].filter(([key]) => key !== 'index' && key !== 'wait' && key !== 'hash');
    const name = rest.length === 0 ? path : `${path}?${new URLSearchParams(rest)}`;
    counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  const sorted = [...counts].sort(([, a], [, b]) => b - a);
  const [query, reads] = sorted[0] ?? ['any', 0];
  return { query, reads };
}
