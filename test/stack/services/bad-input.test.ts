import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { Client, credentials, status } from '@grpc/grpc-js';
import fc from 'fast-check';
import { type Method, protocols } from '../../../proto/load.js';
import type {
  InferTensor,
  ModelInferRequest,
  ModelInferResponse,
  ModelReadyRequest,
} from '../../../proto/messages.js';
import { LimitError } from '../../../proto/wire.js';
import { afterTest } from '../../kit/mocha/after-test.js';
import { failure, type Harness, startHarness, temporaryDirectory } from '../../kit/service/model-server.js';
import { arithmeticModel, identityModel, lookupModel, putModel } from '../../kit/service/tiny-models.js';

const floats = (...values: number[]) => new Uint8Array(new Float32Array(values).buffer);
const a = (over: Partial<InferTensor> = {}): InferTensor => ({
  name: 'a',
  datatype: 'FP32',
  shape: [1, 2],
  ...over,
});
const b = (over: Partial<InferTensor> = {}): InferTensor => ({
  name: 'b',
  datatype: 'FP32',
  shape: [1, 2],
  ...over,
});
const pair = (over: Partial<ModelInferRequest> = {}): ModelInferRequest => ({
  model_name: 'pair',
  inputs: [a(), b()],
  raw_input_contents: [floats(1, 2), floats(3, 4)],
  ...over,
});
const text = (over: Partial<InferTensor>, raw?: Buffer): ModelInferRequest => ({
  model_name: 'text',
  inputs: [{ name: 'x', datatype: 'BYTES', shape: [1], ...over }],
  ...(raw ? { raw_input_contents: [raw] } : {}),
});
const bools = (over: Partial<InferTensor>, raw?: Buffer): ModelInferRequest => ({
  ...text({ datatype: 'BOOL', ...over }, raw),
  model_name: 'bools',
});
const small = (over: Partial<InferTensor>): ModelInferRequest => ({
  ...text({ datatype: 'INT8', ...over }),
  model_name: 'small',
});

/** What is wrong, the request, and all that the message must say. */
const cases: [string, ModelInferRequest, ...RegExp[]][] = [
  ['a wrong tensor name', pair({ inputs: [a({ name: 'A' }), b()] }), /found input 'A', expected 'a', 'b'/],
  [
    'a missing tensor',
    pair({ inputs: [a()], raw_input_contents: [floats(1, 2)] }),
    /input 'b' is missing, expected FP32 \[-1,2\]/,
  ],
  ['no tensor at all', { model_name: 'pair' }, /input 'a' is missing/],
  ['a tensor given twice', pair({ inputs: [a(), a()] }), /input 'a' is given twice/],
  [
    'a wrong datatype',
    pair({ inputs: [a({ datatype: 'INT32' }), b()] }),
    /input 'a': found datatype 'INT32', expected FP32/,
  ],
  [
    'an unknown datatype',
    pair({ inputs: [a({ datatype: 'fp32' }), b()] }),
    /found datatype 'fp32', expected FP32/,
  ],
  [
    'a wrong rank',
    pair({ inputs: [a({ shape: [2] }), b()] }),
    /input 'a': found shape \[2\] of rank 1, expected \[-1,2\] of rank 2/,
  ],
  [
    'a wrong shape',
    pair({ inputs: [a({ shape: [1, 3] }), b()] }),
    /input 'a': found shape \[1,3\], expected \[-1,2\]/,
  ],
  [
    'too few bytes',
    pair({ raw_input_contents: [floats(1), floats(3, 4)] }),
    /input 'a': found 4 raw bytes, expected 8 \(2 × 4 of FP32\)/,
  ],
  [
    'too many bytes',
    pair({ raw_input_contents: [floats(1, 2), floats(3, 4, 5)] }),
    /input 'b': found 12 raw bytes, expected 8/,
  ],
  [
    'raw and typed mixed',
    pair({ inputs: [a(), b({ contents: { fp32_contents: [1, 2] } })] }),
    /contents field must not be specified when using raw_input_contents for 'b' for model 'pair'/,
  ],
  [
    'too few raw entries',
    pair({ raw_input_contents: [floats(1, 2)] }),
    /found 1 raw_input_contents, expected 2.*'a', 'b'/,
  ],
  [
    'too many raw entries',
    pair({ raw_input_contents: [floats(1, 2), floats(1, 2), floats()] }),
    /found 3 raw_input_contents/,
  ],
  ['no data for a tensor', pair({ raw_input_contents: [] }), /input 'a': found no data, expected 2 elements/],
  [
    'the wrong typed field',
    pair({ inputs: [a({ contents: { int_contents: [1, 2] } }), b()], raw_input_contents: [] }),
    /input 'a': found int_contents, expected fp32_contents for FP32/,
  ],
  [
    'two typed fields',
    pair({
      inputs: [a({ contents: { fp32_contents: [1, 2], fp64_contents: [1] } }), b()],
      raw_input_contents: [],
    }),
    /found fp64_contents, expected fp32_contents/,
  ],
  [
    'too few typed elements',
    pair({ inputs: [a({ contents: { fp32_contents: [1] } }), b()], raw_input_contents: [] }),
    /found 1 elements in fp32_contents, expected 2/,
  ],
  [
    'a negative dimension',
    pair({ inputs: [a({ shape: [-1, 2] }), b()] }),
    /input 'a': found shape \[-1,2\], expected \[-1,2\]/,
  ],
  [
    'a dimension of 2^62',
    pair({ inputs: [a({ shape: ['4611686018427387904', 2] }), b()] }),
    /found shape \[4611686018427387904,2\]/,
  ],
  [
    'a dimension of 2^31',
    pair({ inputs: [a({ shape: [2 ** 31, 2] }), b()] }),
    /found shape \[2147483648,2\], expected at most/,
  ],
  [
    'a product that overflows 64 bits',
    {
      model_name: 'cube',
      inputs: [{ name: 'x', datatype: 'BYTES', shape: ['4294967296'] }],
      raw_input_contents: [Buffer.alloc(0)],
    },
    /found shape \[4294967296\], expected at most/,
  ],
  [
    'a zero that hides an absurd dimension',
    { ...pair(), inputs: [a({ shape: [0, '9223372036854775807'] }), b()] },
    /found shape \[0,9223372036854775807\], expected \[-1,2\]/,
  ],
  ['a rank of 64', pair({ inputs: [a({ shape: new Array(64).fill(1) }), b()] }), /of rank 64, expected/],
  [
    'dimensions of one name and two sizes',
    pair({ inputs: [a({ shape: [2, 2] }), b()], raw_input_contents: [floats(1, 2, 3, 4), floats(1, 2)] }),
    /input 'b': found 1 in dimension 0 \('rows'\), expected 2 as in input 'a'/,
  ],
  [
    'an unknown output',
    pair({ outputs: [{ name: 'total' }] }),
    /found output 'total', expected one of 'sum', 'product'/,
  ],
  [
    'an output asked for twice',
    pair({ outputs: [{ name: 'sum' }, { name: 'sum' }] }),
    /output 'sum' is asked for twice/,
  ],
  [
    'text that is not UTF-8',
    text({}, Buffer.from([2, 0, 0, 0, 0xc3, 0x28])),
    /input 'x': BYTES element 0: found bytes that are not UTF-8/,
  ],
  [
    'typed text that is not UTF-8',
    text({ contents: { bytes_contents: [Buffer.from([0xff])] } }),
    /BYTES element 0: found bytes that are not UTF-8/,
  ],
  [
    'text cut off inside an element',
    text({}, Buffer.from([9, 0, 0, 0, 65])),
    /BYTES element 0: found 1 bytes left, expected 9/,
  ],
  [
    'text with a length of 4 GiB',
    text({}, Buffer.from([255, 255, 255, 255, 65])),
    /found 1 bytes left, expected 4294967295/,
  ],
  [
    'text cut off inside a length',
    text({ shape: [2] }, Buffer.from([1, 0, 0, 0, 65, 1, 0, 0])),
    /BYTES element 1: found 0 bytes left/,
  ],
  [
    'bytes after the last text',
    text({}, Buffer.from([1, 0, 0, 0, 65, 66])),
    /found 6 raw bytes, expected 5 for 1 BYTES elements/,
  ],
  [
    'more text elements than bytes',
    text({ shape: [2 ** 18] }, Buffer.alloc(4)),
    /found 4 raw bytes, expected at least 1048576/,
  ],
  ['a BOOL that is 7', bools({}, Buffer.from([7])), /input 'x': BOOL element 0: found 7, expected 0 or 1/],
  [
    'an INT8 of 300',
    small({ contents: { int_contents: [300] } }),
    /INT8 element 0: found 300, expected an integer from -128 to 127/,
  ],
];

/** Where a parameter is, the request with it, the code and what the answer must say. */
const parameters: [string, ModelInferRequest, status, RegExp][] = [
  [
    'a sequence by number',
    pair({ parameters: { sequence_id: { uint64_param: 7 } } }),
    status.UNIMPLEMENTED,
    /^model 'pair': found parameter 'sequence_id' \(7\), which is not served; expected none$/,
  ],
  [
    'a sequence by name',
    pair({ parameters: { sequence_id: { string_param: 'call-7' } } }),
    status.UNIMPLEMENTED,
    /'sequence_id' \(call-7\)/,
  ],
  [
    'the start of a sequence',
    pair({ parameters: { sequence_start: { bool_param: true } } }),
    status.UNIMPLEMENTED,
    /'sequence_start'/,
  ],
  ['a priority', pair({ parameters: { priority: { uint64_param: 1 } } }), status.UNIMPLEMENTED, /'priority'/],
  [
    'a timeout',
    pair({ parameters: { timeout: { int64_param: 5000 } } }),
    status.UNIMPLEMENTED,
    /'timeout' \(5000\)/,
  ],
  [
    'an unknown parameter',
    pair({ parameters: { temperature: { double_param: 0.7 } } }),
    status.INVALID_ARGUMENT,
    /^model 'pair': found parameter 'temperature', which is not known; expected only binary_data_output, content_type, /,
  ],
  [
    'a parameter named like an inherited property',
    pair({ parameters: { constructor: { bool_param: true } } }),
    status.INVALID_ARGUMENT,
    /found parameter 'constructor'/,
  ],
  [
    'shared memory for an input',
    pair({ inputs: [a({ parameters: { shared_memory_region: { string_param: 'r' } } }), b()] }),
    status.UNIMPLEMENTED,
    /^model 'pair', input 'a': found parameter 'shared_memory_region' \(r\)/,
  ],
  [
    'an unknown parameter of an input',
    pair({ inputs: [a(), b({ parameters: { scale: { int64_param: 2 } } })] }),
    status.INVALID_ARGUMENT,
    /^model 'pair', input 'b': found parameter 'scale', .*expected only binary_data_size, content_type$/,
  ],
  [
    'classes of an output',
    pair({ outputs: [{ name: 'sum', parameters: { classification: { int64_param: 3 } } }] }),
    status.UNIMPLEMENTED,
    /^model 'pair', output 'sum': found parameter 'classification' \(3\), which is not served/,
  ],
];

/** Bytes as the field of that number. */
function field(number: number, bytes: Uint8Array): Buffer {
  const head = [number * 8 + 2];
  let length = bytes.length;
  for (; length >= 0x80; length >>>= 7) head.push((length & 0x7f) | 0x80);
  return Buffer.concat([Buffer.from([...head, length]), bytes]);
}

/** A request of one input whose contents are the fields given. */
function wired(model: string, datatype: string, count: number, ...contents: Buffer[]): Buffer {
  const { ModelInfer } = protocols().inference;
  const shape = ModelInfer.requestSerialize({
    model_name: model,
    inputs: [{ name: 'x', datatype, shape: [count] }],
  });
  // The input is the last field of the request: its contents go behind its shape.
  const head = field(1, Buffer.from(model));
  const input = shape.subarray(head.length + 2);
  return Buffer.concat([head, field(5, Buffer.concat([input, field(5, Buffer.concat(contents))]))]);
}

/** 10 MiB of two bytes each: the field of that number, with nothing in it. */
const empties = (number: number): Buffer => Buffer.alloc(10 * 2 ** 20, Buffer.from([number * 8 + 2, 0]));

/** What there is too much of, the message, and what the answer must say. */
const tooMany: [string, Buffer, RegExp][] = [
  ['millions of inputs', empties(5), /^request: inputs: found 4097 or more, expected at most 4096$/],
  ['millions of outputs', empties(6), /outputs: found 4097 or more, expected at most 4096/],
  ['millions of raw tensors', empties(7), /raw_input_contents: found 4097 or more, expected at most 4096/],
  ['millions of parameters', empties(4), /parameters: found 257 or more, expected at most 256/],
  ['a name millions of times', empties(1), /fields in all: found 65537 or more, expected at most 65536/],
  ['millions of unknown fields', empties(15), /fields in all: found 65537 or more/],
  [
    'millions of dimensions',
    field(5, field(3, Buffer.alloc(10 * 2 ** 20, 1))),
    /inputs.shape: found 65 or more, expected at most 64/,
  ],
  [
    'millions of dimensions one by one',
    field(5, Buffer.alloc(10 * 2 ** 20, Buffer.from([0x18, 1]))),
    /inputs.shape: found 65 or more/,
  ],
  ['millions of parameters of an input', field(5, empties(4)), /inputs.parameters: found 257 or more/],
  ['millions of parameters of an output', field(6, empties(2)), /outputs.parameters: found 257 or more/],
  ['contents given millions of times', field(5, empties(5)), /fields in all: found 65537 or more/],
  ['millions of empty lists', field(5, field(5, empties(6))), /fields in all: found 65537 or more/],
  [
    'millions of empty texts',
    field(5, field(5, empties(8))),
    /inputs.contents.bytes_contents: found 262145 or more, expected at most 262144/,
  ],
  [
    'numbers that grow eightfold',
    field(5, field(5, field(3, Buffer.alloc(10 * 2 ** 20, 1)))),
    /inputs.contents.int64_contents: found contents of 83886080 bytes or more once decoded, expected at most 67108864 in all/,
  ],
];

describe('bad input to a model server', () => {
  let models: string;
  let harness: Harness;

  before(async () => {
    models = temporaryDirectory();
    const row = { shape: [1, 2], values: [1, 2] };
    putModel(models, 'pair', arithmeticModel(), {
      golden: { inputs: { a: row, b: row }, outputs: { sum: { values: [2, 4] } } },
    });
    const one = (value: unknown) => ({
      golden: { inputs: { x: { shape: [1], values: [value] } }, outputs: { y: { values: [value] } } },
    });
    putModel(models, 'text', identityModel('BYTES'), one('t'));
    putModel(models, 'cube', identityModel('BYTES'), one('t'));
    putModel(models, 'bools', identityModel('BOOL'), one(true));
    putModel(models, 'small', identityModel('INT8'), one(-3));
    putModel(models, 'floats', identityModel('FP32'), one(1));
    const index = { inputs: { i: { shape: [1, 1], values: [3] } }, outputs: { y: { values: [13] } } };
    putModel(models, 'lookup', lookupModel(), { golden: index, batching: { max_batch: 8 } });
    putModel(models, 'broken', Buffer.from('not a model'), one('t'));
    harness = await startHarness(models);
  });
  after(async () => {
    await harness.stop();
    rmSync(models, { recursive: true });
  });

  for (const [what, request, ...says] of cases) {
    it(`answers ${what} with INVALID_ARGUMENT that says what was found and expected`, async () => {
      const { code, details } = await failure(harness.client.infer(request));
      assert.equal(code, status.INVALID_ARGUMENT, details);
      for (const pattern of says) assert.match(details, pattern);
      assert.match(details, /'(pair|text|cube|bools|small)'/);
    });
  }

  it('still answers a good request after all of them', async () => {
    const { raw_output_contents } = await harness.client.infer(pair({ id: 'q-1' }));
    assert.deepEqual(
      raw_output_contents.map((r) => [...new Float32Array(new Uint8Array(r).buffer)]),
      [
        [4, 6],
        [3, 8],
      ],
    );
  });

  for (const [what, request, expected, says] of parameters) {
    it(`does not ignore ${what}: the answer names the parameter`, async () => {
      const { code, details } = await failure(harness.client.infer(request));
      assert.equal(code, expected, details);
      assert.match(details, says);
    });
  }

  it('takes parameters that change nothing over gRPC, and values that ask for nothing', async () => {
    const { raw_output_contents } = await harness.client.infer(
      pair({
        parameters: {
          content_type: { string_param: 'np' },
          binary_data_output: { bool_param: true },
          triton_enable_empty_final_response: { bool_param: true },
          sequence_id: { uint64_param: 0 },
          sequence_start: { bool_param: false },
          priority: { uint64_param: 0 },
          timeout: {},
        },
        inputs: [
          a({ parameters: { content_type: { string_param: 'np' }, binary_data_size: { int64_param: 8 } } }),
          b(),
        ],
        outputs: [
          {
            name: 'sum',
            parameters: { binary_data: { bool_param: false }, classification: { int64_param: 0 } },
          },
        ],
      }),
    );
    assert.equal(raw_output_contents.length, 1);
  });

  it('answers an unknown model and an unknown version with NOT_FOUND', async () => {
    const { inference } = protocols();
    const model = await failure(harness.client.infer(pair({ model_name: 'nobody' })));
    assert.deepEqual(model, {
      code: status.NOT_FOUND,
      details: "Request for unknown model: 'nobody' is not found",
    });
    const version = await failure(harness.client.infer(pair({ model_version: '7' })));
    assert.equal(version.code, status.NOT_FOUND);
    assert.match(version.details, /^Request for unknown model: 'pair' version 7 is not found/);
    for (const method of [inference.ModelReady, inference.ModelMetadata] as Method<
      ModelReadyRequest,
      unknown
    >[]) {
      assert.equal((await failure(harness.client.call(method, { name: 'nobody' }))).code, status.NOT_FOUND);
      assert.equal(
        (await failure(harness.client.call(method, { name: 'pair', version: '2' }))).code,
        status.NOT_FOUND,
      );
    }
  });

  it('keeps to itself the values that break a run: INTERNAL for one, answers for its batch', async () => {
    const lookup = (i: number) =>
      harness.client.infer({
        model_name: 'lookup',
        inputs: [{ name: 'i', datatype: 'INT64', shape: [1, 1], contents: { int64_contents: [i] } }],
      });
    const [first, bad, last] = await Promise.all([lookup(0), failure(lookup(99)), lookup(2)]);
    assert.equal(first.raw_output_contents[0]!.length, 4);
    assert.equal(Buffer.from(first.raw_output_contents[0]!).readFloatLE(), 10);
    assert.equal(bad.code, status.INTERNAL);
    assert.match(bad.details, /model 'lookup': inference failed: .*Gather/);
    assert.equal(Buffer.from(last.raw_output_contents[0]!).readFloatLE(), 12);
  });

  it('answers every truncation of a request with a clean error or, where it still is a message, on its merits', async () => {
    const { ModelInfer } = protocols().inference;
    const whole = ModelInfer.requestSerialize(pair());
    const codes = new Set<number>();
    for (let length = 0; length < whole.length; length++) {
      const { code, details } = await failure(harness.client.bytes(ModelInfer, whole.subarray(0, length)));
      codes.add(code);
      assert.ok(
        code === status.INVALID_ARGUMENT || code === status.NOT_FOUND,
        `${length} bytes: ${code} ${details}`,
      );
    }
    assert.ok(codes.has(status.INVALID_ARGUMENT));
  });

  for (const [what, request, says] of tooMany) {
    it(`refuses ${what} before it is decoded, in no time and no memory`, async () => {
      const { ModelInfer } = protocols().inference;
      const before = process.memoryUsage().rss;
      const startedMs = performance.now();
      assert.throws(() => ModelInfer.requestDeserialize(request), LimitError);
      const spentMs = performance.now() - startedMs;
      const grownMb = (process.memoryUsage().rss - before) / 2 ** 20;
      assert.ok(spentMs < 1000, `${spentMs} ms`);
      assert.ok(grownMb < 64, `${grownMb} MB`);
      const { code, details } = await failure(harness.client.bytes(ModelInfer, request));
      assert.equal(code, status.INVALID_ARGUMENT);
      assert.match(details, says);
    });
  }

  it('takes typed contents of 64 MiB, and refuses what is more once decoded', async () => {
    const values = Buffer.alloc(64 * 2 ** 20);
    for (let at = 0; at < values.length; at += 4) values.writeFloatLE(at, at);
    const answer = (await harness.client.bytes(
      protocols().inference.ModelInfer,
      wired('floats', 'FP32', values.length / 4, field(6, values)),
    )) as ModelInferResponse;
    assert.ok(values.equals(answer.raw_output_contents[0]!));
    const more = wired('floats', 'FP32', 1, field(6, values), field(1, Buffer.from([1])));
    const { code, details } = await failure(harness.client.bytes(protocols().inference.ModelInfer, more));
    assert.equal(code, status.INVALID_ARGUMENT);
    assert.match(
      details,
      /inputs.contents.bool_contents: found contents of 67108865 bytes or more once decoded, expected at most 67108864/,
    );
  });

  it('refuses a request beside ModelInfer that is longer than a name and a version', async () => {
    const { inference, health } = protocols();
    const long = Buffer.alloc(64 * 1024 + 2);
    for (let at = 0; at < long.length; at += 2) long[at] = 0x0a;
    for (const method of [...Object.values(inference), health.Check]) {
      if (method === inference.ModelInfer) continue;
      const { code, details } = await failure(harness.client.bytes(method, long));
      assert.equal(code, status.INVALID_ARGUMENT, method.path);
      assert.match(details, /^request: found 65538 bytes, expected at most 65536$/);
    }
  });

  it('refuses more BYTES elements than can be made into strings in a moment', async () => {
    const count = 262_144;
    const empty = (n: number) => text({ shape: [n] }, Buffer.alloc(4 * n));
    assert.deepEqual((await harness.client.infer(empty(count))).outputs[0]!.shape, [String(count)]);
    const { code, details } = await failure(harness.client.infer(empty(count + 1)));
    assert.equal(code, status.INVALID_ARGUMENT);
    assert.match(details, /input 'x': found 262145 BYTES elements, expected at most 262144/);
  });

  it('answers bytes that are no message with INVALID_ARGUMENT on every method', async () => {
    const { inference, health } = protocols();
    const garbage = Buffer.from([0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f]);
    for (const method of [...Object.values(inference), health.Check]) {
      const { code, details } = await failure(harness.client.bytes(method, garbage));
      assert.equal(code, status.INVALID_ARGUMENT, method.path);
      assert.match(details, /found 6 bytes that are no valid message/);
    }
  });

  it('survives names with lone surrogates, control characters and megabytes', async () => {
    const { ModelInfer, ModelReady } = protocols().inference;
    const surrogate = Buffer.from([0x0a, 0x03, 0xed, 0xa0, 0x80]);
    assert.equal((await failure(harness.client.bytes(ModelReady, surrogate))).code, status.NOT_FOUND);
    const text = await failure(harness.client.bytes(ModelInfer, surrogate));
    assert.equal(text.code, status.INVALID_ARGUMENT);
    assert.match(text.details, /model_name before byte 5: found bytes that are not UTF-8/);
    for (const name of ['\r\ngrpc-status: 0', '\0', 'x'.repeat(5_000_000), '__proto__', 'constructor']) {
      assert.equal((await failure(harness.client.infer(pair({ model_name: name })))).code, status.NOT_FOUND);
      const tensor = await failure(harness.client.infer(pair({ inputs: [a({ name }), b()] })));
      assert.equal(tensor.code, status.INVALID_ARGUMENT);
      assert.ok(tensor.details.length < 2000);
    }
  });

  it('keeps its messages within what clients take as a header, whatever the name is made of', async () => {
    for (const letter of ['漢', '😀', '%', '\x7f']) {
      const { details } = await failure(harness.client.infer(pair({ model_name: letter.repeat(5000) })));
      assert.match(details, /^Request for unknown model: '/);
      const encoded = details.replace(/[^ -$&-~]/gu, (c) => '%00'.repeat(Buffer.byteLength(c)));
      assert.ok(encoded.length <= 3010, `${letter}: ${encoded.length}`);
    }
  });

  it('answers every damaged request on its merits, never as a defect of its own', async () => {
    const { ModelInfer } = protocols().inference;
    const whole = ModelInfer.requestSerialize(
      pair({
        id: 'a-b',
        inputs: [a({ contents: { fp32_contents: [1, 2] } }), b({ contents: { fp32_contents: [3, 4] } })],
        raw_input_contents: [],
        outputs: [{ name: 'sum' }],
      }),
    );
    const expected = [0, status.INVALID_ARGUMENT, status.NOT_FOUND, status.UNIMPLEMENTED];
    const change = fc.tuple(fc.nat(whole.length - 1), fc.nat(255));
    await fc.assert(
      fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 4 }), async (changes) => {
        const bytes = Buffer.from(whole);
        for (const [at, byte] of changes) bytes[at] = byte;
        const code = await harness.client.bytes(ModelInfer, bytes).then(
          () => 0,
          (error: { code: number; details: string }) => {
            assert.ok(error.details.length > 0);
            return error.code;
          },
        );
        assert.ok(expected.includes(code), `${code} to ${bytes.toString('hex')}`);
      }),
      { numRuns: 500 },
    );
    assert.equal((await harness.client.infer(pair())).raw_output_contents.length, 2);
  });

  it('refuses a small message that inflates beyond the limit, and takes one that does not', async () => {
    const gzip = new Client(harness.server.target, credentials.createInsecure(), {
      'grpc.default_compression_algorithm': 2,
      'grpc.max_send_message_length': -1,
      'grpc.use_local_subchannel_pool': 1,
    });
    const { ModelInfer } = protocols().inference;
    const call = (bytes: Buffer) =>
      new Promise<number>((resolve) => {
        gzip.makeUnaryRequest(
          ModelInfer.path,
          (b: Buffer) => b,
          ModelInfer.responseDeserialize,
          bytes,
          (error) => resolve(error === null ? 0 : error.code),
        );
      });
    afterTest(() => gzip.close());
    assert.equal(await call(ModelInfer.requestSerialize(pair())), 0);
    assert.equal(await call(empties(5)), status.INVALID_ARGUMENT);
    assert.equal(await call(Buffer.alloc(66 * 2 ** 20)), status.RESOURCE_EXHAUSTED);
  });

  it('refuses a model that did not load with UNAVAILABLE and the reason', async () => {
    const { code, details } = await failure(harness.client.infer({ ...text({}), model_name: 'broken' }));
    assert.equal(code, status.UNAVAILABLE);
    assert.match(details, /model 'broken' is not ready: .*Protobuf parsing failed/);
  });

  it('refuses a message beyond the limit with RESOURCE_EXHAUSTED and takes one of 64 MiB', async () => {
    const length = 64 * 1024 * 1024 - 8;
    const raw = Buffer.alloc(length + 4, 'a');
    raw.writeUInt32LE(length);
    const answer = await harness.client.infer({ ...text({}, raw), outputs: [{ name: 'y' }] });
    assert.equal(answer.raw_output_contents[0]!.length, length + 4);
    const { code } = await failure(harness.client.infer(text({}, Buffer.alloc(66 * 1024 * 1024))));
    assert.equal(code, status.RESOURCE_EXHAUSTED);
  });
});
