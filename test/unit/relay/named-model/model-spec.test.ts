/** A `ModelSpec` of TensorFlow Serving has the name and the version that a decoder takes, or is said to be none. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { fieldsOf, MessageWriter } from '../../../../sidecar/codec/protobuf.js';
import { readModelSpec } from '../../../../sidecar/relay/named-model/model-spec.js';

const message = (): MessageWriter => new MessageWriter();
/** A version, in a message of its own. */
const ofVersion = (value: number): MessageWriter => message().number(1, value);
const read = (bytes: Uint8Array) => readModelSpec(Buffer.from(bytes), 0, bytes.length);

/** By another reader: the last field of a number counts, messages are merged. */
function expected(bytes: Buffer): { name: string; version: string } | null {
  let name = '';
  let version: bigint | null = null;
  try {
    for (const field of fieldsOf(bytes)) {
      if (field.type !== 'bytes') continue;
      if (field.number === 1) name = field.value.toString();
      if (field.number === 4) version = null;
      if (field.number !== 2) continue;
      version ??= 0n;
      for (const inner of fieldsOf(field.value))
        if (inner.number === 1 && inner.type === 'varint') version = inner.value;
    }
  } catch {
    return null;
  }
  return { name, version: version === null ? '' : String(version) };
}

describe('A model spec', () => {
  it('has a name, and a version where it says one by number', () => {
    const spec = message().text(1, 'digits');
    assert.deepEqual(read(spec.finish()), { name: 'digits', version: '' });
    const of = (value: number) =>
      message().text(3, 'serving_default').message(2, ofVersion(value)).text(1, 'digits');
    for (const value of [3, 300, 1_234_567_890])
      assert.deepEqual(read(of(value).finish()), { name: 'digits', version: String(value) });
    assert.deepEqual(read(of(3).text(4, 'stable').finish()), { name: 'digits', version: '' }, 'a label');
    assert.deepEqual(read(Buffer.alloc(0)), { name: '', version: '' });
  });

  it('has version 0 where a version is there without its number, as encoders write 0', () => {
    const named = message().text(1, 'digits').finish();
    const of = (...bytes: number[]) => read(Buffer.concat([named, Buffer.from(bytes)]))?.version;
    assert.equal(of(0x12, 0), '0');
    assert.equal(of(0x12, 2, 0x08, 0), '0');
    assert.equal(of(0x12, 2, 0x08, 3, 0x12, 0), '3', 'the second part says nothing');
    assert.equal(of(0x12, 2, 0x08, 3, 0x12, 2, 0x08, 0), '0');
    assert.equal(of(0x12, 0, 0x22, 1, 0x61), '', 'a label in its place');
  });

  it('is none where it is cut off, or a number is beyond what is read alike', () => {
    const whole = message().text(1, 'digits').message(2, ofVersion(300)).finish();
    const ends = [...whole.keys()].filter((at) => read(whole.subarray(0, at)) !== null);
    assert.deepEqual(ends, [0, 8], 'between its fields only');
    const wide = [0x12, 11, 0x08, 0x83, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x02];
    for (const bytes of [wide, [0x0b], [0x00], [0x8a, 0x80, 0x80, 0x80, 0x10, 1, 0x62]])
      assert.equal(read(Buffer.from(bytes)), null, bytes.join());
  });

  it('has what a decoder takes, whatever fields come in whatever order', () => {
    const field = fc.oneof(
      fc.string({ maxLength: 9 }).map((text) => message().bytes(1, Buffer.from(text)).finish()),
      fc.nat({ max: 100_000 }).map((value) => message().message(2, ofVersion(value)).finish()),
      fc.string({ maxLength: 9 }).map((text) => message().bytes(4, Buffer.from(text)).finish()),
      fc.nat({ max: 100_000 }).map((value) => message().number(1, value).finish()),
      fc.constant(Buffer.from([0x12, 2, 0x10, 7])),
      fc.uint8Array({ maxLength: 4 }).map((bytes) => Buffer.from(bytes)),
    );
    let some = 0;
    fc.assert(
      fc.property(fc.array(field, { maxLength: 6 }), (fields) => {
        const bytes = Buffer.concat(fields);
        const found = read(bytes);
        if (found === null) return;
        some++;
        assert.deepEqual(found, expected(bytes));
      }),
      { numRuns: 2_000 },
    );
    assert.ok(some > 500, `${some}`);
  });
});
