import assert from 'node:assert/strict';
import { areSameBytes, ByteHash, copyBytes } from '../../../sidecar/http2/byte-ops.js';

/** Bytes that lie anywhere within their memory, as slices of reads do. */
function bytes(n: number, offset: number, seed = 1): Buffer {
  const memory = Buffer.alloc(offset + n + 8);
  for (let i = 0; i < n; i++) memory[offset + i] = (Math.imul(i + seed, 0x9e3779b1) >>> 13) & 255;
  return memory.subarray(offset, offset + n);
}

const SIZES = [0, 1, 2, 3, 4, 5, 7, 8, 100, 511, 512, 513, 5000];

function hashOf(parts: readonly Buffer[], seed = 7): number {
  const hash = new ByteHash();
  hash.begin(seed);
  for (const part of parts) hash.add(part, 0, part.length);
  return hash.end();
}

describe('byte operations, four bytes at a time,', () => {
  for (const n of SIZES) {
    it(`copy ${n} bytes and no others, wherever they lie`, () => {
      for (let from = 0; from < 4; from++) {
        for (let at = 0; at < 4; at++) {
          const source = bytes(n + 2, from);
          const target = Buffer.alloc(n + 10, 0xee);
          copyBytes(source, 1, n + 1, target, at);
          const expected = Buffer.alloc(n + 10, 0xee);
          expected.set(source.subarray(1, n + 1), at);
          assert.deepEqual(target, expected);
        }
      }
    });

    it(`compare ${n} bytes, and find each one that differs`, () => {
      const left = bytes(n, 1);
      const right = Buffer.concat([Buffer.alloc(3), left, Buffer.alloc(1)]);
      assert.equal(areSameBytes(left, 0, n, right, 3), true);
      for (let i = 0; i < n; i++) {
        right[3 + i]! ^= 1;
        assert.equal(areSameBytes(left, 0, n, right, 3), false, `byte ${i}`);
        right[3 + i]! ^= 1;
      }
    });
  }

  it('hash the same bytes to the same number, in whatever pieces', () => {
    const all = bytes(40, 3);
    const whole = hashOf([all]);
    for (let a = 0; a <= 40; a++) {
      for (let b = a; b <= 40; b++) {
        const parts = [all.subarray(0, a), all.subarray(a, b), all.subarray(b)];
        assert.equal(hashOf(parts), whole, `${a}, ${b}`);
      }
    }
  });

  it('hash other bytes, or the same from another seed, to other numbers', () => {
    const all = bytes(41, 0);
    const seen = new Set([hashOf([all]), hashOf([all], 8)]);
    for (let i = 0; i < 41; i++) {
      all[i]! ^= 0x10;
      seen.add(hashOf([all]));
      all[i]! ^= 0x10;
    }
    assert.equal(seen.size, 43);
  });
});
