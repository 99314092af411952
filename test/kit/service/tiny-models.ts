/**
 * Tiny ONNX models for tests, written with onnx-proto: an identity for every datatype, a loop whose running time is its
 * input, a memory hog, and helpers that put a model into a repository directory with its card.
 */

import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import onnxProto from 'onnx-proto';

const { onnx } = onnxProto;
type Graph = onnxProto.onnx.IGraphProto;
type Value = onnxProto.onnx.IValueInfoProto;

/** ONNX element types by the protocol's names. */
export const elementTypes = {
  FP32: 1,
  UINT8: 2,
  INT8: 3,
  UINT16: 4,
  INT16: 5,
  INT32: 6,
  INT64: 7,
  BYTES: 8,
  BOOL: 9,
  FP16: 10,
  FP64: 11,
  UINT32: 12,
  UINT64: 13,
  BF16: 16,
} as const;
export type ElementType = keyof typeof elementTypes;

/** `x` [-1] → `y` [-1], unchanged. */
export function identityModel(datatype: ElementType): Buffer {
  const node = [{ opType: 'Identity', input: ['x'], output: ['y'] }];
  return model({ node, input: [value('x', datatype, ['n'])], output: [value('y', datatype, ['n'])] });
}

/** `a` and `b` FP32 [-1,2] → `sum` [-1,2] and `product` [-1,2]. */
export function arithmeticModel(): Buffer {
  return model({
    node: [
      { opType: 'Add', input: ['a', 'b'], output: ['sum'] },
      { opType: 'Mul', input: ['a', 'b'], output: ['product'] },
    ],
    input: [value('a', 'FP32', ['rows', 2]), value('b', 'FP32', ['rows', 2])],
    output: [value('sum', 'FP32', ['rows', 2]), value('product', 'FP32', ['rows', 2])],
  });
}

/** `n` INT64 [] → `count` INT64 []: counts to n, one turn of a loop each (about 1.3 µs): a service time on demand. */
function loopModel(): Buffer {
  const body: Graph = {
    name: 'body',
    node: [
      { opType: 'Identity', input: ['go'], output: ['go_on'] },
      { opType: 'Add', input: ['so_far', 'one'], output: ['next'] },
    ],
    input: [value('turn', 'INT64', []), value('go', 'BOOL', []), value('so_far', 'INT64', [])],
    output: [value('go_on', 'BOOL', []), value('next', 'INT64', [])],
  };
  const attribute = [{ name: 'body', type: onnx.AttributeProto.AttributeType.GRAPH, g: body }];
  return model({
    node: [{ opType: 'Loop', input: ['n', '', 'zero'], output: ['count'], attribute }],
    initializer: [int64('zero', 0), int64('one', 1)],
    input: [value('n', 'INT64', [])],
    output: [value('count', 'INT64', [])],
  });
}

/** `n` INT64 [1] → `top` FP32 []: allocates 4·n bytes on the way (1e8 takes 400 MB; 1e12 fails cleanly). */
export function memoryHogModel(): Buffer {
  const dropped = { name: 'keepdims', type: onnx.AttributeProto.AttributeType.INT, i: 0 };
  return model({
    node: [
      { opType: 'ConstantOfShape', input: ['n'], output: ['filled'] },
      { opType: 'ReduceMax', input: ['filled'], output: ['top'], attribute: [dropped] },
    ],
    input: [value('n', 'INT64', [1])],
    output: [value('top', 'FP32', [])],
  });
}

/** `x` FP32 [-1,2] → `y` [2]: the rows' sum, so that rows of a batch would mix. */
export function mixingModel(): Buffer {
  const axis = { name: 'axes', type: onnx.AttributeProto.AttributeType.INTS, ints: [0] };
  return model({
    node: [
      { opType: 'ReduceMean', input: ['x'], output: ['m'], attribute: [axis] },
      { opType: 'Add', input: ['x', 'm'], output: ['y'] },
    ],
    input: [value('x', 'FP32', ['rows', 2])],
    output: [value('y', 'FP32', ['rows', 2])],
  });
}

/** `i` INT64 [-1,1] → `y` FP32 [-1,1]: element i of a table of 4; an index beyond fails inside the run. */
export function lookupModel(): Buffer {
  const rawData = new Uint8Array(new Float32Array([10, 11, 12, 13]).buffer);
  return model({
    node: [{ opType: 'Gather', input: ['table', 'i'], output: ['y'] }],
    initializer: [{ name: 'table', dims: [4], dataType: elementTypes.FP32, rawData }],
    input: [value('i', 'INT64', ['rows', 1])],
    output: [value('y', 'FP32', ['rows', 1])],
  });
}

/** `x` FP32 [-1,-1] → `y` FP32 [-1,16]: takes only sizes that fill rows of 16. */
export function windowModel(): Buffer {
  const rawData = new Uint8Array(new BigInt64Array([-1n, 16n]).buffer);
  return model({
    node: [{ opType: 'Reshape', input: ['x', 'shape'], output: ['y'] }],
    initializer: [{ name: 'shape', dims: [2], dataType: elementTypes.INT64, rawData }],
    input: [value('x', 'FP32', ['rows', 'width'])],
    output: [value('y', 'FP32', ['windows', 16])],
  });
}

/** `petals` FP32 [-1,4] → `probabilities` FP32 [-1,3]: one layer, of which the third number of a flower decides most. */
export function flowerModel(): Buffer {
  const weights = [0, 0, 0, 0, 0, 0, -3, 0, 3, -1, 0, 2];
  const rawData = new Uint8Array(new Float32Array(weights).buffer);
  const bias = new Uint8Array(new Float32Array([8, 0, -14]).buffer);
  return model({
    node: [
      { opType: 'Gemm', input: ['petals', 'weights', 'bias'], output: ['scores'] },
      { opType: 'Softmax', input: ['scores'], output: ['probabilities'] },
    ],
    initializer: [
      { name: 'weights', dims: [4, 3], dataType: elementTypes.FP32, rawData },
      { name: 'bias', dims: [3], dataType: elementTypes.FP32, rawData: bias },
    ],
    input: [value('petals', 'FP32', ['flowers', 4])],
    output: [value('probabilities', 'FP32', ['flowers', 3])],
  });
}

/** `x` FP32 [-1] → `y` FP32 [-1] by an operator that no runtime has. */
export function unknownOperatorModel(): Buffer {
  const node = [{ opType: 'NoSuchOperator', input: ['x'], output: ['y'] }];
  return model({ node, input: [value('x', 'FP32', ['n'])], output: [value('y', 'FP32', ['n'])] });
}

/** Writes DIR/name/version/model.onnx and model.yaml; returns the version directory. */
export function putModel(
  directory: string,
  name: string,
  bytes: Uint8Array,
  card: unknown,
  version = '1',
): string {
  const folder = join(directory, name, version);
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'model.onnx'), bytes);
  // JSON is YAML.
  writeFileSync(join(folder, 'model.yaml'), typeof card === 'string' ? card : JSON.stringify(card));
  return folder;
}

/** An identity as a repository entry: proven with these values. */
export function putIdentityModel(
  directory: string,
  name: string,
  type: ElementType,
  values: unknown[],
): void {
  const golden = { inputs: { x: { shape: [values.length], values } }, outputs: { y: { values } } };
  putModel(directory, name, identityModel(type), { golden });
}

/** The loop model as a repository entry: proven by counting to 3. */
export function putLoopModel(directory: string, name = 'loop'): void {
  const golden = { inputs: { n: { shape: [], values: [3] } }, outputs: { count: { values: [3] } } };
  putModel(directory, name, loopModel(), { description: 'Takes as long as it is told', golden });
}

function model(graph: Graph): Buffer {
  const opsetImport = [{ domain: '', version: 13 }];
  const message = { irVersion: 7, opsetImport, graph: { name: 'tiny', ...graph } };
  return Buffer.from(onnx.ModelProto.encode(message).finish());
}

function value(name: string, datatype: ElementType, dims: readonly (string | number)[]): Value {
  const dim = dims.map((d) => (typeof d === 'string' ? { dimParam: d } : { dimValue: d }));
  return { name, type: { tensorType: { elemType: elementTypes[datatype], shape: { dim } } } };
}

function int64(name: string, number: number): onnxProto.onnx.ITensorProto {
  const rawData = new Uint8Array(new BigInt64Array([BigInt(number)]).buffer);
  return { name, dims: [], dataType: elementTypes.INT64, rawData };
}
