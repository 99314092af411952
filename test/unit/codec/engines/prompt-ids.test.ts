import assert from 'node:assert/strict';
import fc from 'fast-check';
import { bodyIn } from '../../../../sidecar/codec/body-reader.js';
import { readPromptIds } from '../../../../sidecar/codec/engines/prompt-ids.js';
import { SGLANG } from '../../../../sidecar/codec/engines/sglang.js';
import { VLLM } from '../../../../sidecar/codec/engines/vllm.js';
import { framed } from '../../../../sidecar/codec/grpc-message.js';
import { ChunkList } from '../../../../sidecar/transport/chunk-list.js';
import { encodeRequest } from '../../../kit/engines/vllm-messages.js';
import { runs } from '../../../kit/mocha/effort.js';

const IDS = [1, 300, 128_000, 7, 2 ** 32 - 1];
const withIds = (input_ids: readonly number[], original_text = 'hello'): Buffer =>
  framed(encodeRequest({ request_id: 'r-1', tokenized: { original_text, input_ids: [...input_ids] } }));
const withText = (text: string): Buffer => framed(encodeRequest({ request_id: 'r-1', text }));

/** The ids that are read, or why none are. */
function read(body: Buffer, tokens = 8, codec = VLLM): readonly number[] | string {
  const ids = new Uint32Array(tokens);
  const count = readPromptIds(codec, bodyIn(body), ids);
  return typeof count === 'string' ? count : [...ids.subarray(0, count)];
}

describe('readPromptIds', () => {
  it('reads as many ids as there is room for', () => {
    assert.deepEqual(read(withIds(IDS)), IDS);
    assert.deepEqual(read(withIds(IDS), 5), IDS);
    assert.deepEqual(read(withIds(IDS), 2), IDS.slice(0, 2));
    assert.deepEqual(read(withIds(IDS), 8, SGLANG), IDS);
  });

  it('reads ids that each have a field of their own, as old encoders write them', () => {
    const unpacked = Buffer.from([0x10, 1, 0x10, 0xac, 2, 0x10, 7]);
    const body = framed(Buffer.concat([Buffer.from([0x12, unpacked.length]), unpacked]));
    assert.deepEqual(read(body), [1, 300, 7]);
    assert.deepEqual(read(body, 2), [1, 300]);
  });

  it('passes over a long text before them, however the request is cut into pieces', () => {
    const body = withIds(IDS, 'x'.repeat(70_000));
    for (const size of [1_000, 4_099, 70_035]) {
      const pieces = new ChunkList();
      for (let at = 0; at < body.length; at += size) pieces.add(body, at, Math.min(body.length, at + size));
      const ids = new Uint32Array(8);
      const count = readPromptIds(VLLM, pieces, ids);
      assert.deepEqual([...ids.subarray(0, Number(count))], IDS);
    }
  });

  it('takes four bytes of a text for each id', () => {
    assert.deepEqual(read(withText('abcdefgh'), 1), [0x61626364]);
    assert.deepEqual(read(withText('abcdef')), [0x61626364, 0x6566]);
    assert.notDeepEqual(read(withText('abcdef')), read(withText('abcdeg')));
    assert.deepEqual(read(withText('abcdef'), 1), read(withText('abcdeg'), 1));
    assert.equal(read(withText('abcd'), 8, SGLANG), 'absent');
  });

  it('says why there is nothing to read', () => {
    const compressed = withIds(IDS);
    compressed[0] = 1;
    const noMessage = withIds(IDS);
    noMessage[0] = 9;
    const cutId = framed(Buffer.from([0x12, 3, 0x12, 1, 0x80]));
    const group = framed(Buffer.from([0x12, 1, 0x13]));
    for (const [body, why] of [
      [Buffer.alloc(0), 'absent'],
      [framed(Buffer.alloc(0)), 'absent'],
      [withIds([]), 'absent'],
      [compressed, 'compressed'],
      [noMessage, 'malformed'],
      [cutId, 'malformed'],
      [group, 'malformed'],
    ] as const)
      assert.equal(read(body), why, body.toString('hex'));
  });

  it('reads a request whose end is not here as far as that matters', () => {
    const body = withIds(IDS);
    const whole = body.length;
    const results = Array.from({ length: whole }, (_, bytes) => read(body.subarray(0, bytes), 3));
    const first = results.findIndex((each) => typeof each !== 'string');
    assert.ok(first > 0 && first < whole - 4, `${first} of ${whole}`);
    for (const each of results.slice(1, first)) assert.equal(each, 'incomplete');
    for (const each of results.slice(first)) assert.deepEqual(each, IDS.slice(0, 3));
  });

  it('throws at nothing', () => {
    const body = fc.oneof(fc.uint8Array({ maxLength: 60 }), fc.uint8Array({ maxLength: 60 }).map(prompted));
    fc.assert(
      fc.property(body, (bytes) => void read(framed(Buffer.from(bytes)), 4)),
      { numRuns: runs(2_000) },
    );
  });
});

/** As a prompt. */
const prompted = (bytes: Uint8Array): Uint8Array => Uint8Array.from([0x12, bytes.length, ...bytes]);
