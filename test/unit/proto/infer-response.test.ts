import assert from 'node:assert/strict';
import fc from 'fast-check';
import { inferResponseWriter } from '../../../proto/infer-response.js';
import { protocols } from '../../../proto/load.js';
import type { ModelInferResponse } from '../../../proto/messages.js';

const { responseSerialize, responseDeserialize } = protocols().inference.ModelInfer;
/** What the library writes; it is asked where there is a parameter. */
const byLibrary = (response: ModelInferResponse): Buffer =>
  responseSerialize({ ...response, parameters: {} });

const text = fc.oneof(fc.string(), fc.string({ unit: 'grapheme' }), fc.constant('x'.repeat(200)));
const tensor = fc.record({
  name: text,
  datatype: fc.constantFrom('FP32', 'BYTES', ''),
  shape: fc.array(fc.nat({ max: 2 ** 31 - 1 }), { maxLength: 4 }),
});
const response = fc.record({
  model_name: text,
  model_version: text,
  id: text,
  outputs: fc.array(tensor, { maxLength: 3 }),
  raw_output_contents: fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 3 }),
});

describe('the writer of ModelInferResponse', () => {
  it('writes names, shapes and raw contents so that they are read as those of the library', () => {
    const write = inferResponseWriter(() => assert.fail('the library was asked'));
    fc.assert(
      fc.property(response, (message) =>
        assert.deepEqual(responseDeserialize(write(message)), responseDeserialize(byLibrary(message))),
      ),
    );
  });

  it('leaves parameters and typed contents to the library', () => {
    const marked = Buffer.from('library');
    const write = inferResponseWriter(() => marked);
    const plain = { model_name: 'm', model_version: '1', id: '', outputs: [], raw_output_contents: [] };
    const output = { name: 'y', datatype: 'FP32', shape: [1] };
    assert.equal(write({ ...plain, parameters: { a: { bool_param: true } } }), marked);
    assert.equal(write({ ...plain, outputs: [{ ...output, parameters: {} }] }), marked);
    assert.equal(write({ ...plain, outputs: [{ ...output, contents: { fp32_contents: [1] } }] }), marked);
  });

  it('leaves what lacks a field, and sizes below 0, to the library', () => {
    const marked = Buffer.from('library');
    const write = inferResponseWriter(() => marked);
    const output = { name: 'y', datatype: 'FP32', shape: [1] };
    const plain = { model_name: 'm', model_version: '1', id: '', outputs: [output], raw_output_contents: [] };
    for (const field of ['model_name', 'outputs', 'raw_output_contents'] as const)
      assert.equal(write({ ...plain, [field]: undefined } as unknown as ModelInferResponse), marked, field);
    for (const odd of [{ name: undefined }, { datatype: undefined }, { shape: undefined }, { shape: [-1] }]) {
      const outputs = [{ ...output, ...odd }];
      assert.equal(write({ ...plain, outputs } as unknown as ModelInferResponse), marked);
    }
  });

  it('takes a response without version and id for one where they are empty', () => {
    const bare = { model_name: 'm', outputs: [], raw_output_contents: [] } as unknown as ModelInferResponse;
    assert.deepEqual(responseDeserialize(responseSerialize(bare)).model_version, '');
  });

  it('writes what every reader of the message reads', () => {
    const raw = new Uint8Array(Float32Array.of(1.5).buffer);
    const outputs = [{ name: 'y', datatype: 'FP32', shape: [1, 300] }];
    const read = responseDeserialize(
      responseSerialize({
        model_name: 'ü',
        model_version: '1',
        id: 'i',
        outputs,
        raw_output_contents: [raw],
      }),
    );
    assert.equal(read.model_name, 'ü');
    assert.deepEqual(read.outputs[0]!.shape, ['1', '300']);
    assert.deepEqual([...read.raw_output_contents[0]!], [...raw]);
  });
});
