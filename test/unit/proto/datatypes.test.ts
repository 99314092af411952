import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { type Datatype, datatypeInfo, fromHalf, toHalf } from '../../../proto/datatypes.js';
import type { InferTensorContents, ModelInferResponse } from '../../../proto/messages.js';
import { encodeRaw, fromValues } from '../../../proto/tensors.js';
import { type Harness, startHarness, temporaryDirectory } from '../../kit/service/model-server.js';
import { elementTypes, identityModel, putModel } from '../../kit/service/tiny-models.js';

/** Values that show truncation, sign and rounding mistakes. */
const samples: Record<Exclude<Datatype, 'BF16'>, (number | string | boolean)[]> = {
  BOOL: [true, false, true],
  UINT8: [0, 1, 255],
  UINT16: [0, 256, 65535],
  UINT32: [0, 65536, 4294967295],
  UINT64: ['0', '9007199254740993', '18446744073709551615'],
  INT8: [-128, 0, 127],
  INT16: [-32768, 0, 32767],
  INT32: [-2147483648, 0, 2147483647],
  INT64: ['-9223372036854775808', '9007199254740993', '9223372036854775807'],
  FP16: [0, -1.5, 65504],
  FP32: [0, -1.5, 3.4028234663852886e38, Number.NaN, Number.NEGATIVE_INFINITY],
  FP64: [0, Math.PI, 5e-324, Number.NaN, Number.POSITIVE_INFINITY],
  BYTES: ['', 'plain', 'grüße, 世界 🙂'],
};

const bytesOf = (raw: Uint8Array) => Buffer.from(raw);

describe('tensors of every datatype', () => {
  let models: string;
  let harness: Harness;
  const datatypes = Object.keys(samples) as (keyof typeof samples)[];

  before(async () => {
    models = temporaryDirectory();
    for (const datatype of datatypes) {
      const values = samples[datatype].filter((v) => typeof v !== 'number' || Number.isFinite(v));
      const golden = { inputs: { x: { shape: [values.length], values } }, outputs: { y: { values } } };
      const card = { golden, batching: { max_batch: 16 } };
      putModel(models, datatype.toLowerCase(), identityModel(datatype), card);
    }
    const none = { golden: { inputs: {}, outputs: { y: { values: [] } } } };
    putModel(models, 'bf16', identityModel('BF16'), none);
    harness = await startHarness(models);
  });
  after(async () => {
    await harness.stop();
    rmSync(models, { recursive: true });
  });

  const infer = (datatype: Datatype, raw: Uint8Array, count: number): Promise<ModelInferResponse> =>
    harness.client.infer({
      model_name: datatype.toLowerCase(),
      inputs: [{ name: 'x', datatype, shape: [count] }],
      raw_input_contents: [raw],
    });

  for (const datatype of datatypes) {
    const values = samples[datatype];
    const raw = Buffer.from(
      encodeRaw({ datatype, dims: [values.length], data: fromValues(values, datatype, 'x') }),
    );

    it(`carries ${datatype} raw, unchanged`, async () => {
      const answer = await infer(datatype, raw, values.length);
      assert.deepEqual(answer.raw_output_contents.map(bytesOf), [raw]);
      assert.equal(answer.outputs[0]!.datatype, datatype);
      assert.deepEqual(answer.outputs[0]!.shape, [String(values.length)]);
      assert.equal(answer.outputs[0]!.contents, null);
    });

    const { field } = datatypeInfo(datatype);
    if (field === undefined) continue;
    it(`carries ${datatype} in ${field}, and answers raw`, async () => {
      const given = datatype === 'BYTES' ? values.map((v) => Buffer.from(String(v))) : values;
      const contents = { [field]: given } as InferTensorContents;
      const answer = await harness.client.infer({
        model_name: datatype.toLowerCase(),
        inputs: [{ name: 'x', datatype, shape: [values.length], contents }],
      });
      assert.deepEqual(answer.raw_output_contents.map(bytesOf), [raw]);
    });
  }

  it('carries tensors of no elements', async () => {
    for (const datatype of datatypes) {
      const answer = await infer(datatype, new Uint8Array(0), 0);
      assert.deepEqual(answer.outputs[0]!.shape, ['0'], datatype);
      assert.equal(answer.raw_output_contents[0]!.length, 0, datatype);
    }
  });

  it('reads 8-byte elements at every offset within the message', async () => {
    for (let padding = 0; padding < 8; padding++) {
      const values = [Math.PI, -1 / 3];
      const answer = await harness.client.infer({
        model_name: 'fp64',
        id: 'i'.repeat(padding),
        inputs: [{ name: 'x', datatype: 'FP64', shape: [2] }],
        raw_input_contents: [new Uint8Array(new Float64Array(values).buffer)],
      });
      assert.deepEqual([...new Float64Array(new Uint8Array(answer.raw_output_contents[0]!).buffer)], values);
    }
  });

  it('says why a model whose datatype the runtime does not know is not ready', () => {
    const model = harness.server.models.all('bf16')[0]!;
    assert.equal(model.state, 'failed');
    assert.match(model.why, /Unsupported data type: 16/);
    assert.ok(elementTypes.BF16 === 16);
  });

  it('passes NaN through: to judge answers is not the service’s business', async () => {
    const answer = await infer('FP32', new Uint8Array(new Float32Array([Number.NaN]).buffer), 1);
    assert.ok(Number.isNaN(Buffer.from(answer.raw_output_contents[0]!).readFloatLE()));
  });
});

describe('half precision', () => {
  it('gives back every one of its 63,488 finite numbers', () => {
    for (let bits = 0; bits < 0x10000; bits++) {
      if ((bits & 0x7c00) === 0x7c00) continue;
      assert.equal(toHalf(fromHalf(bits)), bits);
    }
  });

  it('rounds to the nearest, ties to even, and overflows to infinity', () => {
    for (const [value, bits] of [
      [1 + 2 ** -11, toHalf(1)],
      [1 + 3 * 2 ** -11, toHalf(1 + 2 ** -9)],
      [2 ** -25, 0],
      [1.5 * 2 ** -24, 2],
      [65519, toHalf(65504)],
      [65520, 0x7c00],
      [-1e9, 0xfc00],
    ] as const)
      assert.equal(toHalf(value), bits, `${value}`);
    assert.equal(toHalf(Number.NaN) & 0x7e00, 0x7e00);
    assert.equal(fromHalf(0xfc00), Number.NEGATIVE_INFINITY);
    assert.ok(Number.isNaN(fromHalf(0x7e00)));
  });
});
