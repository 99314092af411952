import assert from 'node:assert/strict';
import { bucketQuantile } from '../../../../sidecar/core/history/bucket-quantile.js';

describe('a quantile of buckets', () => {
  const bounds = [1, 2, 4];

  it('is linear within its bucket, as in Prometheus', () => {
    assert.equal(bucketQuantile([50, 50, 0, 0], bounds, 0.75), 1.5);
    assert.equal(bucketQuantile([0, 10, 0, 0], bounds, 0.5), 1.5);
    assert.equal(bucketQuantile([10, 0, 10, 0], bounds, 0.5), 1);
  });

  it('is the last bound beyond it, and nothing without calls', () => {
    assert.equal(bucketQuantile([1, 0, 0, 99], bounds, 0.99), 4);
    assert.equal(bucketQuantile([0, 0, 0, 0], bounds, 0.5), undefined);
    assert.equal(bucketQuantile([], [], 0.5), undefined);
  });
});
