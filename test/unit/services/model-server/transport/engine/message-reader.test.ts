import assert from 'node:assert/strict';
import fc from 'fast-check';
import { status } from '../../../../../../services/model-server/rpc.js';
import {
  MessageReader,
  unpinned,
} from '../../../../../../services/model-server/transport/engine/message-reader.js';
import { grpcMessage } from '../../../../../kit/http2/h2-frames.js';

const MAX = 1000;

function takeAll(reader: MessageReader): string[] {
  const taken: string[] = [];
  for (let next = reader.next(); next !== undefined; next = reader.next())
    taken.push(next.bytes.toString('latin1'));
  return taken;
}

describe('the reader of gRPC messages', () => {
  it('finds every message, however its bytes are cut and whenever it is asked', () => {
    const messages = fc.array(fc.string({ maxLength: 40 }), { maxLength: 8 });
    const cuts = fc.array(fc.record({ bytes: fc.integer({ min: 1, max: 30 }), asks: fc.boolean() }), {
      minLength: 1,
    });
    fc.assert(
      fc.property(messages, cuts, (texts, pieces) => {
        const all = Buffer.concat(texts.map((text) => grpcMessage(Buffer.from(text, 'latin1'))));
        const reader = new MessageReader(MAX);
        const taken: string[] = [];
        let at = 0;
        for (let i = 0; at < all.length; i++) {
          const { bytes, asks } = pieces[i % pieces.length]!;
          reader.push(all, at, Math.min(all.length, at + bytes));
          at += bytes;
          if (asks) taken.push(...takeAll(reader));
        }
        taken.push(...takeAll(reader));
        assert.deepEqual(
          taken,
          texts.map((text) => Buffer.from(text, 'latin1').toString('latin1')),
        );
        assert.equal(reader.bytes, 0);
        assert.equal(reader.isMidMessage, false);
      }),
    );
  });

  it('does not copy a message that came in one read', () => {
    const read = grpcMessage(Buffer.from('abc'));
    const reader = new MessageReader(MAX);
    reader.push(read, 0, read.length);
    assert.equal(reader.next()!.bytes.buffer, read.buffer);
  });

  it('refuses a message beyond the limit as soon as its length is known', () => {
    const reader = new MessageReader(MAX);
    const prefix = Buffer.from([0, 0, 0, 3, 0xe9]);
    reader.push(prefix, 0, 5);
    assert.throws(() => reader.next(), { code: status.RESOURCE_EXHAUSTED });
  });

  it('takes a message of exactly the limit', () => {
    const message = grpcMessage(Buffer.alloc(MAX, 'x'));
    const reader = new MessageReader(MAX);
    reader.push(message, 0, message.length);
    assert.equal(reader.next()!.bytes.length, MAX);
  });

  it('tells a compressed message, and refuses a flag that means nothing', () => {
    const reader = new MessageReader(MAX);
    reader.push(Buffer.from([1, 0, 0, 0, 0, 2, 0, 0, 0, 0]), 0, 10);
    assert.equal(reader.next()!.isCompressed, true);
    assert.throws(() => reader.next(), { code: status.INTERNAL });
  });

  it('counts what it holds of a message that is not whole', () => {
    const reader = new MessageReader(MAX);
    reader.push(Buffer.from([0, 0, 0, 0, 9, 1, 2]), 0, 7);
    assert.equal(reader.next(), undefined);
    assert.equal(reader.bytes, 2);
    assert.equal(reader.isMidMessage, true);
  });

  it('does not pin a large read for what is a small part of it', () => {
    const read = Buffer.allocUnsafeSlow(128 * 1024);
    assert.notEqual(unpinned(read.subarray(0, 100)).buffer, read.buffer);
    assert.equal(unpinned(read.subarray(0, 64 * 1024)).buffer, read.buffer);
    const small = Buffer.allocUnsafeSlow(16 * 1024);
    assert.equal(unpinned(small.subarray(0, 100)).buffer, small.buffer);
    const message = grpcMessage(Buffer.from('abc'));
    message.copy(read);
    message.copy(read, message.length);
    const reader = new MessageReader(MAX);
    reader.push(read, 0, 2 * message.length);
    reader.next();
    reader.park();
    const { bytes } = reader.next()!;
    assert.equal(bytes.toString(), 'abc');
    assert.notEqual(bytes.buffer, read.buffer);
  });
});
