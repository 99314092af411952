import assert from 'node:assert/strict';
import fc from 'fast-check';
import type { GenerateRequest } from '../../../../proto/vllm-service.js';
import { bodyIn } from '../../../../sidecar/codec/body-reader.js';
import { type RequestTokens, readRequestTokens } from '../../../../sidecar/codec/engines/request-tokens.js';
import { SGLANG } from '../../../../sidecar/codec/engines/sglang.js';
import { VLLM } from '../../../../sidecar/codec/engines/vllm.js';
import { framed } from '../../../../sidecar/codec/grpc-message.js';
import { ChunkList } from '../../../../sidecar/transport/chunk-list.js';
import { encodeRequest } from '../../../kit/engines/vllm-messages.js';
import { runs } from '../../../kit/mocha/effort.js';

const bodyOf = (request: Partial<GenerateRequest>): Buffer =>
  framed(encodeRequest({ request_id: 'r-1', ...request }));
const prompt = (ids: readonly number[], original_text = 'hello') => ({ original_text, input_ids: [...ids] });
/** Ids of the prompt, max_tokens, sequences, bytes of text. */
function read(body: Buffer, codec = VLLM): readonly number[] | null {
  const found: RequestTokens | null = readRequestTokens(codec, bodyIn(body));
  return found && [found.promptIds, found.maxTokens, found.sequences, found.textBytes];
}
/** A field of bytes, by hand: what no encoder writes. */
const field = (number: number, content: Buffer): Buffer => {
  const head = [number * 8 + 2];
  for (let n = content.length; ; n = Math.floor(n / 128)) {
    head.push(n < 128 ? n : (n % 128) + 128);
    if (n < 128) break;
  }
  return Buffer.concat([Buffer.from(head), content]);
};
const bytes = (...all: number[]): Buffer => Buffer.from(all);

describe('readRequestTokens', () => {
  it('reads how many ids the prompt has, how many tokens may come, and of how many sequences', () => {
    const request = { tokenized: prompt([1, 300, 128_000]), sampling_params: { max_tokens: 200, n: 4 } };
    assert.deepEqual(read(bodyOf(request)), [3, 200, 4, 0]);
    assert.deepEqual(read(bodyOf({ tokenized: prompt([]) })), [0, -1, 1, 0]);
    assert.deepEqual(read(bodyOf({ sampling_params: { max_tokens: 0, n: 0 } })), [0, 0, 1, 0]);
  });

  it('reads how long a prompt of text is', () =>
    assert.deepEqual(read(bodyOf({ text: 'grüße', sampling_params: { max_tokens: 1 } })), [0, 1, 1, 7]));

  it('reads the same, however the request is cut into pieces', () => {
    const ids = Array.from({ length: 50_000 }, (_, i) => i);
    const body = bodyOf({ tokenized: prompt(ids, 'x'.repeat(70_000)), sampling_params: { max_tokens: 7 } });
    for (const size of [1, 1_000, 4_099, 70_035]) {
      const pieces = new ChunkList();
      for (let at = 0; at < body.length; at += size) pieces.add(body, at, Math.min(body.length, at + size));
      const found = readRequestTokens(VLLM, pieces)!;
      assert.deepEqual([found.promptIds, found.maxTokens], [50_000, 7]);
    }
  });

  it('counts a million ids', () => {
    const ids = Array.from({ length: 1_000_000 }, (_, i) => i);
    assert.deepEqual(read(bodyOf({ tokenized: prompt(ids) }))?.[0], 1_000_000);
  });

  it('reads ids that each have a field of their own, as old encoders write them', () => {
    const unpacked = bytes(0x10, 1, 0x10, 0xac, 2, 0x10, 7);
    assert.deepEqual(read(framed(field(2, unpacked))), [3, -1, 1, 0]);
    const many = Buffer.alloc(2 * 70_000, unpacked.subarray(0, 2));
    assert.equal(read(framed(field(2, many))), null, 'more than any usual encoder writes');
  });

  it('takes the last of a number that stands twice, as engines do, and all ids of several prompts', () => {
    const two = field(4, bytes(0x40, 9, 0x40, 3));
    assert.deepEqual(read(framed(two)), [0, 3, 1, 0]);
    assert.deepEqual(read(framed(Buffer.concat([two, field(4, bytes(0x40, 5, 0x78, 2))]))), [0, 5, 2, 0]);
    const prompts = Buffer.concat([field(2, field(2, bytes(1, 2))), field(2, field(2, bytes(3)))]);
    assert.deepEqual(read(framed(prompts)), [3, -1, 1, 0]);
  });

  it('reads counts of any size, and a negative one as a large one', () => {
    const max = (n: number): number => read(bodyOf({ sampling_params: { max_tokens: n } }))![1]!;
    assert.equal(max(2 ** 32 - 1), 2 ** 32 - 1);
    const ones = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
    assert.ok(read(framed(field(4, bytes(0x40, ...ones, 0xff, 1))))![1]! > 2 ** 53, '−1');
    assert.ok(read(framed(field(4, bytes(0x40, ...ones, 0x7f))))![1]! > 2 ** 53, '2^63 − 1');
  });

  it('does not read what is compressed, cut off, more than one message or none of this engine', () => {
    const body = bodyOf({ tokenized: prompt([1, 2, 3]), sampling_params: { max_tokens: 5 } });
    const compressed = Buffer.from(body);
    compressed[0] = 1;
    for (const bad of [
      ...[Buffer.alloc(0), compressed, body.subarray(0, 4), body.subarray(0, body.length - 1)],
      Buffer.concat([body, body]),
      framed(bytes(0xff, 0xff, 0xff)),
      framed(field(2, field(2, bytes(1, 0x80)))),
      framed(bytes(0x10, 1)),
      framed(field(4, field(8, bytes(1)))),
      framed(field(4, bytes(0x40))),
      framed(Buffer.concat(Array.from({ length: 65 }, () => bytes(0x28, 1)))),
    ])
      assert.equal(read(bad), null, bad.toString('hex').slice(0, 60));
    assert.equal(read(body, SGLANG), null, 'its counts have not been compared with a real one');
  });

  it('finds what the protobuf library wrote, and never throws', () => {
    const requests = fc.record({
      ids: fc.array(fc.nat({ max: 2 ** 32 - 1 }), { maxLength: 50 }),
      max_tokens: fc.nat({ max: 2 ** 32 - 1 }),
      n: fc.nat({ max: 1_000 }),
      stop: fc.array(fc.string()),
    });
    fc.assert(
      fc.property(requests, fc.uint8Array({ maxLength: 3 }), fc.nat(), ({ ids, ...sampling }, noise, at) => {
        const body = bodyOf({ tokenized: prompt(ids), sampling_params: sampling });
        assert.deepEqual(read(body), [ids.length, sampling.max_tokens, Math.max(1, sampling.n), 0]);
        body.set(noise, at % (body.length - noise.length));
        const found = read(body);
        if (found !== null) assert.ok(found.every((n) => n >= -1));
      }),
      { numRuns: runs(300) },
    );
  });
});
