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
  const read = (bytes: Buffer): readonly [boolean, string] => {
    const buffer = Buffer.concat([Buffer.from('before'), bytes, Buffer.from('after')]);
    reader.read(buffer, 6, 6 + bytes.length);
    return [reader.hasTokens, reader.failure];
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
    for (const reason of ['abort', 'error']) assert.deepEqual(read(ended(reason)), [false, reason]);
    assert.deepEqual(read(ended('abort', 1)), [false, 'abort']);
    for (const reason of ['stop', 'length', 'repetition', '', 'aborted'])
      assert.deepEqual(read(ended(reason)), [false, '']);
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
