/** A cursor finds the fields of a message in whatever pieces it lies, and says whether what is missing may still come. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { type Body, BodyReader, bodyIn } from '../../../sidecar/codec/body-reader.js';
import { FieldCursor, packedNumbers, Step, Wire } from '../../../sidecar/codec/field-cursor.js';
import { fieldsOf, MessageWriter } from '../../../sidecar/codec/protobuf.js';

const { field, end, more, malformed } = Step;

/** As it came in reads of so many bytes, the last number for all that follow. */
function inPieces(bytes: Buffer, sizes: readonly number[]): Body {
  const pieces: { buffer: Buffer; start: number; end: number }[] = [];
  for (let at = 0; at < bytes.length; ) {
    const to = Math.min(bytes.length, at + sizes[Math.min(pieces.length, sizes.length - 1)]!);
    // Bytes of others around it.
    const buffer = Buffer.concat([Buffer.alloc(3, 0xff), bytes.subarray(at, to), Buffer.alloc(2, 0xff)]);
    pieces.push({ buffer, start: 3, end: 3 + to - at });
    at = to;
  }
  return { bytes: bytes.length, at: (piece) => pieces[piece]! };
}

/** Number, wire type, and content or value of each field, and how it ends. */
function walked(cursor: FieldCursor, reader: BodyReader): unknown[] {
  const seen: unknown[] = [];
  let step = cursor.step();
  for (; step === field; step = cursor.step()) {
    const { number, wire, value, start } = cursor;
    const content = wire === Wire.varint ? value : reader.copy(start, cursor.end).toString('hex');
    seen.push([number, wire, content]);
  }
  return [...seen, step];
}

const steps = (...bytes: number[]): unknown => {
  const reader = new BodyReader(bodyIn(Buffer.from(bytes)));
  return walked(new FieldCursor(reader), reader).at(-1);
};

const aField = fc.oneof(
  fc.record({ kind: fc.constant('number' as const), value: fc.integer({ min: 1, max: 2 ** 50 }) }),
  fc.record({ kind: fc.constant('text' as const), value: fc.string({ minLength: 1, maxLength: 300 }) }),
  fc.record({ kind: fc.constant('double' as const), value: fc.double({ min: 0.5, max: 1e9 }) }),
);
const aMessage = fc
  .array(fc.tuple(fc.constantFrom(1, 2, 15, 16, 2 ** 29 - 1), aField), { maxLength: 12 })
  .map((fields) => {
    const message = new MessageWriter();
    for (const [number, { kind, value }] of fields) {
      if (kind === 'number') message.number(number, value);
      else if (kind === 'text') message.text(number, value);
      else message.double(number, value);
    }
    return message.finish();
  });
const WIRES = { varint: Wire.varint, bytes: Wire.bytes, fixed32: Wire.fixed32, fixed64: Wire.fixed64 };

describe('A field cursor', () => {
  it('finds what another reader finds, in whatever pieces', () => {
    fc.assert(
      fc.property(aMessage, fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1 }), (bytes, sizes) => {
        const reader = new BodyReader(inPieces(bytes, sizes));
        const expected = [...fieldsOf(bytes)].map(({ number, type, value }) => [
          number,
          WIRES[type],
          typeof value === 'bigint' ? Number(value) : value.toString('hex'),
        ]);
        assert.deepEqual(walked(new FieldCursor(reader), reader), [...expected, end]);
      }),
    );
  });

  it('says of each beginning of a message whether more is to come, and of the same as a whole that it is none', () => {
    fc.assert(
      fc.property(aMessage, (bytes) => {
        const ends = new Set([0]);
        const whole = new FieldCursor(new BodyReader(bodyIn(bytes)));
        while (whole.next()) ends.add(whole.end);
        for (let here = 0; here < bytes.length; here++) {
          const reader = new BodyReader(bodyIn(bytes.subarray(0, here)));
          const part = new FieldCursor(reader, 0, bytes.length);
          let step = part.step();
          while (step === field) step = part.step();
          // Of the last field the content alone may be missing.
          assert.equal(step, part.end === bytes.length ? end : more, `${here} of ${bytes.length}`);
          assert.equal(walked(new FieldCursor(reader), reader).at(-1), ends.has(here) ? end : malformed);
        }
      }),
    );
  });

  it('takes no group, no field 0, no tag above 32 bits and no number above ten bytes for a field', () => {
    for (const bytes of [[0x0b], [0x0c], [0x0e], [0x00, 1], [0x02, 0], [0x8a, 0x80, 0x80, 0x80, 0x10, 0]])
      assert.equal(steps(...bytes), malformed, bytes.join());
    const long = Array<number>(9).fill(0x80);
    assert.equal(steps(0x08, ...long, 0x01), end, 'ten bytes');
    assert.equal(steps(0x08, ...long, 0x80, 0x01), malformed, 'eleven');
    assert.equal(steps(0x0a, 3, 1, 2), malformed, 'longer than its message');
  });

  it('throws where it is asked to, and says at what', () => {
    const next = (...bytes: number[]) => new FieldCursor(new BodyReader(bodyIn(Buffer.from(bytes)))).next();
    assert.throws(() => next(0x0b), new RangeError('wire type 3; expected 0, 1, 2 or 5'));
    for (const bytes of [[0x0a, 3, 1], [0x08], [0x80], [0x00]])
      assert.throws(() => next(...bytes), new RangeError('the message is cut off'));
  });

  it('reads packed numbers', () => {
    const bytes = new MessageWriter().integers(1, [0, 1, 127, 128, 300, 2 ** 40]).finish();
    const reader = new BodyReader(inPieces(bytes, [1]));
    const cursor = new FieldCursor(reader);
    assert.ok(cursor.next());
    assert.deepEqual(packedNumbers(reader, cursor.start, cursor.end), [0, 1, 127, 128, 300, 2 ** 40]);
    assert.throws(() => packedNumbers(reader, cursor.start, cursor.end - 1), /cut off/);
  });
});
