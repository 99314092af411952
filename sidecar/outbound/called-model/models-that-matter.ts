import type { Cluster } from '../../cluster/cluster.js';
import type { RouteConfig } from '../../config/model.js';
import { MOST_MODELS, modelsNamedBy } from '../../core/routing/named-models.js';

/** The label of all other models. */
const OTHER = 'other';

/**
 * The models that make a difference to the calls of an upstream: those that routes and splits name, then those that only some
 * endpoints have, in the order of the alphabet. Null: none does. Names in requests never add to them.
 */
export function modelsThatMatter(
  routes: readonly RouteConfig[],
  clusters: readonly Pick<Cluster, 'claims'>[],
): ReadonlySet<string> | null {
  const named = modelsNamedBy(routes);
  const claimed = clusters.flatMap(({ claims }) => (claims === null ? [] : [...claims.models])).sort();
  const all = [...named, ...claimed].filter((name) => name !== OTHER);
  const hasClaims = clusters.some(({ claims }) => claims !== null);
  return named.length === 0 && !hasClaims ? null : new Set([...new Set(all)].slice(0, MOST_MODELS));
}
