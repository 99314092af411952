/**
 * Which endpoints of very many this sidecar connects to. Rendezvous hashing (gRFC A68): each gets a number from its
 * name and our seed, and the lowest ones are taken. One that comes or goes moves at most one other; sidecars with
 * different seeds choose differently, so that all endpoints are used about alike.
 */
import { hashText, mix } from './hash.js';

/**
 * At most `size` of `items`, in their own order; all of them when they are no more. Items of one name stand or fall
 * together, so names should differ.
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

/** 53 bits: two of 10,000 with the same number are not to be expected. */
function rankOf(name: string, seed: number): number {
  const low = hashText(name, seed);
  return mix(low ^ 0x9e37_79b9) * 0x20_0000 + (low >>> 11);
}
