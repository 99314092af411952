import assert from 'node:assert/strict';
import fc from 'fast-check';
import type { GenerateResponse, OutputLogProbs } from '../../../../proto/vllm-service.js';
import {
  ResponsePart,
  ResponseReader,
  splicedResponse,
} from '../../../../sidecar/codec/engines/generate-response.js';
import { TokenIds } from '../../../../sidecar/codec/engines/token-ids.js';
import { VLLM } from '../../../../sidecar/codec/engines/vllm.js';
import { decodeResponse, encodeResponse } from '../../../kit/engines/vllm-messages.js';
import { runs } from '../../../kit/mocha/effort.js';

const LAYOUT = VLLM.resume!;
const logprobsOf = (ids: readonly number[]): OutputLogProbs => ({
  token_logprobs: ids.map((id) => -id / 4),
  token_ids: [...ids],
  top_logprobs: ids.map((id) => ({ values: [-id / 4, -8], token_ids: [id, id + 1] })),
});
const aChunk = (ids: readonly number[], index = 0): GenerateResponse => ({
  chunk: {
    token_ids: ids,
    prompt_tokens: 12,
    completion_tokens: ids.length,
    cached_tokens: 11,
    output_logprobs: logprobsOf(ids),
    index,
  },
});
const aComplete = (ids: readonly number[]): GenerateResponse => ({
  complete: {
    output_ids: ids,
    finish_reason: 'stop',
    prompt_tokens: 12,
    completion_tokens: ids.length,
    cached_tokens: 11,
    output_logprobs: logprobsOf(ids),
    matched_token_id: 2,
  },
});

describe('ResponseReader', () => {
  const reader = new ResponseReader(LAYOUT);
  const read = (bytes: Buffer, ids = new TokenIds()) => ({
    isRead: reader.read(bytes, 0, bytes.length, ids),
    ids,
  });

  it('reads the tokens of a chunk, in place', () => {
    const ids = new TokenIds();
    const message = encodeResponse(aChunk([5, 300, 128_000]));
    const buffer = Buffer.concat([Buffer.from('before'), message, Buffer.from('after')]);
    assert.ok(reader.read(buffer, 6, 6 + message.length, ids));
    assert.deepEqual([reader.part, reader.count], [ResponsePart.chunk, 3]);
    assert.deepEqual([reader.promptTokens, reader.cachedTokens], [12, 11]);
    assert.deepEqual([ids.count, ids.idAt(ids.lastStart)], [3, 128_000]);
  });

  it('takes the tokens of a complete answer for those that have come', () => {
    const { isRead, ids } = read(encodeResponse(aComplete([5])));
    assert.deepEqual([isRead, reader.part, ids.count], [true, ResponsePart.complete, 0]);
  });

  it('reads a list that is not packed', () => {
    const { isRead, ids } = read(Buffer.from([0x0a, 5, 0x08, 0x05, 0x08, 0xac, 0x02]));
    assert.deepEqual([isRead, ids.count, ids.idAt(ids.lastStart)], [true, 2, 300]);
  });

  it('refuses other sequences, two parts in one, and what is cut off; nothing of these is added', () => {
    const both = Buffer.concat([encodeResponse(aChunk([1])), encodeResponse(aComplete([1]))]);
    for (const bytes of [
      encodeResponse(aChunk([1], 1)),
      both,
      encodeResponse(aChunk([1, 2])).subarray(0, -1),
    ]) {
      const { isRead, ids } = read(bytes);
      assert.deepEqual([isRead, ids.count, ids.length], [false, 0, 0]);
    }
  });

  it('is bounded on hostile bytes: never more ids than bytes, and never a throw', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.nat(200), (noise, at) => {
        const bytes = encodeResponse(aChunk([1, 2, 300]));
        const mixed = Buffer.concat([bytes.subarray(0, Math.min(at, bytes.length)), noise]);
        for (const each of [Buffer.from(noise), mixed]) {
          const { isRead, ids } = read(each);
          assert.ok(ids.count <= each.length && ids.length <= each.length);
          if (isRead) splicedResponse(LAYOUT, each, { drop: 1, promptTokens: 3, cachedTokens: 0 });
          else assert.equal(ids.count, 0);
        }
      }),
      { numRuns: runs(800) },
    );
  });
});

describe('splicedResponse', () => {
  const spliced = (response: GenerateResponse, drop: number, cachedTokens = 4) =>
    decodeResponse(
      splicedResponse(LAYOUT, encodeResponse(response), { drop, promptTokens: 10, cachedTokens }),
    );

  it('leaves tokens and their log probabilities out, and counts as the engine before', () => {
    const { chunk } = spliced(aChunk([5, 300, 7]), 1);
    assert.deepEqual(chunk!.token_ids, [300, 7]);
    assert.deepEqual([chunk!.prompt_tokens, chunk!.completion_tokens, chunk!.cached_tokens], [10, 2, 4]);
    assert.deepEqual(chunk!.output_logprobs, logprobsOf([300, 7]));
  });

  it('keeps the rest of a complete answer', () => {
    const { complete } = spliced(aComplete([5, 7]), 1, 0);
    assert.deepEqual(complete!.output_ids, [7]);
    assert.deepEqual([complete!.finish_reason, complete!.matched_token_id], ['stop', 2]);
    assert.deepEqual(
      [complete!.prompt_tokens, complete!.completion_tokens, complete!.cached_tokens],
      [10, 1, 0],
    );
  });

  it('changes nothing but the counts where nothing is left out', () => {
    const before = decodeResponse(encodeResponse(aChunk([1, 2]))).chunk!;
    assert.deepEqual(spliced(aChunk([1, 2]), 0).chunk, { ...before, prompt_tokens: 10, cached_tokens: 4 });
  });
});
