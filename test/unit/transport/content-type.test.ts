import assert from 'node:assert/strict';
import { replyContentType } from '../../../sidecar/transport/content-type.js';

describe('the content type of a reply', () => {
  it('is that of the request, and the same field each time', () => {
    for (const type of ['application/grpc', 'application/grpc+json', 'application/grpc;a=b']) {
      assert.equal(replyContentType(type).value, type);
      assert.equal(replyContentType(type), replyContentType(type));
    }
    assert.equal(replyContentType(''), replyContentType('application/grpc'));
  });

  it('is right also for more types than are remembered', () => {
    for (let n = 0; n < 100; n++)
      assert.equal(replyContentType(`application/grpc+x${n}`).value, `application/grpc+x${n}`);
  });
});
