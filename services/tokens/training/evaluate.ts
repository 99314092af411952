/** How well the exported network predicts a text. */

import type { Network } from '../network.js';

/** Parts of the text that go through the network side by side. */
const PARTS = 16;

/**
 * Bits for a token of `tokens`: the mean of −log₂ of the probability that the network gave to each, with all tokens of its
 * part of the text before it. The first token of each part is read only.
 */
export async function bitsPerByte(network: Network, tokens: Uint8Array): Promise<number> {
  const length = Math.floor(tokens.length / PARTS);
  const memories = Array.from({ length: PARTS }, () => network.memory());
  let bits = 0;
  for (let i = 0; i + 1 < length; i++) {
    await network.step(
      memories,
      memories.map((_, part) => tokens[part * length + i]!),
    );
    memories.forEach(({ logits }, part) => {
      bits += bitsOf(logits, tokens[part * length + i + 1]!);
    });
  }
  return bits / (PARTS * (length - 1));
}

function bitsOf(logits: Float32Array, token: number): number {
  const top = Math.max(...logits);
  let sum = 0;
  for (const logit of logits) sum += Math.exp(logit - top);
  return (Math.log(sum) + top - logits[token]!) / Math.LN2;
}
