import { hashText, mix } from './hash.js';

/**
 * At most `size` of `items`, in their own order, by rendezvous hashing (gRFC A68): the lowest numbers made of name and seed. An
 * item that comes or goes changes at most one other; different seeds choose differently, so that all items are used about
 * alike. Names have to differ, for items of one name are taken or left together.
 * @param seed 32 bits, one per sidecar, kept for its life.
 */
export function subsetOf<T>(
  items: readonly T[],
  nameOf: (item: T) => string,
  size: number,
  seed: number,
): readonly T[] {
  if (items.length <= size) return items;
  const ranks = new Float64Array(items.length);
  for (let i = 0; i < items.length; i += 1) ranks[i] = rankOf(nameOf(items[i]!), seed);
  const last = ranks.slice().sort()[size - 1]!;
  const chosen: T[] = [];
  for (let i = 0; i < items.length && chosen.length < size; i += 1)
    if (ranks[i]! <= last) chosen.push(items[i]!);
  return chosen;
}

/** 53 bits: equal numbers among 10,000 are not to be expected. */
function rankOf(name: string, seed: number): number {
  const low = hashText(name, seed);
  return mix(low ^ 0x9e37_79b9) * 0x20_0000 + (low >>> 11);
}
