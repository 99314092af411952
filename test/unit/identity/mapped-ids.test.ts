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

/** Of the trust domain `td`. */
const serviceOf = (path: string, map = ids) => map.serviceOf({ trustDomain: 'td', path });

describe('mapped ids', () => {
  it('an id gets the service of its entry; the one with fewer wildcards wins', () => {
    assert.equal(serviceOf('/ns/ml/sa/digits'), 'digits');
    assert.equal(serviceOf('/ns/ml/sa/ocr'), 'other-model');
    assert.equal(serviceOf('/ns/web/sa/digits'), 'anything');
  });

  it('an id that two entries match alike has no service, unless both name the same', () => {
    assert.equal(serviceOf('/a/b'), undefined);
    assert.equal(serviceOf('/a/x'), 'one');
    assert.equal(serviceOf('/b/b/c'), 'same');
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
      assert.equal(serviceOf(path), undefined, path);
  });

  it('an entry is for its own trust domain alone', () => {
    const two = new MappedIds({ 'spiffe://td/web': 'web', 'spiffe://partner/web': 'partner-web' });
    assert.equal(two.serviceOf({ trustDomain: 'td', path: '/web' }), 'web');
    assert.equal(two.serviceOf({ trustDomain: 'partner', path: '/web' }), 'partner-web');
    assert.equal(two.serviceOf({ trustDomain: 'other', path: '/web' }), undefined);
  });

  it('names of members of objects are names', () => {
    assert.equal(serviceOf('/constructor', new MappedIds({})), undefined);
    assert.equal(serviceOf('/__proto__', new MappedIds({ 'spiffe://td/__proto__': 'p' })), 'p');
  });

  it('a wildcard stands for one segment, whatever that holds', () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        const found = serviceOf(`/a/${text}`, new MappedIds({ 'spiffe://td/a/*': 's' }));
        const isSegment = /^[A-Za-z0-9._-]+$/.test(text) && text !== '.' && text !== '..';
        assert.equal(found, isSegment ? 's' : undefined);
      }),
    );
  });
});
