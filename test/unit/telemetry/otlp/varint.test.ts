import assert from 'node:assert/strict';
import { fieldsOf } from '../../../../sidecar/codec/protobuf.js';
import { varintLength, writeVarint } from '../../../../sidecar/telemetry/otlp/varint.js';

describe('a varint', () => {
  for (const value of [0, 1, 127, 128, 16_383, 16_384, 602_112, 2 ** 32 + 5, Number.MAX_SAFE_INTEGER])
    it(`holds ${value}`, () => {
      const field = Buffer.alloc(1 + varintLength(value));
      field[0] = 0x08;
      assert.equal(writeVarint(field, 1, value), field.length);
      assert.deepEqual([...fieldsOf(field)], [{ number: 1, type: 'varint', value: BigInt(value) }]);
    });
});
