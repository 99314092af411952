import assert from 'node:assert/strict';
import { newSpanId, newTraceId, traceIdFrom } from '../../../../sidecar/telemetry/traces/ids.js';
import { seeded } from '../../../kit/time/seeded-random.js';

describe('ids of traces', () => {
  it('are hexadecimal digits, and differ', () => {
    const random = seeded(1);
    const ids = Array.from({ length: 1_000 }, () => newTraceId(random));
    for (const id of ids) assert.match(id, /^[0-9a-f]{32}$/);
    assert.equal(new Set(ids).size, 1_000);
    assert.match(newSpanId(random), /^[0-9a-f]{16}$/);
  });

  it('are never all zero, and use every bit', () => {
    assert.equal(
      newSpanId(() => 0),
      '0000000000000001',
    );
    assert.equal(
      newSpanId(() => 1 - 2 ** -32),
      'f'.repeat(16),
    );
  });

  it('follow from the id of a request that is a UUID', () => {
    const id = '0AF76519-16cd-43dd-8448-eb211c80319c';
    assert.equal(traceIdFrom(id), '0af7651916cd43dd8448eb211c80319c');
    assert.equal(traceIdFrom(id.replaceAll('-', '')), '0af7651916cd43dd8448eb211c80319c');
    for (const other of ['4711', '0'.repeat(32), `${id}0`, 'g'.repeat(32), '-'.repeat(32)])
      assert.equal(traceIdFrom(other), undefined, other);
  });
});
