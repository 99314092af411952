import assert from 'node:assert/strict';
import fc from 'fast-check';
import { HpackError } from '../../../../sidecar/http2/hpack/errors.js';
import { Cursor, readInteger, writeInteger } from '../../../../sidecar/http2/hpack/integer.js';
import { hex } from '../../../kit/http2/hpack-blocks.js';

function read(bytes: string, mask: number): number {
  const buffer = hex(bytes);
  return readInteger(buffer, new Cursor(), buffer.length, mask);
}

describe('integers with a prefix', () => {
  it('are restored for every prefix, and leave the bits above it alone', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 2 ** 28 - 1 }), fc.integer({ min: 1, max: 8 }), (value, bits) => {
        const mask = 2 ** bits - 1;
        const first = 0xff & ~mask;
        const out = Buffer.alloc(8);
        const end = writeInteger(out, 0, first, mask, value);
        assert.equal(out[0]! & first, first);
        const cursor = new Cursor();
        assert.equal(readInteger(out, cursor, end, mask), value);
        assert.equal(cursor.at, end);
      }),
    );
  });

  it('are errors when they end early', () => {
    for (const bytes of ['', '7f', '7f80', '7fffff']) assert.throws(() => read(bytes, 0x7f), HpackError);
  });

  it('are errors beyond four further bytes, even when these add nothing', () => {
    assert.equal(read('7f80808000', 0x7f), 127);
    assert.equal(read('7fffffff7f', 0x7f), 127 + 2 ** 28 - 1);
    assert.throws(() => read('7f8080808000', 0x7f), HpackError);
    assert.throws(() => read('7fffffffff7f', 0x7f), HpackError);
    assert.throws(() => read('7fffffffffffffffff7f', 0x7f), HpackError);
  });
});
