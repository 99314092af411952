import assert from 'node:assert/strict';
import fc from 'fast-check';
import { MessageHash } from '../../../../sidecar/relay/stream/message-hash.js';
import { grpcMessage } from '../../../kit/http2/h2-frames.js';

/** Bytes that lie anywhere within their memory, as slices of reads do. */
function placed(bytes: Uint8Array, offset: number): Buffer {
  const memory = Buffer.alloc(offset + bytes.length + 8, 0xee);
  memory.set(bytes, offset);
  return memory.subarray(offset, offset + bytes.length);
}

function hashOf(bytes: Buffer, sizes: readonly number[] = [bytes.length || 1], offset = 0): MessageHash {
  const hash = new MessageHash();
  for (let at = 0, i = 0; at < bytes.length; i++) {
    const end = Math.min(bytes.length, at + sizes[i % sizes.length]!);
    hash.add(placed(bytes.subarray(at, end), offset), 0, end - at);
    at = end;
  }
  return hash;
}

const bodies = fc.array(fc.uint8Array({ maxLength: 40 }), { minLength: 1, maxLength: 12 });
const cuts = fc.array(fc.integer({ min: 1, max: 30 }), { minLength: 1, maxLength: 8 });
const framed = (messages: readonly Uint8Array[]): Buffer =>
  Buffer.concat(messages.map((body) => grpcMessage(body)));

describe('MessageHash', () => {
  it('is the same for the same bytes, however they are cut and wherever they lie', () => {
    fc.assert(
      fc.property(bodies, cuts, fc.integer({ min: 0, max: 3 }), (messages, sizes, offset) => {
        const bytes = framed(messages);
        assert.ok(hashOf(bytes).equals(hashOf(bytes, sizes, offset)));
      }),
    );
  });

  it('differs where one byte does, and where bytes are missing', () => {
    fc.assert(
      fc.property(
        bodies,
        cuts,
        fc.nat(),
        fc.integer({ min: 1, max: 255 }),
        (messages, sizes, place, change) => {
          const bytes = framed(messages);
          const other = Buffer.from(bytes);
          other[place % bytes.length]! ^= change;
          assert.ok(!hashOf(bytes).equals(hashOf(other, sizes)));
          assert.ok(!hashOf(bytes).equals(hashOf(bytes.subarray(0, -1), sizes)));
          assert.ok(!hashOf(bytes).equals(hashOf(Buffer.concat([bytes, Buffer.alloc(1)]), sizes)));
        },
      ),
    );
  });

  it('differs where the same text is in other messages', () => {
    const text = Buffer.from('the same tokens, and as many messages of them');
    const at = (...ends: number[]): Buffer =>
      framed(ends.map((end, i) => text.subarray(i === 0 ? 0 : ends[i - 1], end)));
    const once = hashOf(at(10, 20, text.length));
    for (const other of [
      at(10, 21, text.length),
      at(9, 20, text.length),
      at(20, text.length),
      at(text.length),
    ])
      assert.ok(!once.equals(hashOf(other)));
  });

  it('differs between any two lists of messages', () => {
    const words = fc.array(fc.array(fc.constantFrom(0, 1, 128, 255), { maxLength: 9 }), { maxLength: 4 });
    fc.assert(
      fc.property(words, words, (left, right) => {
        const [one, other] = [left, right].map((lists) => framed(lists.map((list) => Uint8Array.from(list))));
        assert.equal(hashOf(one!).equals(hashOf(other!)), one!.equals(other!));
      }),
      { numRuns: 2_000 },
    );
  });

  it('begins anew', () => {
    const bytes = framed([Buffer.from('something')]);
    const hash = hashOf(Buffer.from('other'));
    hash.clear();
    hash.add(bytes, 0, bytes.length);
    assert.ok(hash.equals(hashOf(bytes)));
  });
});
