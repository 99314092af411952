import assert from 'node:assert/strict';
import { deflateSync, gzipSync } from 'node:zlib';
import { status } from '@grpc/grpc-js';
import type { RpcError } from '../../../../../../services/model-server/rpc.js';
import { inflated } from '../../../../../../services/model-server/transport/engine/inflate.js';

const MESSAGE = Buffer.from('a message '.repeat(100));
const refused = (code: status, message: RegExp) => (error: RpcError) => {
  assert.equal(error.code, code);
  assert.match(error.message, message);
  return true;
};

describe('a compressed message', () => {
  it('is as it was, by gzip and by deflate', async () => {
    assert.deepEqual(await inflated(gzipSync(MESSAGE), 'gzip', 1000), MESSAGE);
    assert.deepEqual(await inflated(deflateSync(MESSAGE), 'deflate', 1000), MESSAGE);
  });

  it('is refused where it would be larger than a message may be', async () => {
    await assert.rejects(
      inflated(gzipSync(MESSAGE), 'gzip', 999),
      refused(status.RESOURCE_EXHAUSTED, /decompresses to a size larger than 999/),
    );
  });

  it('is refused under an encoding that is not known, or under none', async () => {
    for (const encoding of ['snappy', 'constructor', '__proto__'])
      await assert.rejects(
        inflated(MESSAGE, encoding, 1000),
        refused(status.UNIMPLEMENTED, /unsupported encoding/),
      );
    for (const encoding of [undefined, 'identity'])
      await assert.rejects(
        inflated(MESSAGE, encoding, 1000),
        refused(
          status.INTERNAL,
          /found a compressed message under grpc-encoding '(identity)?', expected deflate or gzip/,
        ),
      );
  });

  it('is refused where it is not what its encoding says', async () => {
    await assert.rejects(
      inflated(MESSAGE, 'gzip', 1000),
      refused(status.INTERNAL, /Failed to decompress message/),
    );
    const cut = gzipSync(MESSAGE).subarray(0, 20);
    await assert.rejects(
      inflated(cut, 'gzip', 1000),
      refused(status.INTERNAL, /Failed to decompress message/),
    );
  });
});
