import assert from 'node:assert/strict';
import { BLOCK_TOKENS, blocksOf, MOST_BLOCKS } from '../../../../sidecar/core/balancing/prompt-blocks.js';
import { seeded } from '../../../kit/time/seeded-random.js';

const random = seeded(1);
const someIds = (count: number): Uint32Array =>
  Uint32Array.from({ length: count }, () => Math.floor(random() * 128_000));
const shared = (one: Uint32Array, other: Uint32Array): number => {
  const first = one.findIndex((hash, i) => hash !== other[i]);
  return first < 0 ? one.length : first;
};

describe('blocksOf', () => {
  it('has one hash for each whole block, and none for the rest', () => {
    const ids = someIds(5 * BLOCK_TOKENS);
    for (const [count, blocks] of [
      [0, 0],
      [BLOCK_TOKENS - 1, 0],
      [BLOCK_TOKENS, 1],
      [2 * BLOCK_TOKENS - 1, 1],
      [5 * BLOCK_TOKENS, 5],
    ] as const)
      assert.equal(blocksOf(ids, count).length, blocks);
  });

  it('is equal as far as two prompts begin alike, and differs from the first other token on', () => {
    const ids = someIds(20 * BLOCK_TOKENS);
    const blocks = blocksOf(ids, ids.length);
    assert.equal(new Set(blocks).size, 20);
    for (const at of [0, 1, BLOCK_TOKENS - 1, BLOCK_TOKENS, 7 * BLOCK_TOKENS + 5, 20 * BLOCK_TOKENS - 1]) {
      for (const change of [1, 2 ** 31]) {
        const other = ids.slice();
        other[at] = (other[at]! + change) >>> 0;
        assert.equal(shared(blocks, blocksOf(other, other.length)), Math.floor(at / BLOCK_TOKENS));
      }
    }
    assert.equal(shared(blocks, blocksOf(ids, 10 * BLOCK_TOKENS)), 10);
  });

  it('tells the same tokens in another place or order apart', () => {
    const block = someIds(BLOCK_TOKENS);
    const twice = Uint32Array.from([...block, ...block]);
    const [first, second] = blocksOf(twice, twice.length);
    assert.notEqual(first, second);
    const reversed = blocksOf(block.slice().reverse(), BLOCK_TOKENS);
    assert.notEqual(reversed[0], blocksOf(block, BLOCK_TOKENS)[0]);
  });

  it('hashes ten thousand blocks without two that are equal by more than chance', () => {
    const hashes = new Set<number>();
    for (let i = 0; i < 10_000; i++) {
      const ids = new Uint32Array(BLOCK_TOKENS);
      ids[0] = i;
      hashes.add(blocksOf(ids, BLOCK_TOKENS)[0]!);
    }
    assert.ok(hashes.size >= 9_999, `${hashes.size}`);
  });

  it('takes no more blocks of a long prompt than count', () => {
    const ids = new Uint32Array((MOST_BLOCKS + 5) * BLOCK_TOKENS);
    assert.equal(blocksOf(ids, ids.length).length, MOST_BLOCKS);
  });
});
