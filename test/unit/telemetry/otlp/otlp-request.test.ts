import assert from 'node:assert/strict';
import { partialSuccess, RequestWriter } from '../../../../sidecar/telemetry/otlp/otlp-request.js';
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
      const read = readRequest(writer.write({ parts, bytes }));
      assert.deepEqual([read.resource, read.scopes], [resource, ['outrider']]);
      assert.deepEqual(
        read.spans.map(({ name }) => name),
        parts.map((_, i) => `call ${i}`),
      );
    }
  });
});

describe('the answer of a collector', () => {
  const read = (hex: string) => partialSuccess(Buffer.from(hex, 'hex'));

  it('may refuse some spans', () => {
    assert.deepEqual(read('0a0308ac02'), { rejected: 300 });
    assert.deepEqual(read('0a020807'), { rejected: 7 });
  });

  it('may say why, before or after the number', () => {
    const why = `1204${Buffer.from('no (').toString('hex')}`;
    assert.deepEqual(read(`0a08${why}0807`), { rejected: 7, why: 'no (' });
    assert.deepEqual(read(`0a080807${why}`), { rejected: 7, why: 'no (' });
  });

  it('is cut where it says much', () => {
    const text = Buffer.alloc(16_000, 'x').toString('hex');
    assert.equal(read(`0a857d080712807d${text}`).why?.length, 200);
  });

  it('refuses none where it is empty, says nothing of it, or is no message', () => {
    for (const hex of ['', '0a00', '0a021200', 'ffffffffff', '0a0308ac', '3c68746d6c3e', '0b0b0b', '0a0208'])
      assert.deepEqual(read(hex), { rejected: 0 }, hex);
  });

  it('refuses none where its number is beyond all numbers', () =>
    assert.deepEqual(read('0a0b08ffffffffffffffffff01'), { rejected: 0 }));
});
