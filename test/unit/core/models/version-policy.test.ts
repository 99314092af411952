/** Which versions of a model are served. */
import assert from 'node:assert/strict';
import { compareVersions, servedVersions } from '../../../../sidecar/core/models/version-policy.js';

describe('the versions that are served', () => {
  const there = ['9', '10', '2', '100000000000000000001'];

  it('are the highest ones, by number and not by text', () => {
    assert.deepEqual(servedVersions(there, { kind: 'latest', count: 1 }), ['100000000000000000001']);
    assert.deepEqual(servedVersions(there, { kind: 'latest', count: 3 }).slice(1), ['10', '9']);
    assert.deepEqual(servedVersions(['1'], { kind: 'latest', count: 3 }), ['1']);
  });

  it('are those that are named, as far as they are there', () => {
    assert.deepEqual(servedVersions(there, { kind: 'specific', versions: ['2', '9', '11'] }), ['9', '2']);
    assert.deepEqual(servedVersions(there, { kind: 'specific', versions: ['1'] }), []);
  });

  it('are all of them', () => {
    assert.deepEqual(servedVersions(there, { kind: 'all' }).slice(1), ['10', '9', '2']);
    assert.deepEqual(servedVersions([], { kind: 'all' }), []);
  });

  it('compare as numbers of any length', () => {
    assert.ok(compareVersions('9', '10') < 0);
    assert.ok(compareVersions('11', '10') > 0);
    assert.equal(compareVersions('7', '7'), 0);
    assert.ok(compareVersions('', '1') < 0);
  });
});
