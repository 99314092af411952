import { labelOf } from '../config/codecs/address.js';
import type { EndpointConfig } from '../config/model.js';
import { subsetOf } from '../core/balancing/subset.js';
import { getOrInsert } from '../runtime/get-or-insert.js';

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
  for (const each of endpoints) getOrInsert(byPriority, each.priority ?? 0, () => []).push(each);
  return ownOfEach([...byPriority.values()], ({ address }) => labelOf(address), { limit, seed });
}

/** At most `limit` of each list, chosen by `seed`; those without weight are the first to go. */
export function ownOfEach<T extends { readonly weight: number }>(
  lists: readonly (readonly T[])[],
  nameOf: (item: T) => string,
  { limit, seed }: { readonly limit: number; readonly seed: number },
): readonly T[] {
  return lists.flatMap((list) => {
    const shared = list.length <= limit ? list : list.filter(({ weight }) => weight > 0);
    return subsetOf(shared, nameOf, limit, seed);
  });
}
