import assert from 'node:assert/strict';
import { getOrInsert } from '../../../sidecar/runtime/get-or-insert.js';

describe('a map that makes what is missing', () => {
  it('makes a value once, and gives the same one from then on', () => {
    const map = new Map<string, { n: number }>();
    const first = getOrInsert(map, 'a', () => ({ n: 1 }));
    const again = getOrInsert(map, 'a', () => assert.fail('it is there'));
    assert.equal(again, first);
    assert.deepEqual([...map], [['a', { n: 1 }]]);
  });

  it('keeps falsy values', () => {
    const map = new Map([['zero', 0]]);
    assert.equal(
      getOrInsert(map, 'zero', () => 1),
      0,
    );
  });
});
