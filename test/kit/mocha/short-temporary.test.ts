import assert from 'node:assert/strict';
import { tmpdir } from 'node:os';
import { shortTemporary } from './short-temporary.js';

describe('the temporary folder of the tests', () => {
  it('is the given one where sockets below it have room, and /tmp where they have none', () => {
    assert.equal(shortTemporary('/var/tmp/of/me'), '/var/tmp/of/me');
    assert.equal(shortTemporary(`/${'t'.repeat(37)}`), '/tmp');
    assert.equal(shortTemporary(`/${'ü'.repeat(19)}`), '/tmp');
  });

  it('is set for this process and those that it starts', () =>
    assert.equal(shortTemporary(tmpdir()), process.env['TMPDIR']));
});
