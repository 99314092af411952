import assert from 'node:assert/strict';
import { EndReader, endMessage } from '../../../../sidecar/codec/engines/answer-end.js';
import { VLLM } from '../../../../sidecar/codec/engines/vllm.js';
import { decodeResponse, encodeResponse } from '../../../kit/engines/vllm-messages.js';

const LAYOUT = VLLM.resume!;
const COUNTS = { prompt_tokens: 12, completion_tokens: 1, cached_tokens: 11 };

describe('EndReader', () => {
  const reader = new EndReader(LAYOUT);
  const read = (bytes: Buffer): readonly [string, boolean, boolean] => {
    const buffer = Buffer.concat([Buffer.from('before'), bytes, Buffer.from('after')]);
    reader.read(buffer, 6, 6 + bytes.length);
    return [reader.finish, reader.isNamed, reader.isText];
  };
  const ended = (finish_reason: string, more: object = {}): Buffer =>
    encodeResponse({ complete: { output_ids: [5], finish_reason, ...COUNTS, ...more } });

  it('says what ended an answer', () => {
    assert.deepEqual(read(ended('stop')), ['stop', false, false]);
    assert.deepEqual(read(ended('stop', { matched_token_id: 7 })), ['stop', true, false]);
    assert.deepEqual(read(ended('stop', { matched_stop_str: 'x' })), ['stop', false, true]);
    assert.deepEqual(read(ended('length')), ['length', false, false]);
  });

  it('says nothing more of the message before, and nothing of what is none', () => {
    read(ended('stop', { matched_token_id: 7 }));
    for (const bytes of [Buffer.alloc(0), Buffer.from([0x12, 9, 1]), Buffer.alloc(20, 0xff)])
      assert.deepEqual(read(bytes), ['', false, false]);
    assert.deepEqual(read(encodeResponse({ chunk: { token_ids: [5], ...COUNTS } })), ['', false, false]);
  });
});

describe('endMessage', () => {
  const end = { last: 300, lastBytes: Buffer.from([0xac, 0x02]), promptTokens: 12, cachedTokens: 11 };
  const made = (isStop: boolean, isNamed: boolean) => {
    const { complete } = decodeResponse(endMessage(LAYOUT, { ...end, isStop, isNamed }));
    const { output_ids, finish_reason, prompt_tokens, completion_tokens, cached_tokens } = complete!;
    assert.deepEqual([output_ids, prompt_tokens, completion_tokens, cached_tokens], [[300], 12, 1, 11]);
    return [finish_reason, complete!.matched_token_id ?? 0];
  };

  it('is that of an engine', () => {
    assert.deepEqual(made(true, true), ['stop', 300]);
    assert.deepEqual(made(true, false), ['stop', 0]);
    assert.deepEqual(made(false, false), ['length', 0]);
  });
});
