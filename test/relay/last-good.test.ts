import assert from 'node:assert/strict';
import { makeField } from '../../sidecar/http2/hpack/field.js';
import { HeaderBlock, StableList } from '../../sidecar/http2/hpack/header-list.js';
import type { Attempt } from '../../sidecar/relay/attempt.js';
import { LastGood, requestKey } from '../../sidecar/relay/last-good.js';
import { Pieces } from '../../sidecar/relay/pieces.js';

const LIST = StableList.root().with(makeField('content-type', 'application/grpc'));
const BLOCK = new HeaderBlock(LIST, null, LIST.bytes, LIST.count, false, false);
const OVERHEAD = 512 + 2 * LIST.bytes;

function pieces(...parts: readonly Buffer[]): Pieces {
  const all = new Pieces();
  for (const part of parts) all.add(part, 0, part.length);
  return all;
}

function answer(...parts: readonly Buffer[]): Attempt {
  return { head: BLOCK, trailers: BLOCK, kept: pieces(...parts) } as unknown as Attempt;
}

function octets(n: number): Buffer {
  return Buffer.from(Array.from({ length: n }, (_, i) => (i * 7 + 200) & 255));
}

describe('the last good answers', () => {
  it('gives back every octet, whatever the size and the pieces', () => {
    const cache = new LastGood({ maxAgeMs: 1000, maxBytes: 1 << 20 });
    for (const sizes of [[0], [1], [300], [200, 100], [4095], [4096], [20_000, 30_000]]) {
      const parts = sizes.map(octets);
      cache.store('key', answer(...parts), 0);
      assert.deepEqual(cache.find('key', 1)?.body, Buffer.concat(parts));
      assert.equal(cache.size, 1);
    }
  });

  it('is not changed by what is read into the same buffer later', () => {
    const cache = new LastGood({ maxAgeMs: 1000, maxBytes: 1 << 20 });
    for (const size of [100, 5000]) {
      const read = octets(size);
      cache.store('key', answer(read), 0);
      read.fill(0);
      assert.deepEqual(cache.find('key', 0)?.body, octets(size));
    }
  });

  it('forgets what is too old, and what has not been used for longest when there is no room', () => {
    const cache = new LastGood({ maxAgeMs: 1000, maxBytes: 3 * (OVERHEAD + 8) });
    for (const key of ['a', 'b', 'c']) cache.store(key, answer(octets(8)), 0);
    cache.find('a', 1);
    cache.store('d', answer(octets(8)), 2);
    assert.equal(cache.find('b', 3), undefined);
    for (const key of ['c', 'a', 'd']) assert.notEqual(cache.find(key, 3), undefined, key);
    assert.equal(cache.bytes, 3 * (OVERHEAD + 8));
    assert.equal(cache.find('a', 1001), undefined);
    cache.configure({ maxAgeMs: 1000, maxBytes: OVERHEAD + 8 });
    assert.equal(cache.size, 1);
    assert.notEqual(cache.find('d', 3), undefined);
  });

  it('counts what it holds, whatever happens to it', () => {
    const cache = new LastGood({ maxAgeMs: 10, maxBytes: 20 * OVERHEAD });
    let state = 1;
    const random = (n: number): number => {
      state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fffffff;
      return (state >>> 8) % n;
    };
    for (let i = 0; i < 5000; i++) {
      const key = `key ${random(30)}`;
      if (random(3) === 0) cache.find(key, i);
      else cache.store(key, answer(octets(random(2000))), i);
      assert.ok(cache.bytes <= 20 * OVERHEAD && cache.bytes >= cache.size * OVERHEAD);
    }
    cache.configure({ maxAgeMs: 10, maxBytes: 0 });
    assert.deepEqual([cache.size, cache.bytes], [0, 0]);
  });
});

describe('what a request is known by', () => {
  it('depends on every octet and not on how they came, whatever the size', () => {
    for (const size of [0, 1, 100, 4000, 5000]) {
      const body = octets(size);
      const half = size >> 1;
      const key = requestKey('/a.B/C', BLOCK, pieces(body));
      assert.equal(requestKey('/a.B/C', BLOCK, pieces(body.subarray(0, half), body.subarray(half))), key);
      assert.notEqual(requestKey('/a.B/D', BLOCK, pieces(body)), key);
      if (size === 0) continue;
      body[size - 1]! ^= 1;
      assert.notEqual(requestKey('/a.B/C', BLOCK, pieces(body)), key);
    }
  });

  it('differs with the size, on both sides of where it is digested at once', () => {
    const long = Buffer.alloc(4096, 1);
    const keys = new Set<string>();
    for (let n = 4070; n <= 4096; n++) keys.add(requestKey('/a.B/C', BLOCK, pieces(long.subarray(0, n))));
    assert.equal(keys.size, 27);
  });
});
