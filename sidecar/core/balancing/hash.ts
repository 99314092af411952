/** Spreads the bits of `value` (MurmurHash3's finalizer): 0 to 2³² − 1. Not for secrets. */
export function mix(value: number): number {
  let h = value | 0;
  h = Math.imul(h ^ (h >>> 16), 0x85eb_ca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2_ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

/** Hash of a text (FNV-1a over UTF-16 units, then mixed): 0 to 2³² − 1. Not for secrets: with the seed, collisions can be chosen. */
export function hashText(text: string, seed = 0): number {
  let h = 0x811c_9dc5 ^ seed;
  for (let i = 0; i < text.length; i += 1) h = Math.imul(h ^ text.charCodeAt(i), 0x0100_0193);
  return mix(h);
}
