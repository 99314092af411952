import assert from 'node:assert/strict';
import fc from 'fast-check';
import { MappedIds } from '../../../sidecar/identity/mapped-ids.js';

const ids = new MappedIds({
  'spiffe://td/ns/ml/sa/digits': 'digits',
  'spiffe://td/ns/ml/sa/*': 'other-model',
  'spiffe://td/ns/*/sa/*': 'anything',
  'spiffe://td/a/*': 'one',
  'spiffe://td/*/b': 'two',
  'spiffe://td/*/b/c': 'same',
  'spiffe://td/b/*/c': 'same',
});

describe('mapped ids', () => {
  it('an id gets the service of its entry; the one with fewer wildcards wins', () => {
    assert.equal(ids.serviceOf('/ns/ml/sa/digits'), 'digits');
    assert.equal(ids.serviceOf('/ns/ml/sa/ocr'), 'other-model');
    assert.equal(ids.serviceOf('/ns/web/sa/digits'), 'anything');
  });

  it('an id that two entries match alike has no service, unless both name the same', () => {
    assert.equal(ids.serviceOf('/a/b'), undefined);
    assert.equal(ids.serviceOf('/a/x'), 'one');
    assert.equal(ids.serviceOf('/b/b/c'), 'same');
  });

  it('a path that SPIFFE does not allow has no service', () => {
    for (const path of [
      '',
      '/',
      'ns/ml/sa/digits',
      '/ns/ml/sa/',
      '/ns//ml/sa',
      '/a/..',
      '/a/.',
      '/a/%62',
      '/a/b c',
      '/a/*',
    ])
      assert.equal(ids.serviceOf(path), undefined, path);
  });

  it('names of members of objects are names', () => {
    assert.equal(new MappedIds({}).serviceOf('/constructor'), undefined);
    assert.equal(new MappedIds({ 'spiffe://td/__proto__': 'p' }).serviceOf('/__proto__'), 'p');
  });

  it('a wildcard stands for one segment, whatever that holds', () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        const found = new MappedIds({ 'spiffe://td/a/*': 's' }).serviceOf(`/a/${text}`);
        const isSegment = /^[A-Za-z0-9._-]+$/.test(text) && text !== '.' && text !== '..';
        assert.equal(found, isSegment ? 's' : undefined);
      }),
    );
  });
});
