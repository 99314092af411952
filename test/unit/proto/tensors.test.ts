import assert from 'node:assert/strict';
import fc from 'fast-check';
import { type Datatype, elementBytes, isDatatype, type NumericArray } from '../../../proto/datatypes.js';
import { decodeRaw, encodeRaw, fromContents, fromValues, TensorError } from '../../../proto/tensors.js';
import { anyCharacter } from '../../kit/config/any-character.js';

const integers: Datatype[] = ['UINT8', 'UINT16', 'UINT32', 'UINT64', 'INT8', 'INT16', 'INT32', 'INT64'];
const numeric: Datatype[] = [...integers, 'FP16', 'BF16', 'FP32', 'FP64'];

describe('a tensor between the wire and memory', () => {
  it('comes back bit for bit, at any offset within its buffer', () => {
    const cases = fc.tuple(
      fc.constantFrom(...numeric),
      fc.nat(8),
      fc.nat(7),
      fc.uint8Array({ minLength: 64, maxLength: 64 }),
    );
    fc.assert(
      fc.property(cases, ([datatype, count, offset, noise]) => {
        const size = count * elementBytes(datatype);
        const held = new Uint8Array(size + offset + 1);
        held.set(noise.subarray(0, size), offset);
        const bytes = held.subarray(offset, offset + size);
        const data = decodeRaw(bytes, datatype, count, 'x') as NumericArray;
        assert.equal(data.length, count);
        assert.deepEqual(Buffer.from(encodeRaw({ datatype, dims: [count], data })), Buffer.from(bytes));
      }),
      { seed: 1 },
    );
  });

  it('is a view of the received bytes when they are aligned, so that large ones are not copied', () => {
    const bytes = new Uint8Array(new ArrayBuffer(64), 16, 32);
    const data = decodeRaw(bytes, 'FP32', 8, 'x') as NumericArray;
    assert.equal(data.buffer, bytes.buffer);
    assert.equal(encodeRaw({ datatype: 'FP32', dims: [8], data }).buffer, bytes.buffer);
  });

  it('is a copy of its own when they are not aligned', () => {
    const sizes = [4, 12, 4000, 15_000, 16_380, 20_000, 40_000];
    const copies = [...sizes, ...sizes].map((length, i) => {
      const bytes = new Uint8Array(length + 1).fill(i + 1);
      return { i, data: decodeRaw(bytes.subarray(1), 'UINT32', length / 4, 'x') as Uint32Array };
    });
    for (const { i, data } of copies) assert.ok(data.every((value) => value === (i + 1) * 0x01010101));
  });

  it('carries any text', () =>
    fc.assert(
      fc.property(fc.array(fc.string({ unit: anyCharacter })), (texts) => {
        const bytes = encodeRaw({ datatype: 'BYTES', dims: [texts.length], data: texts });
        assert.deepEqual(decodeRaw(bytes, 'BYTES', texts.length, 'x'), texts);
      }),
      { seed: 1 },
    ));

  it('is refused with a TensorError, whatever bytes arrive in place of text', () =>
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), fc.nat(4), (bytes, count) => {
        try {
          assert.equal(decodeRaw(bytes, 'BYTES', count, 'x').length, count);
        } catch (error) {
          assert.ok(error instanceof TensorError);
          assert.match(error.message, /^x: .*found .*, expected /);
        }
      }),
      { seed: 1 },
    ));

  it('takes 64-bit integers exactly and refuses what is none or does not fit', () => {
    const max = 2n ** 63n - 1n;
    assert.deepEqual(
      fromValues([String(max), '-9223372036854775808', 7], 'INT64', 'x'),
      new BigInt64Array([max, -(2n ** 63n), 7n]),
    );
    for (const wrong of [1.5, 'one', String(max + 1n), Number.NaN, '', ' 7', '0x10', true, '9'.repeat(21)])
      assert.throws(() => fromValues([wrong], 'INT64', 'x'), /expected an integer of 64 bits/);
    assert.throws(() => fromValues(['-1'], 'UINT64', 'x'), /UINT64 element 0: found -1/);
  });

  it('refuses numbers that its integers cannot hold', () => {
    const wrong = {
      INT8: [128, -129],
      UINT8: [-1],
      UINT16: [65536],
      INT16: [1.5],
      INT32: [2 ** 31],
      UINT32: [2 ** 32],
    };
    for (const [datatype, values] of Object.entries(wrong) as [Datatype, number[]][])
      for (const value of values)
        assert.throws(
          () => fromValues([0, value], datatype, 'x'),
          new RegExp(`^.*x: ${datatype} element 1: found ${value}, expected an integer from`),
        );
    assert.throws(() => fromValues(['1'], 'FP32', 'x'), /expected a number/);
    assert.throws(() => fromValues([2], 'BOOL', 'x'), /expected true or false/);
  });

  it('has no typed form for half precision', () => {
    for (const datatype of ['FP16', 'BF16'] as const)
      assert.throws(
        () => fromContents({ fp32_contents: [1] }, datatype, 1, 'x'),
        /found fp32_contents, expected raw_input_contents/,
      );
  });

  it('has one of the protocol’s datatypes', () => {
    assert.ok(numeric.every(isDatatype));
    for (const name of ['fp32', 'STRING', '', 'toString', '__proto__']) assert.equal(isDatatype(name), false);
  });
});
