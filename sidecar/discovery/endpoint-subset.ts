import { labelOf } from '../config/codecs/address.js';
import type { EndpointConfig } from '../config/model.js';
import { subsetOf } from '../core/balancing/subset.js';

/**
 * At most `limit` of each priority; of more, the ones that `seed` chooses. Those without weight do not take up a
 * place.
 */
export function ownEndpoints(
  endpoints: readonly EndpointConfig[],
  limit: number,
  seed: number,
): readonly EndpointConfig[] {
  const byPriority = new Map<number, EndpointConfig[]>();
  for (const each of endpoints) {
    const list = byPriority.get(each.priority ?? 0);
    if (list === undefined) byPriority.set(each.priority ?? 0, [each]);
    else list.push(each);
  }
  return [...byPriority.values()].flatMap((list) => {
    const shared = list.length <= limit ? list : list.filter(({ weight }) => weight > 0);
    return subsetOf(shared, ({ address }) => labelOf(address), limit, seed);
  });
}
