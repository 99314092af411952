import assert from 'node:assert/strict';
import fc from 'fast-check';
import { AnswerReader } from '../../../../sidecar/codec/engines/answer-reader.js';
import { SGLANG } from '../../../../sidecar/codec/engines/sglang.js';
import { TRTLLM } from '../../../../sidecar/codec/engines/trtllm.js';
import { VLLM } from '../../../../sidecar/codec/engines/vllm.js';
import { encodeResponse } from '../../../kit/engines/vllm-messages.js';
import { runs } from '../../../kit/mocha/effort.js';

const COUNTS = { prompt_tokens: 12, completion_tokens: 1, cached_tokens: 11 };

describe('AnswerReader', () => {
  const reader = new AnswerReader(VLLM.answer);
  const read = (bytes: Buffer): readonly [hasContent: boolean, failure: string] => {
    const buffer = Buffer.concat([Buffer.from('before'), bytes, Buffer.from('after')]);
    reader.read(buffer, 6, 6 + bytes.length);
    return [reader.hasContent, reader.failure];
  };
  const ended = (finish_reason: string, index = 0): Buffer =>
    encodeResponse({ complete: { output_ids: [5], finish_reason, ...COUNTS, index } });

  it('finds tokens of any sequence', () => {
    for (const index of [0, 1]) {
      assert.deepEqual(read(encodeResponse({ chunk: { token_ids: [5], ...COUNTS, index } })), [true, '']);
      assert.deepEqual(read(encodeResponse({ chunk: { token_ids: [], ...COUNTS, index } })), [false, '']);
    }
    assert.deepEqual(read(Buffer.from([0x0a, 2, 0x08, 5])), [true, ''], 'not packed');
  });

  it('finds the end of an answer that the engine gave up', () => {
    for (const reason of ['abort', 'error']) assert.deepEqual(read(ended(reason)), [true, reason]);
    assert.deepEqual(read(ended('abort', 1)), [true, 'abort']);
    for (const reason of ['stop', 'length', 'repetition', '', 'aborted'])
      assert.deepEqual(read(ended(reason)), [true, '']);
  });

  it('finds the end of a sequence, also one without tokens', () => {
    for (const reason of ['stop', 'abort']) {
      read(ended(reason));
      assert.equal(reader.hasEnd, true);
    }
    assert.deepEqual(read(Buffer.from([0x12, 0])), [true, '']);
    assert.equal(reader.hasEnd, true);
    read(encodeResponse({ chunk: { token_ids: [5], ...COUNTS } }));
    assert.equal(reader.hasEnd, false);
  });

  it('what is not known, or cannot be read, may say something', () => {
    assert.deepEqual(read(Buffer.from([0x22, 1, 7])), [true, ''], 'another field');
    assert.deepEqual(read(Buffer.from([0x0a, 9, 1])), [true, ''], 'cut off');
    assert.deepEqual(read(Buffer.from([0x08, 3])), [true, ''], 'a number in place of a chunk');
  });

  it('says nothing more of the message before', () => {
    read(ended('abort'));
    assert.deepEqual(read(Buffer.alloc(0)), [false, '']);
  });

  it('knows the fields of other engines', () => {
    const text = (field: number, said: string): number[] => [
      field * 8 + 2,
      said.length,
      ...Buffer.from(said),
    ];
    for (const [layout, field, said] of [
      [SGLANG.answer, 2, 'abort'],
      [TRTLLM.answer, 3, 'cancelled'],
    ] as const) {
      const content = text(field, said);
      const message = Buffer.from([3 * 8 + 2, content.length, ...content]);
      const other = new AnswerReader(layout);
      other.read(message, 0, message.length);
      assert.equal(other.failure, said);
    }
  });

  it('reads any bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
        read(Buffer.from(bytes));
      }),
      { numRuns: runs(2_000) },
    );
  });
});
