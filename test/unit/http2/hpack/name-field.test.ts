import assert from 'node:assert/strict';
import fc from 'fast-check';
import { FieldError } from '../../../../sidecar/http2/hpack/field.js';
import { decodeName, encodeName, nameField } from '../../../../sidecar/http2/hpack/name-field.js';
import { anyCharacter } from '../../../kit/config/any-character.js';

describe('a name in a header field', () => {
  it('is unchanged where it is visible ASCII without a percent sign', () => {
    for (const name of ['app', 'web/admin', 'a_b.c-1~!$&()*+,;=:@']) assert.equal(encodeName(name), name);
  });

  it('is percent-encoded where it is not', () => {
    assert.equal(encodeName('データ'), '%E3%83%87%E3%83%BC%E3%82%BF');
    assert.equal(encodeName('naïve model'), 'na%C3%AFve%20model');
    assert.equal(encodeName('100%'), '100%25');
  });

  it('makes a valid field of every text', () => {
    fc.assert(
      fc.property(fc.string({ unit: anyCharacter }), (name) => {
        const field = nameField('outrider-caller', name);
        assert.equal(field.error, FieldError.ok);
        assert.match(field.value, /^[!-~]*$/);
      }),
    );
    assert.equal(nameField('outrider-caller', '\ud800').error, FieldError.ok);
  });

  it('comes back as it was', () => {
    fc.assert(
      fc.property(fc.string({ unit: anyCharacter }), (name) => {
        assert.equal(decodeName(encodeName(name)), name);
      }),
    );
  });

  it('is left as it is where it cannot be decoded', () => {
    for (const text of ['100%', '%E3%8', '%ff']) assert.equal(decodeName(text), text);
  });
});
