/**
 * Which token comes next. Chance is a function of the seed and of the place in the text, without a state between draws:
 * a text can be continued from any place, on any replica, as if it had never stopped.
 */

/** Uniform in [0, 1), 32 bits of it. `seed` is a signed 64-bit integer, `place` a whole number below 2³². */
export function draw(seed: bigint, place: number): number {
  const low = Number(BigInt.asUintN(32, seed));
  const high = Number(BigInt.asUintN(32, seed >> 32n));
  return finish(mix(mix(mix(0, low), high), place)) / 2 ** 32;
}

/** One round of MurmurHash3 (x86, 32 bits). */
function mix(hash: number, word: number): number {
  let k = Math.imul(word, 0xcc9e2d51);
  k = (k << 15) | (k >>> 17);
  const h = hash ^ Math.imul(k, 0x1b873593);
  return (Math.imul((h << 13) | (h >>> 19), 5) + 0xe6546b64) | 0;
}

/** Its finaliser, for twelve bytes. */
function finish(hash: number): number {
  let h = hash ^ 12;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

/** How a token is chosen. */
export interface Choice {
  /** 0: the most probable one. 1: as probable as the network says; below, the probable ones are preferred. */
  readonly temperature: number;
  /** In [0, 1). */
  readonly chance: number;
  readonly isAllowed: (token: number) => boolean;
}

/** One of the allowed tokens. Throws an Error when none is allowed, or when a logit is not a number. */
export function choose(logits: Float32Array, { temperature, chance, isAllowed }: Choice): number {
  let best = -1;
  for (let token = 0; token < logits.length; token++) {
    if (!isAllowed(token)) continue;
    if (Number.isNaN(logits[token])) throw new Error(`the logit of token ${token} is not a number`);
    if (best < 0 || logits[token]! > logits[best]!) best = token;
  }
  if (best < 0) throw new Error('no token may follow');
  if (temperature === 0) return best;
  const weights = new Float64Array(logits.length);
  let sum = 0;
  for (let token = 0; token < logits.length; token++) {
    if (!isAllowed(token)) continue;
    weights[token] = Math.exp((logits[token]! - logits[best]!) / temperature);
    sum += weights[token]!;
  }
  let left = chance * sum;
  for (let token = 0; token < logits.length; token++) {
    left -= weights[token]!;
    if (left < 0) return token;
  }
  return best; // rounding left a little over
}
