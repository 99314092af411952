import assert from 'node:assert/strict';
import { RequestWriter, rejectedSpans } from '../../../../sidecar/telemetry/traces/otlp-request.js';
import { SpanWriter } from '../../../../sidecar/telemetry/traces/span-writer.js';
import { readRequest } from '../../../kit/traces/decode-spans.js';

const span = (name: string): Buffer => {
  const writer = new SpanWriter();
  const ids = { traceId: '1'.repeat(32), spanId: '2'.repeat(16), parentId: '' };
  writer.beginSpan({ ...ids, flags: 1, kind: 2, startMs: 1, endMs: 2 });
  writer.name(name);
  writer.endSpan();
  return writer.copy();
};

describe('a request to a collector', () => {
  it('has the resource, the scope and all spans', () => {
    const resource = { 'service.name': 'digits', 'deployment.environment.name': 'prüfung' };
    const writer = new RequestWriter({ resource, version: '1.2.3' });
    for (const count of [1, 3, 400]) {
      const parts = Array.from({ length: count }, (_, i) => span(`call ${i}`));
      const bytes = parts.reduce((sum, { length }) => sum + length, 0);
      const read = readRequest(writer.write({ parts, bytes, spans: count }));
      assert.deepEqual([read.resource, read.scopes], [resource, ['outrider']]);
      assert.deepEqual(
        read.spans.map(({ name }) => name),
        parts.map((_, i) => `call ${i}`),
      );
    }
  });
});

describe('the answer of a collector', () => {
  it('may refuse some spans', () => {
    assert.equal(rejectedSpans(Buffer.from([0x0a, 0x03, 0x08, 0xac, 0x02])), 300);
    assert.equal(rejectedSpans(Buffer.from([0x0a, 0x02, 0x08, 0x07])), 7);
  });

  it('refuses none where it is empty, says nothing of it, or is no message', () => {
    for (const hex of ['', '0a00', '0a021200', 'ffffffffff', '0a0308ac', '3c68746d6c3e'])
      assert.equal(rejectedSpans(Buffer.from(hex, 'hex')), 0, hex);
  });
});
