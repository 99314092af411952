import assert from 'node:assert/strict';
import { BlockTable } from '../../../../sidecar/core/balancing/block-table.js';
import { blocksOf } from '../../../../sidecar/core/balancing/prompt-blocks.js';
import { seeded } from '../../../kit/time/seeded-random.js';

/** Blocks of a prompt of this number, which shares nothing with another one. */
const promptOf = (number: number, blocks: number): Uint32Array => {
  const random = seeded(number);
  return blocksOf(
    Uint32Array.from({ length: blocks * 32 }, () => Math.floor(random() * 128_000)),
    blocks * 32,
  );
};

describe('BlockTable', () => {
  it('has as much of a prompt as was sent', () => {
    const table = new BlockTable(1_024);
    const prompt = promptOf(1, 100);
    assert.equal(table.match(prompt, 0), 0);
    for (const sent of [1, 2, 3, 50, 99, 100]) {
      table.add(prompt.subarray(0, sent), 5);
      assert.equal(table.match(prompt, 0), sent);
      assert.equal(table.match(promptOf(2, 100), 0), 0);
    }
    assert.equal(table.match(prompt.subarray(0, 7), 0), 7);
    assert.equal(table.match(new Uint32Array(0), 0), 0);
  });

  it('does not count what was sent before a time, unless it was sent again', () => {
    const table = new BlockTable(1_024);
    const prompt = promptOf(1, 40);
    table.add(prompt, 1_000);
    table.add(prompt.subarray(0, 10), 2_000);
    assert.deepEqual(
      [1_000, 1_001, 2_000, 2_001].map((sinceMs) => table.match(prompt, sinceMs)),
      [40, 10, 10, 0],
    );
  });

  it('stays as large as it is, and keeps what was sent last', () => {
    const table = new BlockTable(1_500);
    assert.equal(table.capacity, 1_024);
    for (let n = 0; n < 500; n++) table.add(promptOf(n, 20), n);
    for (let n = 480; n < 500; n++) assert.ok(table.match(promptOf(n, 20), 0) >= 18, `${n}`);
    let old = 0;
    for (let n = 0; n < 400; n++) old += table.match(promptOf(n, 20), 0);
    assert.ok(old < 400, `${old} of 8,000 blocks that were sent long ago`);
    assert.equal(new BlockTable(1).capacity, 8);
  });

  it('becomes smaller, and keeps what was sent last', () => {
    const table = new BlockTable(4_096);
    for (let n = 0; n < 100; n++) table.add(promptOf(n, 20), n);
    assert.equal(table.limitedTo(4_096), table);
    assert.equal(table.limitedTo(8_192), table);
    const smaller = table.limitedTo(1_000);
    assert.equal(smaller.capacity, 512);
    for (let n = 90; n < 100; n++) assert.ok(smaller.match(promptOf(n, 20), n) >= 17, `${n}`);
    let old = 0;
    for (let n = 0; n < 50; n++) old += smaller.match(promptOf(n, 20), 0);
    assert.ok(old < 100, `${old} of 1,000 blocks that were sent long before`);
    assert.equal(smaller.limitedTo(1).capacity, 8);
  });

  it('forgets the end of a prompt before its beginning', () => {
    const table = new BlockTable(64);
    const prompt = promptOf(1, 60);
    table.add(prompt, 1);
    table.add(promptOf(2, 30), 2);
    let beginning = 0;
    let end = 0;
    for (let at = 0; at < 20; at++) {
      // Each block alone, as the match of a whole prompt ends at the first that is gone.
      beginning += table.match(prompt.subarray(at, at + 1), Number.NEGATIVE_INFINITY);
      end += table.match(prompt.subarray(40 + at, 41 + at), Number.NEGATIVE_INFINITY);
    }
    assert.ok(beginning > end + 8, `${beginning} of the first 20 blocks, ${end} of the last`);
  });

  it('holds the block whose hash is 0 once it was sent, and not before', () => {
    const table = new BlockTable(8);
    const zero = new Uint32Array([0]);
    assert.equal(table.match(zero, 0), 0);
    table.add(zero, 5);
    assert.equal(table.match(zero, 5), 1);
  });
});
