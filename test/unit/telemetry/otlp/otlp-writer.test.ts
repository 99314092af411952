/** Bytes of messages, read by another reader of protobuf. */
import assert from 'node:assert/strict';
import { fieldsOf } from '../../../../sidecar/codec/protobuf.js';
import { OtlpWriter } from '../../../../sidecar/telemetry/otlp/otlp-writer.js';
import { attributesOf, fixed, messages, textOf } from '../../../kit/traces/otlp-fields.js';

describe('the writer of OTLP messages', () => {
  let writer: OtlpWriter;
  beforeEach(() => {
    writer = new OtlpWriter();
  });

  for (const length of [0, 1, 127, 128, 5_000, 16_383, 16_384, 300_000])
    it(`puts a message of ${length} bytes and more into others`, () => {
      const outer = writer.open(0x0a);
      const inner = writer.open(0x12);
      writer.text(0x1a, 'x'.repeat(length));
      writer.close(inner);
      writer.varint(0x20, 7);
      writer.close(outer);
      const [read] = messages(writer.take(), 1);
      assert.equal(textOf(messages(read!, 2)[0]!, 3), 'x'.repeat(length));
      assert.deepEqual([...fieldsOf(read!)][1], { number: 4, type: 'varint', value: 7n });
    });

  for (const text of ['', 'Größe', '𝄞', 'a"b\\c\nd\0', '{a="b"}', '\u202e'])
    it(`writes ${JSON.stringify(text)} as it is`, () => {
      writer.attribute(0x0a, 'key', text);
      assert.deepEqual(attributesOf(messages(writer.take(), 1)), { key: text });
    });

  it('makes valid UTF-8 of half a character', () => {
    writer.text(0x0a, 'a\ud834b');
    const [bytes] = messages(writer.take(), 1);
    assert.equal(new TextDecoder('utf-8', { fatal: true }).decode(bytes), 'a\ufffdb');
  });

  it('writes numbers of 64 bits', () => {
    writer.double(0x09, -0.125);
    writer.fixed(0x11, Number.MAX_SAFE_INTEGER);
    writer.nanoseconds(0x19, 1_795_757_408_396.57);
    writer.fixeds(0x22, [0, 1, 2 ** 40]);
    writer.doubles(0x2a, [0.5, 1e300]);
    const read = writer.take();
    assert.equal(fixed(read, 1)?.readDoubleLE(), -0.125);
    assert.equal(fixed(read, 2)?.readBigUInt64LE(), BigInt(Number.MAX_SAFE_INTEGER));
    assert.equal(fixed(read, 3)?.readBigUInt64LE(), 1_795_757_408_396_570_000n);
    const [whole] = messages(read, 4);
    const [fractions] = messages(read, 5);
    assert.deepEqual(
      [0, 8, 16].map((at) => whole!.readBigUInt64LE(at)),
      [0n, 1n, 2n ** 40n],
    );
    assert.deepEqual([fractions!.readDoubleLE(0), fractions!.readDoubleLE(8)], [0.5, 1e300]);
  });

  it('is empty after its bytes were taken, which stay as they are', () => {
    writer.text(0x0a, 'one');
    const first = writer.take();
    assert.equal(writer.length, 0);
    writer.text(0x0a, 'two');
    assert.deepEqual([textOf(first, 1), textOf(writer.take(), 1)], ['one', 'two']);
  });
});
