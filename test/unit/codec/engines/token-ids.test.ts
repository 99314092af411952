import assert from 'node:assert/strict';
import { TokenIds } from '../../../../sidecar/codec/engines/token-ids.js';

describe('TokenIds', () => {
  const packed = Buffer.from([0x05, 0xac, 0x02, 0x7f]); // 5, 300, 127

  it('counts ids, finds them, and takes back what was added last', () => {
    const ids = new TokenIds();
    assert.ok(ids.add(packed, 0, 4));
    assert.deepEqual([ids.count, ids.length, ids.lastStart, ids.idAt(ids.lastStart)], [3, 4, 3, 127]);
    assert.equal(ids.idAt(ids.startOf(1)), 300);
    assert.equal(ids.startOf(3), 4);
    ids.truncate(3, 2);
    assert.deepEqual([ids.lastStart, ids.idAt(ids.lastStart)], [1, 300]);
    assert.deepEqual(ids.view(), packed.subarray(0, 3));
  });

  it('takes an id back that it had', () => {
    const ids = new TokenIds();
    for (const id of [0, 127, 128, 300, 128_000, 2 ** 32 - 1]) {
      ids.addId(id);
      assert.equal(ids.idAt(ids.lastStart), id);
    }
    assert.equal(ids.count, 6);
  });

  it('refuses a row that is cut off, and an id that has no end', () => {
    const ids = new TokenIds();
    assert.equal(ids.add(packed, 0, 2), false);
    assert.equal(ids.add(Buffer.alloc(40, 0xff), 0, 40), false);
    assert.equal(ids.add(Buffer.concat([Buffer.alloc(12, 0x80), Buffer.from([1])]), 0, 13), false);
    assert.deepEqual([ids.count, ids.length], [0, 0]);
  });

  it('grows', () => {
    const ids = new TokenIds();
    for (let i = 0; i < 1_000; i++) ids.add(packed, 0, 4);
    assert.deepEqual([ids.count, ids.length], [3_000, 4_000]);
    assert.ok(ids.capacity < 10_000);
    assert.deepEqual(ids.view(3_996), packed);
  });
});
