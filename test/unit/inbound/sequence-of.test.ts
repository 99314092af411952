/** The sequence that a ModelInferRequest belongs to. */
import assert from 'node:assert/strict';
import { MessageWriter } from '../../../sidecar/codec/protobuf.js';
import { readSequence } from '../../../sidecar/inbound/sequence-of.js';

describe('the sequence of a request', () => {
  /** InferParameter: bool 1, int64 2, string 3, uint64 5. */
  const text = (value: string) => new MessageWriter().text(3, value).finish();
  const varint = (field: number, ...bytes: number[]) => Buffer.from([field * 8, ...bytes]);
  const entry = (key: string, value: Buffer) => new MessageWriter().text(1, key).bytes(2, value);
  const request = (parameters: Readonly<Record<string, Buffer>>): Buffer => {
    const message = new MessageWriter().text(1, 'vad').text(2, '1').text(3, 'request-1');
    for (const [key, value] of Object.entries(parameters)) message.message(4, entry(key, value));
    return message.message(5, new MessageWriter().text(1, 'x')).bytes(7, Buffer.alloc(64)).finish();
  };

  it('is its number or its text', () => {
    const wide = varint(5, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1);
    assert.deepEqual(readSequence(request({ sequence_id: varint(2, 42) })), { id: '42', isEnd: false });
    assert.deepEqual(readSequence(request({ sequence_id: text('a-b') })), { id: 'a-b', isEnd: false });
    assert.deepEqual(readSequence(request({ sequence_id: wide })), {
      id: '18446744073709551615',
      isEnd: false,
    });
  });

  it('ends where the request says so', () => {
    const ends = (value: number) =>
      readSequence(request({ sequence_id: varint(2, 42), sequence_end: varint(1, value) }))?.isEnd;
    assert.deepEqual([ends(1), ends(0)], [true, false]);
  });

  it('is none without an id, with 0 and with an empty text, as Triton has it', () => {
    assert.equal(readSequence(request({ priority: varint(2, 1) })), null);
    assert.equal(readSequence(request({ sequence_id: varint(2, 0) })), null);
    assert.equal(readSequence(request({ sequence_id: Buffer.alloc(0) })), null);
    assert.equal(readSequence(Buffer.alloc(0)), null);
  });

  it('is read from the beginning of a request that is still coming', () => {
    const whole = request({ sequence_id: varint(2, 42) });
    assert.equal(readSequence(whole.subarray(0, whole.length - 40))?.id, '42');
    assert.equal(readSequence(whole.subarray(0, 12)), null);
  });

  it('costs little in a message of very many parameters', () => {
    const hostile = Buffer.concat(Array.from({ length: 16_000 }, () => Buffer.from([0x22, 2, 0x0a, 0])));
    const beganMs = performance.now();
    for (let i = 0; i < 100; i++) assert.equal(readSequence(hostile), null);
    assert.ok(performance.now() - beganMs < 1_000);
  });

  it('is none in bytes that are no message', () => {
    for (const bytes of ['ffffffff', '22ff', '2203080108'])
      assert.equal(readSequence(Buffer.from(bytes, 'hex')), null);
  });
});
