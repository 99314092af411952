import { mix } from './hash.js';

/** Tokens of a block. Engines have blocks of 16 to 128; what a prompt shares beyond its last whole block does not count. */
export const BLOCK_TOKENS = 32;
/** Blocks of a prompt that count, at most: 131,072 tokens. */
export const MOST_BLOCKS = 4_096;

const BASIS = 0x811c_9dc5;
const PRIME = 0x0100_0193;

/**
 * The blocks of a prompt, from its beginning on: a hash of each with all blocks before it, so that two prompts share as many as they
 * begin alike. Not for secrets.
 * @param ids of the tokens; the first `count` of them are there.
 */
export function blocksOf(ids: Uint32Array, count: number): Uint32Array {
  const blocks = new Uint32Array(Math.min(Math.floor(count / BLOCK_TOKENS), MOST_BLOCKS));
  let h = BASIS;
  for (let block = 0, at = 0; block < blocks.length; block += 1) {
    for (const end = at + BLOCK_TOKENS; at < end; at += 1) h = Math.imul(h ^ ids[at]!, PRIME);
    h = mix(h);
    blocks[block] = h;
  }
  return blocks;
}
