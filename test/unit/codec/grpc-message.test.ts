import assert from 'node:assert/strict';
import { framed, unframed } from '../../../sidecar/codec/grpc-message.js';

describe('a message of gRPC', () => {
  it('has its flag and its length before it', () => {
    assert.deepEqual([...framed(Buffer.from('ab'))], [0, 0, 0, 0, 2, 0x61, 0x62]);
    assert.deepEqual([...framed(Buffer.alloc(0))], [0, 0, 0, 0, 0]);
    assert.equal(framed(Buffer.alloc(0x010203)).readUInt32BE(1), 0x010203);
  });

  it('is read where it is exactly one, and not compressed', () => {
    const whole = framed(Buffer.from('abc'));
    assert.equal(unframed(whole)?.toString(), 'abc');
    assert.equal(unframed(framed(Buffer.alloc(0)))?.length, 0);
    const compressed = Buffer.from(whole);
    compressed[0] = 1;
    const others = [Buffer.alloc(0), whole.subarray(0, 4), whole.subarray(0, 7), compressed];
    for (const bytes of [...others, Buffer.concat([whole, whole])]) assert.equal(unframed(bytes), undefined);
  });
});
