/** Bytes of spans, read by another reader of protobuf. */
import assert from 'node:assert/strict';
import {
  AttributeKey,
  SpanFlag,
  SpanKind,
  SpanWriter,
} from '../../../../sidecar/telemetry/traces/span-writer.js';
import { readSpans } from '../../../kit/traces/decode-spans.js';

const HEAD = {
  traceId: '0af7651916cd43dd8448eb211c80319c',
  spanId: 'b7ad6b7169203331',
  parentId: '00f067aa0ba902b7',
  flags: SpanFlag.sampled | SpanFlag.parentIsKnown,
  kind: SpanKind.client,
  startMs: 1_795_757_408_396.57,
  endMs: 1_795_757_408_424.628,
};
const KEY = new AttributeKey('some.key');

describe('the writer of spans', () => {
  const written = (fill: (writer: SpanWriter) => void, head = HEAD) => {
    const writer = new SpanWriter();
    writer.beginSpan(head);
    fill(writer);
    writer.endSpan();
    return readSpans(writer.copy())[0]!;
  };

  it('writes ids, times to the microsecond, name, state and status', () => {
    const span = written((writer) => {
      writer.state('a=1');
      writer.name('p.S/M');
      writer.error('UNAVAILABLE');
    });
    assert.deepEqual(span, {
      ...{ traceId: HEAD.traceId, spanId: HEAD.spanId, parentId: HEAD.parentId, flags: 0x101, kind: 3 },
      ...{ state: 'a=1', name: 'p.S/M', error: 'UNAVAILABLE', attributes: {} },
      ...{ start: 1_795_757_408_396_570_000n, end: 1_795_757_408_424_628_000n },
    });
  });

  it('leaves out what is not there', () => {
    const span = written(() => {}, { ...HEAD, parentId: '' });
    assert.deepEqual([span.parentId, span.state, span.error], ['', '', undefined]);
  });

  for (const value of [0, 1, 127, 128, 16_383, 16_384, 602_112, 2 ** 32 + 5, Number.MAX_SAFE_INTEGER])
    it(`writes the number ${value}`, () => {
      assert.equal(written((writer) => writer.integer(KEY, value)).attributes['some.key'], value);
    });

  for (const value of ['', 'short', 'x'.repeat(47), 'x'.repeat(200), 'Größe', '𝄞'.repeat(60)])
    it(`writes a text of ${value.length} characters`, () => {
      assert.equal(written((writer) => writer.text(KEY, value)).attributes['some.key'], value);
    });

  it('writes fractions and flags', () => {
    const { attributes } = written((writer) => {
      writer.double(KEY, 0.125);
      writer.flag(new AttributeKey('other'));
    });
    assert.deepEqual(attributes, { 'some.key': 0.125, other: true });
  });

  it('writes spans one after another, of every length', () => {
    const writer = new SpanWriter();
    const texts = ['', 'x'.repeat(20), 'x'.repeat(200), 'x'.repeat(20_000), 'y'];
    for (const text of texts) {
      writer.beginSpan({ ...HEAD, parentId: '' });
      writer.name(text);
      writer.endSpan();
    }
    assert.deepEqual(
      readSpans(writer.copy()).map(({ name }) => name),
      texts,
    );
  });

  it('refuses what has no room, and an id that is none', () => {
    const writer = new SpanWriter();
    const fill = () => {
      for (let i = 0; i < 10; i++) writer.text(KEY, 'x'.repeat(10_000));
    };
    assert.throws(fill, RangeError);
    assert.ok(writer.at <= writer.bytes.length);
    writer.clear();
    assert.throws(() => writer.beginSpan({ ...HEAD, traceId: 'abc' }), RangeError);
  });
});
