const FNV_BASIS = 0x811c_9dc5;
const FNV_PRIME = 0x0100_0193;

/** Spreads the bits of `value` (MurmurHash3's finalizer): 0 to 2³² − 1. Not for secrets. */
export function mix(value: number): number {
  let h = value | 0;
  h = Math.imul(h ^ (h >>> 16), 0x85eb_ca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2_ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

/** Hash of a text (FNV-1a over UTF-16 units, then mixed): 0 to 2³² − 1. Not for secrets: with the seed, collisions can be chosen. */
export function hashText(text: string, seed = 0): number {
  let h = FNV_BASIS ^ seed;
  for (let i = 0; i < text.length; i += 1) h = Math.imul(h ^ text.charCodeAt(i), FNV_PRIME);
  return mix(h);
}

/** The same of the first `count` numbers. */
export function hashNumbers(numbers: Uint32Array, count: number): number {
  let h = FNV_BASIS;
  for (let i = 0; i < count; i += 1) h = Math.imul(h ^ numbers[i]!, FNV_PRIME);
  return mix(h);
}
