import assert from 'node:assert/strict';
import { whyNotEdited } from '../../../../sidecar/core/routing/header-edits.js';

describe('headers that a rule may change', () => {
  it('are those of the application', () => {
    for (const name of ['x-tier', 'authorization', 'user-agent', 'server'])
      assert.equal(whyNotEdited(name, 'some value'), undefined);
    assert.equal(whyNotEdited('x-empty', ''), undefined);
  });

  it('are not those of HTTP/2, gRPC and the mesh', () => {
    for (const name of [
      ':path',
      'host',
      'te',
      'content-type',
      'grpc-timeout',
      'grpc-status',
      'outrider-reason',
    ])
      assert.equal(whyNotEdited(name), 'it belongs to HTTP/2, gRPC or the mesh');
  });

  it('have a name and a value that HTTP/2 can carry', () => {
    for (const name of ['', 'a b', 'X-Upper', 'ü'])
      assert.equal(whyNotEdited(name), 'no header has such a name');
    for (const value of [' a', 'a ', 'a\nb', 'ü'])
      assert.equal(whyNotEdited('x-a', value), 'no header has such a value');
  });
});
