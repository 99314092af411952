import assert from 'node:assert/strict';
import fc from 'fast-check';
import type { GenerateRequest, SamplingParams } from '../../../../proto/vllm-service.js';
import { bodyIn } from '../../../../sidecar/codec/body-reader.js';
import { continuedRequest, readGenerateRequest } from '../../../../sidecar/codec/engines/generate-request.js';
import { SGLANG } from '../../../../sidecar/codec/engines/sglang.js';
import { VLLM } from '../../../../sidecar/codec/engines/vllm.js';
import { framed } from '../../../../sidecar/codec/grpc-message.js';
import { ChunkList } from '../../../../sidecar/transport/chunk-list.js';
import { decodeRequest, encodeRequest } from '../../../kit/engines/vllm-messages.js';
import { runs } from '../../../kit/mocha/effort.js';

const GREEDY: SamplingParams = { temperature: 0, max_tokens: 100 };
const aRequest = (over: Partial<GenerateRequest> = {}): GenerateRequest => ({
  request_id: 'r-1',
  tokenized: { original_text: 'hi', input_ids: [1, 300, 128_000] },
  sampling_params: GREEDY,
  stream: true,
  ...over,
});
const read = (request: GenerateRequest) => readGenerateRequest(VLLM, bodyIn(framed(encodeRequest(request))));
const obstacleOf = (more: SamplingParams): string =>
  read(aRequest({ sampling_params: { ...GREEDY, ...more } })).obstacle;

/** The ids of two tokens, 7 and 300. */
const TWO = Buffer.from([0x07, 0xac, 0x02]);

describe('readGenerateRequest', () => {
  it('reads what another engine needs', () => {
    const { requestId, obstacle, maxTokens, minTokens } = read(aRequest());
    assert.deepEqual([requestId, obstacle, maxTokens, minTokens], ['r-1', '', 100, -1]);
  });

  it('takes what is exact at a seam', () => {
    for (const more of [
      { repetition_penalty: 1.2 },
      { logit_bias: { 5: 2.5 } },
      { logprobs: 3 },
      { min_tokens: 7, ignore_eos: true, stop_token_ids: [2, 3] },
      { n: 1, seed: 4, top_p: 0.9, top_k: 40 },
      { frequency_penalty: 0, presence_penalty: -0 },
    ])
      assert.equal(obstacleOf(more), '', JSON.stringify(more));
  });

  it('names what is not', () => {
    const refused: readonly (readonly [SamplingParams, RegExp])[] = [
      [{ temperature: 0.7 }, /temperature is not 0/],
      [{ temperature: 1e-40 }, /temperature is not 0/],
      [{ n: 2 }, /n is more than 1/],
      [{ presence_penalty: 0.1 }, /presence_penalty/],
      [{ frequency_penalty: -0.1 }, /frequency_penalty/],
      [{ stop: ['\n'] }, /has stop/],
      [{ json_schema: '{}' }, /json_schema/],
      [{ regex: 'a+' }, /regex/],
      [{ grammar: 'x' }, /grammar/],
      [{ structural_tag: 'x' }, /structural_tag/],
      [{ json_object: true }, /json_object/],
      [{ prompt_logprobs: 1 }, /prompt_logprobs/],
      [{ truncate_prompt_tokens: 5 }, /truncate_prompt_tokens/],
      [{ max_tokens: 0 }, /max_tokens is 0/],
    ];
    for (const [more, why] of refused) assert.match(obstacleOf(more), why);
  });

  it('tells what another engine could go on with in other tokens, or could not at all', () => {
    const facts = (more: SamplingParams): readonly [string, boolean, boolean] => {
      const { refusal, isGreedy, fields } = read(aRequest({ sampling_params: { max_tokens: 9, ...more } }));
      return [refusal, isGreedy, fields !== null];
    };
    for (const more of [{}, { temperature: 0.7 }, { temperature: 0, presence_penalty: 1 }, { stop: ['a'] }])
      assert.deepEqual(facts(more), ['', false, true], JSON.stringify(more));
    for (const more of [{}, { stop: ['a'] }, { frequency_penalty: 0 }])
      assert.deepEqual(facts({ temperature: 0, ...more }), ['', true, true], JSON.stringify(more));
    for (const [more, why] of [
      [{ n: 2 }, /n is more than 1/],
      [{ temperature: 1, stop: ['a'], json_schema: '{}' }, /has json_schema/],
      [{ prompt_logprobs: 1 }, /prompt_logprobs/],
      [{ max_tokens: 0 }, /max_tokens is 0/],
    ] as const) {
      assert.match(facts(more)[0], why);
      assert.equal(facts(more)[2], false);
    }
    const { refusal, isGreedy, fields } = read(aRequest({ sampling_params: null }));
    assert.deepEqual([refusal, isGreedy, fields !== null], ['', false, true], 'as with empty ones');
  });

  it('reads what ends an answer beside the end of the model', () => {
    const read14 = (more: SamplingParams) => read(aRequest({ sampling_params: { ...GREEDY, ...more } }));
    assert.deepEqual(read14({ stop_token_ids: [2, 300] }).stopTokens, [2, 300]);
    assert.deepEqual([read14({}).stopTokens, read14({}).ignoresEnd], [[], false]);
    assert.equal(read14({ ignore_eos: true }).ignoresEnd, true);
    assert.deepEqual([read14({}).hasStopText, read14({ stop: ['a'] }).hasStopText], [false, true]);
    const many = read14({ stop_token_ids: Array.from({ length: 10_000 }, (_, i) => i + 128) });
    assert.deepEqual([many.stopTokens, many.obstacle], [null, ''], 'too many: exact all the same');
  });

  it('takes no temperature for none said', () => {
    assert.match(read(aRequest({ sampling_params: { max_tokens: 5 } })).obstacle, /temperature/);
    const { sampling_params: _, ...without } = aRequest();
    assert.match(read(without).obstacle, /temperature/);
  });

  it('needs token ids', () => {
    const { tokenized: _, ...without } = aRequest();
    assert.match(read({ ...without, text: 'hi' }).obstacle, /text in place of token ids/);
    assert.match(read(without).obstacle, /no token ids/);
  });

  it('refuses fields that it does not know, and those that stand twice', () => {
    const bytes = encodeRequest(aRequest());
    const withField = (...more: number[]) =>
      readGenerateRequest(VLLM, bodyIn(framed(Buffer.concat([bytes, Buffer.from(more)])))).obstacle;
    assert.match(withField(0xf8, 0x06, 1), /unknown field \(111\)/);
    assert.match(withField(0x22, 0), /cannot be read/, 'sampling_params again');
    assert.match(withField(0x0a, 1, 65), /cannot be read/, 'request_id again');
    assert.match(withField(0x12, 0), /cannot be read/, 'tokenized again');
  });

  it('refuses what is compressed, cut off, or two messages', () => {
    const whole = framed(encodeRequest(aRequest()));
    const compressed = Buffer.from(whole);
    compressed[0] = 1;
    for (const body of [compressed, whole.subarray(0, -1), Buffer.concat([whole, whole]), Buffer.alloc(0)])
      assert.match(readGenerateRequest(VLLM, bodyIn(body)).obstacle, /cannot be read/);
  });

  it('leaves an id out that is too long to be followed', () => {
    assert.equal(read(aRequest({ request_id: 'x'.repeat(513) })).requestId, '');
  });

  it('reads the id alone where an engine is not resumed', () => {
    const { requestId, obstacle } = readGenerateRequest(SGLANG, bodyIn(framed(encodeRequest(aRequest()))));
    assert.equal(requestId, 'r-1');
    assert.match(obstacle, /not resumed/);
  });

  it('is bounded on hostile bytes, and never throws', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), fc.nat(300), (noise, at) => {
        const bytes = encodeRequest(aRequest());
        const cut = Math.min(at, bytes.length);
        for (const body of [noise, Buffer.concat([bytes.subarray(0, cut), noise])])
          readGenerateRequest(VLLM, bodyIn(framed(Buffer.from(body))));
      }),
      { numRuns: runs(500) },
    );
    const many = Buffer.concat(Array.from({ length: 100 }, () => Buffer.from([0x28, 1])));
    assert.match(readGenerateRequest(VLLM, bodyIn(framed(many))).obstacle, /cannot be read/);
  });
});

describe('continuedRequest', () => {
  const continued = (
    request: GenerateRequest,
    ids: Buffer = TWO,
    count = 2,
    isDrawn = false,
  ): GenerateRequest => {
    const body = bodyIn(framed(encodeRequest(request)));
    const facts = readGenerateRequest(VLLM, body);
    assert.equal(facts.refusal, '');
    if (!isDrawn) assert.equal(facts.obstacle, '');
    const bytes = continuedRequest(VLLM, body, facts, { requestId: 'r-1~1', ids, count, isDrawn });
    assert.equal(bytes.readUInt32BE(1), bytes.length - 5);
    return decodeRequest(bytes.subarray(5));
  };

  it('adds the tokens to the prompt, takes them off the limits, and has an id of its own', () => {
    const request = aRequest({ sampling_params: { ...GREEDY, min_tokens: 10, repetition_penalty: 1.5 } });
    const { request_id, tokenized, sampling_params, stream } = continued(request);
    assert.equal(request_id, 'r-1~1');
    assert.deepEqual(tokenized, { original_text: 'hi', input_ids: [1, 300, 128_000, 7, 300] });
    assert.deepEqual([sampling_params!.max_tokens, sampling_params!.min_tokens], [98, 8]);
    assert.equal(sampling_params!['repetition_penalty'], 1.5);
    assert.equal(stream, true);
  });

  it('never asks for fewer than none', () => {
    const request = aRequest({ sampling_params: { ...GREEDY, min_tokens: 1 } });
    assert.equal(continued(request).sampling_params!.min_tokens, 0);
  });

  it('draws by chance with a seed of its own, the same one each time', () => {
    const seeded = aRequest({ sampling_params: { temperature: 1, max_tokens: 100, seed: 2_147_483_647 } });
    assert.equal(continued(seeded, TWO, 2, true).sampling_params!['seed'], 1);
    const without = aRequest({ sampling_params: { temperature: 1, max_tokens: 100 } });
    assert.equal(continued(without, TWO, 2, true).sampling_params!['seed'] ?? undefined, undefined);
    const greedy = aRequest({ sampling_params: { ...GREEDY, seed: 7 } });
    assert.equal(continued(greedy).sampling_params!['seed'], 7);
  });

  it('has parameters only where the request has', () => {
    const { tokenized, sampling_params } = continued(aRequest({ sampling_params: null }), TWO, 2, true);
    assert.deepEqual([tokenized!.input_ids, sampling_params ?? null], [[1, 300, 128_000, 7, 300], null]);
  });

  it('asks for one token at least, where an engine has made more than it was asked for', () => {
    const request = aRequest({ sampling_params: { temperature: 0, max_tokens: 1 } });
    assert.equal(continued(request).sampling_params!.max_tokens, 1);
  });

  it('leaves limits out that the request has not', () => {
    const { sampling_params } = continued(aRequest({ sampling_params: { temperature: 0 } }));
    assert.equal(sampling_params!.max_tokens ?? 0, 0);
  });

  it('is the request with another id before the first token', () => {
    const request = aRequest();
    const all = { ...decodeRequest(encodeRequest(request)), request_id: 'r-1~1' };
    assert.deepEqual(continued(request, Buffer.alloc(0), 0), all);
  });

  it('works behind 70 KB of text and on many ids, in whatever pieces they come', () => {
    const input = Array.from({ length: 40_000 }, (_, i) => i % 128_000);
    const request = aRequest({ tokenized: { original_text: 'x'.repeat(70_000), input_ids: input } });
    const bytes = framed(encodeRequest(request));
    const body = new ChunkList();
    for (let at = 0; at < bytes.length; at += 5_000) body.add(bytes, at, Math.min(bytes.length, at + 5_000));
    const facts = readGenerateRequest(VLLM, body);
    const { tokenized } = decodeRequest(
      continuedRequest(VLLM, body, facts, { requestId: 'r', ids: TWO, count: 2, isDrawn: false }).subarray(5),
    );
    assert.deepEqual(tokenized!.input_ids, [...input, 7, 300]);
    assert.equal(tokenized!.original_text!.length, 70_000);
  });

  it('keeps whatever else an encoder wrote, in whatever order', () => {
    fc.assert(
      fc.property(
        fc.array(fc.nat(200_000), { minLength: 1, maxLength: 40 }),
        fc.array(fc.nat(200_000), { maxLength: 40 }),
        fc.string(),
        fc.integer({ min: 41, max: 4_000 }),
        (prompt, more, text, max) => {
          const request = aRequest({
            tokenized: { original_text: text, input_ids: prompt },
            sampling_params: { temperature: 0, max_tokens: max },
          });
          const packed = encodeRequest({ tokenized: { input_ids: more } });
          // The tag and length of the message, and those of its list.
          const ids = more.length === 0 ? Buffer.alloc(0) : listIn(packed);
          const { tokenized, sampling_params } = continued(request, ids, more.length);
          assert.deepEqual(tokenized, { original_text: text, input_ids: [...prompt, ...more] });
          assert.equal(sampling_params!.max_tokens, max - more.length);
        },
      ),
      { numRuns: runs(200) },
    );
  });
});

function listIn(message: Buffer): Buffer {
  const after = (at: number): number => (message[at]! < 0x80 ? at + 1 : after(at + 1));
  return message.subarray(after(after(1) + 1));
}
