import assert from 'node:assert/strict';
import fc from 'fast-check';
import { bodyIn } from '../../../../sidecar/codec/body-reader.js';
import { abortRequestOf, readAbortedIds } from '../../../../sidecar/codec/engines/abort-request.js';
import { VLLM } from '../../../../sidecar/codec/engines/vllm.js';
import { framed } from '../../../../sidecar/codec/grpc-message.js';
import { decodeAbort, encodeAbort } from '../../../kit/engines/vllm-messages.js';
import { runs } from '../../../kit/mocha/effort.js';

describe('Abort', () => {
  const read = (bytes: Buffer): string[] => readAbortedIds(VLLM, bodyIn(bytes));

  it('names requests, as many as it likes', () => {
    assert.deepEqual(read(framed(encodeAbort(['a', 'b-ü']))), ['a', 'b-ü']);
    assert.deepEqual(decodeAbort(abortRequestOf(VLLM, ['a~1', 'b-ü']).subarray(5)), ['a~1', 'b-ü']);
  });

  it('names none where it is compressed, cut off or endless', () => {
    const whole = framed(encodeAbort(['a']));
    const compressed = Buffer.from(whole);
    compressed[0] = 1;
    const endless = framed(encodeAbort(Array.from({ length: 2_000 }, (_, i) => `${i}`)));
    for (const bytes of [compressed, whole.subarray(0, -1), Buffer.alloc(0), endless])
      assert.deepEqual(read(bytes), []);
  });

  it('never throws', () => {
    const anyBytes = fc.uint8Array({ maxLength: 100 });
    const check = fc.property(anyBytes, (noise) => void read(framed(Buffer.from(noise))));
    fc.assert(check, { numRuns: runs(300) });
  });
});
