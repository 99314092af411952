import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { type ServiceError, status } from '@grpc/grpc-js';
import fc from 'fast-check';
import { type Method, protocols } from '../../../proto/load.js';
import type {
  InferParameter,
  InferTensor,
  ModelInferRequest,
  ModelInferResponse,
  ModelReadyRequest,
} from '../../../proto/messages.js';
import { LimitError } from '../../../proto/wire.js';
import { DEFAULT_SERVER } from '../../../services/model-server/transport/servers.js';
import { afterTest } from '../../kit/mocha/after-test.js';
import { EFFORT, runs } from '../../kit/mocha/effort.js';
import {
  describeOverServers,
  failure,
  type Harness,
  TestClient,
  temporaryDirectory,
} from '../../kit/service/model-server.js';
import { arithmeticModel, lookupModel, putIdentityModel, putModel } from '../../kit/service/tiny-models.js';

const { ModelInfer } = protocols().inference;
const { INTERNAL, INVALID_ARGUMENT, NOT_FOUND, RESOURCE_EXHAUSTED, UNAVAILABLE, UNIMPLEMENTED } = status;
const MIB = 2 ** 20;

const floats = (...values: number[]) => new Uint8Array(new Float32Array(values).buffer);
const tensor = (name: string, over: Partial<InferTensor> = {}): InferTensor => {
  return { name, datatype: 'FP32', shape: [1, 2], ...over };
};
const pair = (over: Partial<ModelInferRequest> = {}): ModelInferRequest => ({
  model_name: 'pair',
  inputs: [tensor('a'), tensor('b')],
  raw_input_contents: [floats(1, 2), floats(3, 4)],
  ...over,
});
/** With another first input. */
const firstOf = (over: Partial<InferTensor>, more: Partial<ModelInferRequest> = {}): ModelInferRequest =>
  pair({ inputs: [tensor('a', over), tensor('b')], ...more });
const secondOf = (over: Partial<InferTensor>): ModelInferRequest =>
  pair({ inputs: [tensor('a'), tensor('b', over)] });
/** With typed contents of the first input, and no others. */
const typed = (contents: InferTensor['contents']): ModelInferRequest =>
  firstOf({ ...(contents && { contents }) }, { raw_input_contents: [] });
const raws = (...each: number[][]): ModelInferRequest =>
  pair({ raw_input_contents: each.map((values) => floats(...values)) });
const outputs = (...each: NonNullable<ModelInferRequest['outputs']>): ModelInferRequest =>
  pair({ outputs: each });
const saying = (name: string, value: InferParameter): ModelInferRequest =>
  pair({ parameters: { [name]: value } });
const text = (over: Partial<InferTensor>, raw?: Buffer | number[], model = 'text'): ModelInferRequest => ({
  model_name: model,
  inputs: [tensor('x', { datatype: 'BYTES', shape: [1], ...over })],
  ...(raw ? { raw_input_contents: [Buffer.from(raw)] } : {}),
});
const ONE_INPUT = pair({ inputs: [tensor('a')], raw_input_contents: [floats(1, 2)] });
const HIDDEN = firstOf({ shape: [0, '9223372036854775807'] });
const TWO_ROWS = pair({
  inputs: [tensor('a', { shape: [2, 2] }), tensor('b')],
  raw_input_contents: [floats(1, 2, 3, 4), floats(1, 2)],
});
const INT8 = text({ datatype: 'INT8', contents: { int_contents: [300] } }, undefined, 'small');
const TYPED_TEXT = text({ contents: { bytes_contents: [Buffer.from([0xff])] } });
const MIXED = /contents field must not be specified when using raw_input_contents for 'b' for model 'pair'/;
const TWO_SIZES = /input 'b': found 1 in dimension 0 \('rows'\), expected 2 as in input 'a'/;
const WRONG_FIELD = /input 'a': found int_contents, expected fp32_contents for FP32/;
const NOT_UTF8 = /input 'x': BYTES element 0: found bytes that are not UTF-8/;
const ABSURD = /found shape \[0,9223372036854775807\], expected \[-1,2\]/;
const NO_BOOL = /input 'x': BOOL element 0: found 7, expected 0 or 1/;
const WRONG_RANK = /input 'a': found shape \[2\] of rank 1, expected \[-1,2\] of rank 2/;
const TWO_TYPES = { fp32_contents: [1, 2], fp64_contents: [1] };
const CUBE = text({ shape: ['4294967296'] }, Buffer.alloc(0), 'cube');
const MANY_TEXTS = text({ shape: [2 ** 18] }, Buffer.alloc(4));

/** What is wrong, the bytes of the text, what the message must say, and how many elements there are, 1 by default. */
const texts: [string, number[], RegExp, number?][] = [
  ['text that is not UTF-8', [2, 0, 0, 0, 0xc3, 0x28], NOT_UTF8],
  ['text cut off inside an element', [9, 0, 0, 0, 65], /BYTES element 0: found 1 bytes left, expected 9/],
  ['text with a length of 4 GiB', [255, 255, 255, 255, 65], /found 1 bytes left, expected 4294967295/],
  ['text cut off inside a length', [1, 0, 0, 0, 65, 1, 0, 0], /BYTES element 1: found 0 bytes left/, 2],
  ['bytes after the last text', [1, 0, 0, 0, 65, 66], /found 6 raw bytes, expected 5 for 1 BYTES elements/],
];

/** What is wrong, the request, and what the message must say. */
type Case = [string, ModelInferRequest, RegExp];
const cases: Case[] = [
  ['a wrong tensor name', firstOf({ name: 'A' }), /found input 'A', expected 'a', 'b'/],
  ['a missing tensor', ONE_INPUT, /input 'b' is missing, expected FP32 \[-1,2\]/],
  ['no tensor at all', { model_name: 'pair' }, /input 'a' is missing/],
  ['a tensor given twice', pair({ inputs: [tensor('a'), tensor('a')] }), /input 'a' is given twice/],
  ['a wrong datatype', firstOf({ datatype: 'INT32' }), /input 'a': found datatype 'INT32', expected FP32/],
  ['an unknown datatype', firstOf({ datatype: 'fp32' }), /found datatype 'fp32', expected FP32/],
  ['a wrong rank', firstOf({ shape: [2] }), WRONG_RANK],
  ['a wrong shape', firstOf({ shape: [1, 3] }), /input 'a': found shape \[1,3\], expected \[-1,2\]/],
  ['too few bytes', raws([1], [3, 4]), /input 'a': found 4 raw bytes, expected 8 \(2 × 4 of FP32\)/],
  ['too many bytes', raws([1, 2], [3, 4, 5]), /input 'b': found 12 raw bytes, expected 8/],
  ['raw and typed mixed', secondOf({ contents: { fp32_contents: [1, 2] } }), MIXED],
  ['too few raw entries', raws([1, 2]), /found 1 raw_input_contents, expected 2.*'a', 'b'/],
  ['too many raw entries', raws([1, 2], [1, 2], []), /found 3 raw_input_contents/],
  ['no data for a tensor', raws(), /input 'a': found no data, expected 2 elements/],
  ['the wrong typed field', typed({ int_contents: [1, 2] }), WRONG_FIELD],
  ['two typed fields', typed(TWO_TYPES), /found fp64_contents, expected fp32_contents/],
  ['too few typed elements', typed({ fp32_contents: [1] }), /found 1 elements in fp32_contents, expected 2/],
  ['a negative dimension', firstOf({ shape: [-1, 2] }), /input 'a': found shape \[-1,2\], expected \[-1,2\]/],
  ['a dimension of 2^62', firstOf({ shape: [`${2n ** 62n}`, 2] }), /found shape \[4611686018427387904,2\]/],
  ['a dimension of 2^31', firstOf({ shape: [2 ** 31, 2] }), /found shape \[2147483648,2\], expected at most/],
  ['a product that overflows 64 bits', CUBE, /found shape \[4294967296\], expected at most/],
  ['a zero that hides an absurd dimension', HIDDEN, ABSURD],
  ['a rank of 64', firstOf({ shape: new Array(64).fill(1) }), /of rank 64, expected/],
  ['dimensions of one name and two sizes', TWO_ROWS, TWO_SIZES],
  ['an unknown output', outputs({ name: 'total' }), /found output 'total', expected one of 'sum', 'product'/],
  ['an output asked for twice', outputs({ name: 'sum' }, { name: 'sum' }), /output 'sum' is asked for twice/],
  ...texts.map(([what, raw, says, count = 1]): Case => [what, text({ shape: [count] }, raw), says]),
  ['typed text that is not UTF-8', TYPED_TEXT, /BYTES element 0: found bytes that are not UTF-8/],
  ['more text elements than bytes', MANY_TEXTS, /found 4 raw bytes, expected at least 1048576/],
  ['a BOOL that is 7', text({ datatype: 'BOOL' }, [7], 'bools'), NO_BOOL],
  ['an INT8 of 300', INT8, /INT8 element 0: found 300, expected an integer from -128 to 127/],
];

const SHARED = { parameters: { shared_memory_region: { string_param: 'r' } } };
const SCALED = { parameters: { scale: { int64_param: 2 } } };
const CLASSES = { name: 'sum', parameters: { classification: { int64_param: -3 } } };
const NO_SHARING = /^model 'pair', input 'a': found parameter 'shared_memory_region' \(r\)/;
const NO_CLASSES = /^model 'pair', output 'sum': found classification -3, expected an integer from 1/;
const NO_SCALE =
  /^model 'pair', input 'b': found parameter 'scale', .*expected only binary_data_size, content_type$/;
const UNKNOWN =
  /^model 'pair': found parameter 'temperature', which is not known; expected only sequence_id, .*, content_type$/;
const NOT_SERVED =
  /^model 'pair': found parameter 'sequence_id' \(7\), but the model keeps no sequences \('sequence' of model.yaml\); expected none$/;

/** Where a parameter is, the request with it, and what the answer must say. */
const unserved: Case[] = [
  ['a sequence by number', saying('sequence_id', { uint64_param: 7 }), NOT_SERVED],
  ['a sequence by name', saying('sequence_id', { string_param: 'call-7' }), /'sequence_id' \(call-7\)/],
  ['shared memory for an input', firstOf(SHARED), NO_SHARING],
];
const unknown: Case[] = [
  [
    'the start of a sequence without a name',
    saying('sequence_start', { bool_param: true }),
    /without 'sequence_id'/,
  ],
  [
    'a priority that is no number',
    saying('priority', { bool_param: true }),
    /'priority' true, expected an integer/,
  ],
  ['a negative timeout', saying('timeout', { int64_param: -5 }), /'timeout' -5, expected an integer from 0/],
  ['a negative number of classes', outputs(CLASSES), NO_CLASSES],
  ['an unknown parameter', saying('temperature', { double_param: 0.7 }), UNKNOWN],
  [
    'a parameter named like an inherited property',
    saying('constructor', { bool_param: true }),
    /found parameter 'constructor'/,
  ],
  ['an unknown parameter of an input', secondOf(SCALED), NO_SCALE],
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
  const inputs = [{ name: 'x', datatype, shape: [count] }];
  const shape = ModelInfer.requestSerialize({ model_name: model, inputs });
  // The input is the last field of the request: its contents go behind its shape.
  const head = field(1, Buffer.from(model));
  const input = shape.subarray(head.length + 2);
  return Buffer.concat([head, field(5, Buffer.concat([input, field(5, Buffer.concat(contents))]))]);
}

/** 10 MiB of these bytes again and again. */
const tenMib = (...bytes: number[]): Buffer => Buffer.alloc(10 * MIB, Buffer.from(bytes));
/** 10 MiB of two bytes each: the field of that number, with nothing in it. */
const empties = (number: number): Buffer => tenMib(number * 8 + 2, 0);
const contents = (bytes: Buffer): Buffer => field(5, field(5, bytes));

const TOO_MANY_TEXTS = /inputs.contents.bytes_contents: found 262145 or more, expected at most 262144/;
const TOO_LONG_SHAPE = /inputs.shape: found 65 or more, expected at most 64/;
const TOO_LARGE =
  /inputs.contents.int64_contents: found contents of 83886080 bytes or more once decoded, expected at most 67108864 in all/;

/** What there is too much of, the message, and what the answer must say. */
const tooMany: [string, Buffer, RegExp][] = [
  ['millions of inputs', empties(5), /^request: inputs: found 4097 or more, expected at most 4096$/],
  ['millions of outputs', empties(6), /outputs: found 4097 or more, expected at most 4096/],
  ['millions of raw tensors', empties(7), /raw_input_contents: found 4097 or more, expected at most 4096/],
  ['millions of parameters', empties(4), /parameters: found 257 or more, expected at most 256/],
  ['a name millions of times', empties(1), /fields in all: found 65537 or more, expected at most 65536/],
  ['millions of unknown fields', empties(15), /fields in all: found 65537 or more/],
  ['millions of dimensions', field(5, field(3, tenMib(1))), TOO_LONG_SHAPE],
  ['millions of dimensions one by one', field(5, tenMib(0x18, 1)), /inputs.shape: found 65 or more/],
  ['millions of parameters of an input', field(5, empties(4)), /inputs.parameters: found 257 or more/],
  ['millions of parameters of an output', field(6, empties(2)), /outputs.parameters: found 257 or more/],
  ['contents given millions of times', field(5, empties(5)), /fields in all: found 65537 or more/],
  ['millions of empty lists', contents(empties(6)), /fields in all: found 65537 or more/],
  ['millions of empty texts', contents(empties(8)), TOO_MANY_TEXTS],
  ['numbers that grow eightfold', contents(field(3, tenMib(1))), TOO_LARGE],
];

describeOverServers('bad input to a model server', (startHarness, server) => {
  /** By day those of 64 MiB, and of every kind of excess, are for the server that is the default. */
  const isWhole = server === DEFAULT_SERVER || EFFORT > 1;
  const large = isWhole ? it : () => {};

  let models: string;
  let harness: Harness;

  before(async () => {
    models = temporaryDirectory();
    const row = { shape: [1, 2], values: [1, 2] };
    const sums = { inputs: { a: row, b: row }, outputs: { sum: { values: [2, 4] } } };
    putModel(models, 'pair', arithmeticModel(), { golden: sums });
    putIdentityModel(models, 'text', 'BYTES', ['t']);
    putIdentityModel(models, 'cube', 'BYTES', ['t']);
    putIdentityModel(models, 'bools', 'BOOL', [true]);
    putIdentityModel(models, 'small', 'INT8', [-3]);
    putIdentityModel(models, 'floats', 'FP32', [1]);
    const index = { inputs: { i: { shape: [1, 1], values: [3] } }, outputs: { y: { values: [13] } } };
    putModel(models, 'lookup', lookupModel(), { golden: index, batching: { max_batch: 8 } });
    putModel(models, 'broken', Buffer.from('not a model'), { golden: sums });
    harness = await startHarness(models);
  });
  after(async () => {
    await harness.stop();
    rmSync(models, { recursive: true });
  });

  const infer = (request: ModelInferRequest): Promise<ModelInferResponse> => harness.client.infer(request);
  const send = (
    bytes: Buffer,
    method: Pick<Method<never, unknown>, 'path' | 'responseDeserialize'> = ModelInfer,
  ) => harness.client.bytes(method, bytes);
  /** The message of a call that must fail with this code. */
  const refusal = async (call: Promise<unknown>, expected: status, says = /^/): Promise<string> => {
    const { code, details } = await failure(call);
    assert.equal(code, expected, details);
    assert.match(details, says);
    return details;
  };

  for (const [what, request, says] of cases) {
    it(`answers ${what} with INVALID_ARGUMENT that says what was found and expected`, async () => {
      const details = await refusal(infer(request), INVALID_ARGUMENT, says);
      assert.match(details, /'(pair|text|cube|bools|small)'/);
    });
  }

  it('still answers a good request after all of them', async () => {
    const { raw_output_contents } = await infer(pair({ id: 'q-1' }));
    assert.deepEqual(raw_output_contents.map(Buffer.from), [floats(4, 6), floats(3, 8)].map(Buffer.from));
  });

  for (const [code, rows] of [
    [UNIMPLEMENTED, unserved],
    [INVALID_ARGUMENT, unknown],
  ] as const) {
    for (const [what, request, says] of rows) {
      it(`does not ignore ${what}: the answer names the parameter`, () =>
        refusal(infer(request), code, says));
    }
  }

  it('takes contents without elements beside raw ones, as MLServer’s client sends them', async () => {
    const { raw_output_contents } = await infer(secondOf({ contents: {} }));
    assert.deepEqual(raw_output_contents.map(Buffer.from), [floats(4, 6), floats(3, 8)].map(Buffer.from));
  });

  it('takes parameters that change nothing over gRPC, and values that ask for nothing', async () => {
    const parameters = {
      content_type: { string_param: 'np' },
      binary_data_output: { bool_param: true },
      triton_enable_empty_final_response: { bool_param: true },
      sequence_id: { uint64_param: 0 },
      sequence_start: { bool_param: false },
      priority: { uint64_param: 0 },
      timeout: {},
    };
    const ofInput = { content_type: { string_param: 'np' }, binary_data_size: { int64_param: 8 } };
    const ofOutput = { binary_data: { bool_param: false }, classification: { int64_param: 0 } };
    const sum = { name: 'sum', parameters: ofOutput };
    const request = firstOf({ parameters: ofInput }, { parameters, outputs: [sum] });
    const { raw_output_contents } = await infer(request);
    assert.equal(raw_output_contents.length, 1);
  });

  it('answers an unknown model and an unknown version with NOT_FOUND', async () => {
    const { ModelReady, ModelMetadata } = protocols().inference;
    const ofModel = await refusal(infer(pair({ model_name: 'nothing' })), NOT_FOUND);
    assert.equal(ofModel, "Request for unknown model: 'nothing' is not found");
    const says = /^Request for unknown model: 'pair' version 7 is not found/;
    await refusal(infer(pair({ model_version: '7' })), NOT_FOUND, says);
    for (const method of [ModelReady, ModelMetadata] as Method<ModelReadyRequest, unknown>[]) {
      await refusal(harness.client.call(method, { name: 'nothing' }), NOT_FOUND);
      await refusal(harness.client.call(method, { name: 'pair', version: '2' }), NOT_FOUND);
    }
  });

  it('keeps to itself the values that break a run: INTERNAL for one, answers for its batch', async () => {
    const lookup = (i: number): Promise<ModelInferResponse> => {
      const contents = { int64_contents: [i] };
      return infer({
        model_name: 'lookup',
        inputs: [{ name: 'i', datatype: 'INT64', shape: [1, 1], contents }],
      });
    };
    const says = /model 'lookup': inference failed: .*Gather/;
    const [first, , last] = await Promise.all([lookup(0), refusal(lookup(99), INTERNAL, says), lookup(2)]);
    const found = [first, last].map(({ raw_output_contents: [raw] }) => Buffer.from(raw!).readFloatLE());
    assert.equal(first.raw_output_contents[0]!.length, 4);
    assert.deepEqual(found, [10, 12]);
  });

  it('answers every truncation of a request with a clean error or, where it still is a message, on its merits', async () => {
    const whole = ModelInfer.requestSerialize(pair());
    const codes = new Set<number>();
    for (let length = 0; length < whole.length; length++) {
      const { code, details } = await failure(send(whole.subarray(0, length)));
      codes.add(code);
      assert.ok([INVALID_ARGUMENT, NOT_FOUND].includes(code), `${length} bytes: ${code} ${details}`);
    }
    assert.ok(codes.has(INVALID_ARGUMENT));
  });

  for (const [what, request, says] of isWhole ? tooMany : [tooMany[0]!, tooMany.at(-1)!]) {
    it(`refuses ${what} before it is decoded, in no time and no memory`, async () => {
      const before = process.memoryUsage().rss;
      const cpuBefore = process.cpuUsage();
      assert.throws(() => ModelInfer.requestDeserialize(request), LimitError);
      const { user, system } = process.cpuUsage(cpuBefore);
      const spentMs = (user + system) / 1000;
      const grownMb = (process.memoryUsage().rss - before) / 2 ** 20;
      assert.ok(spentMs < 1000, `${spentMs} ms of CPU`);
      assert.ok(grownMb < 64, `${grownMb} MB`);
      await refusal(send(request), INVALID_ARGUMENT, says);
    });
  }

  large('takes typed contents of 64 MiB, and refuses what is more once decoded', async () => {
    const values = Buffer.from(Float32Array.from({ length: 16 * MIB }, (_, i) => i).buffer);
    const most = wired('floats', 'FP32', values.length / 4, field(6, values));
    // By day it is not sent: raw contents of 64 MiB are.
    if (EFFORT > 1) {
      const answer = (await send(most)) as ModelInferResponse;
      assert.ok(values.equals(answer.raw_output_contents[0]!));
    }
    const { inputs = [] } = ModelInfer.requestDeserialize(most);
    assert.equal(inputs[0]!.contents!.fp32_contents!.length, 16 * MIB);
    const more = wired('floats', 'FP32', 1, field(6, values), field(1, Buffer.from([1])));
    const says =
      /inputs.contents.bool_contents: found contents of 67108865 bytes or more once decoded, expected at most 67108864/;
    await refusal(send(more), INVALID_ARGUMENT, says);
  });

  it('refuses a request beside ModelInfer that is longer than a name and a version', async () => {
    const { inference, health } = protocols();
    const long = Buffer.alloc(64 * 1024 + 2);
    for (let at = 0; at < long.length; at += 2) long[at] = 0x0a;
    for (const method of [...Object.values(inference), health.Check]) {
      if (method === inference.ModelInfer || method === inference.ModelStreamInfer) continue;
      const says = /^request: found 65538 bytes, expected at most 65536$/;
      await refusal(send(long, method), INVALID_ARGUMENT, says);
    }
  });

  it('refuses more BYTES elements than can be made into strings in a moment', async () => {
    const count = 262_144;
    const empty = (n: number) => text({ shape: [n] }, Buffer.alloc(4 * n));
    assert.deepEqual((await infer(empty(count))).outputs[0]!.shape, [String(count)]);
    const says = /input 'x': found 262145 BYTES elements, expected at most 262144/;
    await refusal(infer(empty(count + 1)), INVALID_ARGUMENT, says);
  });

  it('answers bytes that are no message with INVALID_ARGUMENT on every method', async () => {
    const { inference, health } = protocols();
    const garbage = Buffer.from([0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f]);
    for (const method of [...Object.values(inference), health.Check])
      await refusal(send(garbage, method), INVALID_ARGUMENT, /found 6 bytes that are no valid message/);
  });

  it('survives names with lone surrogates, control characters and megabytes', async () => {
    const surrogate = Buffer.from([0x0a, 0x03, 0xed, 0xa0, 0x80]);
    await refusal(send(surrogate, protocols().inference.ModelReady), NOT_FOUND);
    const says = /model_name before byte 5: found bytes that are not UTF-8/;
    await refusal(send(surrogate), INVALID_ARGUMENT, says);
    for (const name of ['\r\ngrpc-status: 0', '\0', 'x'.repeat(5_000_000), '__proto__', 'constructor']) {
      await refusal(infer(pair({ model_name: name })), NOT_FOUND);
      assert.ok((await refusal(infer(firstOf({ name })), INVALID_ARGUMENT)).length < 2000);
    }
  });

  it('keeps its messages within what clients take as a header, whatever the name is made of', async () => {
    for (const letter of ['漢', '😀', '%', '\x7f']) {
      const { details } = await failure(infer(pair({ model_name: letter.repeat(5000) })));
      assert.match(details, /^Request for unknown model: '/);
      const encoded = details.replace(/[^ -$&-~]/gu, (c) => '%00'.repeat(Buffer.byteLength(c)));
      assert.ok(encoded.length <= 3010, `${letter}: ${encoded.length}`);
    }
  });

  it('answers every damaged request on its merits, never as a defect of its own', async () => {
    const inputs = ['a', 'b'].map((name) => tensor(name, { contents: { fp32_contents: [1, 2] } }));
    const request = pair({ id: 'a-b', inputs, raw_input_contents: [], outputs: [{ name: 'sum' }] });
    const whole = ModelInfer.requestSerialize(request);
    const expected = [0, INVALID_ARGUMENT, NOT_FOUND, UNIMPLEMENTED];
    const change = fc.tuple(fc.nat(whole.length - 1), fc.nat(255));
    await fc.assert(
      fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 4 }), async (changes) => {
        const bytes = Buffer.from(whole);
        for (const [at, byte] of changes) bytes[at] = byte;
        const { code, details } = await send(bytes).then(
          () => ({ code: 0, details: 'served' }),
          (error: ServiceError) => error,
        );
        assert.ok(details.length > 0);
        assert.ok(expected.includes(code), `${code} to ${bytes.toString('hex')}`);
      }),
      { numRuns: runs(100) },
    );
    assert.equal((await infer(pair())).raw_output_contents.length, 2);
  });

  it('refuses a small message that inflates beyond the limit, and takes one that does not', async () => {
    const gzip = new TestClient(harness.server.target, { 'grpc.default_compression_algorithm': 2 });
    afterTest(() => gzip.close());
    await gzip.infer(pair());
    await refusal(gzip.bytes(ModelInfer, empties(5)), INVALID_ARGUMENT);
    if (isWhole) await refusal(gzip.bytes(ModelInfer, Buffer.alloc(66 * MIB)), RESOURCE_EXHAUSTED);
  });

  it('refuses a model that did not load with UNAVAILABLE and the reason', async () => {
    const says = /model 'broken' is not ready: .*Protobuf parsing failed/;
    await refusal(infer(text({}, undefined, 'broken')), UNAVAILABLE, says);
  });

  large('refuses a message beyond the limit with RESOURCE_EXHAUSTED and takes one of 64 MiB', async () => {
    const length = 64 * MIB - 8;
    const raw = Buffer.alloc(length + 4, 'a');
    raw.writeUInt32LE(length);
    const answer = await infer({ ...text({}, raw), outputs: [{ name: 'y' }] });
    assert.equal(answer.raw_output_contents[0]!.length, length + 4);
    await refusal(infer(text({}, Buffer.alloc(66 * MIB))), RESOURCE_EXHAUSTED);
  });
});
