import assert from 'node:assert/strict';
import { MetadataKey } from '../../../sidecar/core/metadata-key.js';
import { makeField } from '../../../sidecar/http2/hpack/field.js';
import { queueTimeFields, readQueueTime } from '../../../sidecar/relay/queue-time-field.js';

const read = (value: string): readonly [number, number] | undefined => {
  const found = { leastMs: -1, mostMs: -1 };
  const isThere = readQueueTime([makeField('x', '1'), makeField(MetadataKey.queueTime, value)], found);
  return isThere ? [found.leastMs, found.mostMs] : undefined;
};

describe('outrider-queue-ms', () => {
  it('is one number, or at least and at most', () => {
    assert.equal(queueTimeFields(12.4, 12.4)[0]!.value, '12');
    assert.equal(queueTimeFields(12, 52)[0]!.value, '12-52');
    assert.equal(queueTimeFields(0, 0)[0]!.value, '0');
    assert.equal(queueTimeFields(1e12, 1e13)[0]!.value, '99999999');
  });

  it('is read as it was written', () => {
    assert.deepEqual(
      [read('0'), read('12'), read('12-52')],
      [
        [0, 0],
        [12, 12],
        [12, 52],
      ],
    );
    assert.deepEqual(read('52-12'), [52, 52]);
  });

  it('is nothing where it cannot be read, or is not there', () => {
    for (const value of ['', 'x', '-1', '1.5', '1-2-3', '123456789', ' 1'])
      assert.equal(read(value), undefined);
    assert.equal(readQueueTime([], { leastMs: 0, mostMs: 0 }), false);
  });

  it('is the same list for the same wait', () => {
    assert.equal(queueTimeFields(7, 9), queueTimeFields(7.2, 8.9));
  });
});
