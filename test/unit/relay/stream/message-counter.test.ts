import assert from 'node:assert/strict';
import fc from 'fast-check';
import { MessageCounter } from '../../../../sidecar/relay/stream/message-counter.js';
import { grpcMessage } from '../../../kit/http2/h2-frames.js';

const bodies = fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 12 });
const cuts = fc.array(fc.integer({ min: 1, max: 30 }), { minLength: 1, maxLength: 8 });

describe('MessageCounter', () => {
  it('counts the same messages however the bytes are cut', () => {
    fc.assert(
      fc.property(bodies, cuts, (messages, sizes) => {
        const bytes = Buffer.concat(messages.map((body) => grpcMessage(body)));
        const counter = new MessageCounter();
        const ends: number[] = [];
        for (let at = 0, i = 0; at < bytes.length; i++) {
          const end = Math.min(bytes.length, at + sizes[i % sizes.length]!);
          for (; at >= 0 && at < end; ) {
            at = counter.next(bytes, at, end);
            if (at >= 0) ends.push(at);
          }
          at = end;
        }
        const all: number[] = [];
        for (const body of messages) all.push((all.at(-1) ?? 0) + 5 + body.length);
        assert.equal(counter.messages, messages.length);
        assert.ok(!counter.isBroken);
        assert.deepEqual(ends, all);
      }),
    );
  });

  it('takes a length of 4 GiB as it is', () => {
    const counter = new MessageCounter();
    assert.equal(counter.take(grpcMessage(Buffer.alloc(10), 0xffff_ffff), 0, 15), 0);
    assert.ok(!counter.isBroken);
  });

  it('gives up at a flag that gRPC does not know, and keeps what it counted', () => {
    const counter = new MessageCounter();
    const bytes = Buffer.concat([grpcMessage(Buffer.from('a'), 1, 1), Buffer.from('<html>')]);
    assert.equal(counter.take(bytes, 0, bytes.length), 1);
    assert.deepEqual([counter.isBroken, counter.messages], [true, 1]);
    assert.equal(counter.take(bytes, 0, bytes.length), 0);
  });
});
