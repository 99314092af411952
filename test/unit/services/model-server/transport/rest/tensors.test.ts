import assert from 'node:assert/strict';
import type { ModelInferResponse } from '../../../../../../proto/messages.js';
import {
  readInfer,
  readParameters,
  writeInfer,
} from '../../../../../../services/model-server/transport/rest/tensors.js';

const X = { name: 'x', datatype: 'FP32', shape: [-1, 2], symbols: [undefined, undefined] } as const;
const MODEL = { name: 'm', version: '', inputs: [X] };
const NONE: Buffer = Buffer.alloc(0);

const read = (input: object, more: object = {}, binary = NONE) =>
  readInfer(MODEL, { inputs: [{ name: 'x', ...input }], ...more }, binary);
const values = ({ request }: ReturnType<typeof read>) => {
  const raw = request.raw_input_contents![0]!;
  return [...new Float32Array(raw.buffer.slice(raw.byteOffset, raw.byteOffset + raw.byteLength))];
};

describe('a request of the REST half', () => {
  it('takes nested and flat lists, the datatype of the model, and the shape of the lists', () => {
    const nested = read({
      data: [
        [1, 2],
        [3, 4],
      ],
    });
    assert.deepEqual(nested.request.inputs, [{ name: 'x', datatype: 'FP32', shape: [2, 2], parameters: {} }]);
    assert.deepEqual(values(nested), [1, 2, 3, 4]);
    assert.deepEqual(values(read({ data: [1, 2, 3, 4], shape: [2, 2] })), [1, 2, 3, 4]);
    assert.deepEqual(
      read({ data: 5 }).request.inputs![0]!.shape,
      [1, 1],
      'a single value has the rank of the model',
    );
  });

  it('takes binary data behind the JSON', () => {
    const bytes = Buffer.from(Float32Array.of(7, 8).buffer);
    assert.deepEqual(values(read({ shape: [1, 2], parameters: { binary_data_size: 8 } }, {}, bytes)), [7, 8]);
  });

  it('passes parameters on, those of inputs and outputs too, so that what is not served is refused', () => {
    const { request, binary } = read(
      { data: [[1, 2]], parameters: { shared_memory_region: 'r' } },
      {
        parameters: { priority: 1, scale: 1.5, mode: 'fast', sequence_start: true, binary_data_output: true },
        outputs: [{ name: 'y', parameters: { binary_data: false, classification: 3 } }, { name: 'z' }],
      },
    );
    assert.deepEqual(request.inputs![0]!.parameters, { shared_memory_region: { string_param: 'r' } });
    assert.deepEqual(request.parameters, {
      priority: { int64_param: 1 },
      scale: { double_param: 1.5 },
      mode: { string_param: 'fast' },
      sequence_start: { bool_param: true },
    });
    assert.deepEqual(request.outputs, [
      { name: 'y', parameters: { classification: { int64_param: 3 } } },
      { name: 'z', parameters: {} },
    ]);
    assert.deepEqual([binary.all, binary.named.get('y'), binary.named.get('z')], [true, false, true]);
    assert.deepEqual(readParameters({ config: '{}' }), { config: { string_param: '{}' } });
    assert.throws(() => readParameters([1]), /parameters: found \[1\], expected an object/);
  });

  const deep = Array.from({ length: 20 }).reduce<unknown>((inner) => [inner], 1);
  for (const [title, says, input, more, binary] of [
    ['no data', /input 'x': found no data/, {}],
    [
      'lists of different sizes',
      /found lists of different sizes, expected 2 in each/,
      { data: [[1, 2], [3]] },
    ],
    ['lists that are too deep', /found lists deeper than 16/, { data: deep }],
    [
      'too few values for the shape',
      /found 1 values, expected 4 for shape \[2,2\]/,
      { data: [1], shape: [2, 2] },
    ],
    ['a shape of no sizes', /found shape \[-1\], expected sizes from 0/, { data: [1], shape: [-1] }],
    [
      'an unknown datatype',
      /found datatype "FP8", expected one such as FP32/,
      { data: [1], datatype: 'FP8' },
    ],
    [
      'half precision in JSON',
      /found FP16 in JSON, expected binary tensor data/,
      { data: [1], datatype: 'FP16' },
    ],
    [
      'a number that JSON has rounded',
      /found INT64 9007199254740992 as a number of JSON, which is rounded beyond ±2\^53; expected text/,
      { data: JSON.parse('[9007199254740993]'), datatype: 'INT64' },
    ],
    ['an object as a value', /found \{\}, expected a value/, { data: [{}] }],
    [
      'more binary data than came',
      /found binary_data_size 8, expected at most the 0 bytes/,
      { shape: [2], parameters: { binary_data_size: 8 } },
    ],
    [
      'data of both kinds',
      /found data and binary_data_size, expected one of the two/,
      { data: [1], shape: [0], parameters: { binary_data_size: 0 } },
    ],
    [
      'bytes that belong to no input',
      /found 2 bytes behind the inputs/,
      { data: [[1, 2]] },
      {},
      Buffer.alloc(2),
    ],
    [
      'a parameter that is a list',
      /'p': found \[\], expected a bool, number or text/,
      { data: [[1, 2]] },
      { parameters: { p: [] } },
    ],
    [
      'a flag that is none',
      /'binary_data_output': found 1, expected true or false/,
      { data: [[1, 2]] },
      { parameters: { binary_data_output: 1 } },
    ],
    ['an id that is no text', /id: found 5, expected text/, { data: [[1, 2]] }, { id: 5 }],
  ] as readonly [string, RegExp, object, object?, Buffer?][])
    it(`is refused with ${title}`, () => {
      assert.throws(() => read(input, more, binary), says);
    });
});

describe('a response of the REST half', () => {
  const response = (datatype: string, raw: Uint8Array, shape: number[]): ModelInferResponse => ({
    model_name: 'm',
    model_version: '1',
    id: '',
    outputs: [{ name: 'y', datatype, shape }],
    raw_output_contents: [raw],
  });
  const plain = { all: false, named: new Map<string, boolean>() };
  const data = (...args: Parameters<typeof response>) =>
    (writeInfer(response(...args), plain).json as { outputs: [{ data: unknown }] }).outputs[0].data;

  it('writes booleans, wide integers and what JSON has no number for', () => {
    assert.deepEqual(data('BOOL', Uint8Array.of(1, 0), [2]), [true, false]);
    const wide = new Uint8Array(BigInt64Array.of(2n ** 53n, 2n ** 53n + 1n).buffer);
    assert.deepEqual(data('INT64', wide, [2]), [9007199254740992, '9007199254740993']);
    const odd = new Uint8Array(Float32Array.of(Number.NaN, 1).buffer);
    assert.deepEqual(data('FP32', odd, [2]), [null, 1]);
  });

  it('puts binary outputs behind the JSON with their size', () => {
    const raw = new Uint8Array(8);
    const { json, binary } = writeInfer(response('FP32', raw, [2]), { all: true, named: new Map() });
    assert.deepEqual(binary, [raw]);
    assert.deepEqual((json as { outputs: unknown[] }).outputs, [
      { name: 'y', datatype: 'FP32', shape: [2], parameters: { binary_data_size: 8 } },
    ]);
  });
});
