/**
 * From the package lande to an ONNX file. Its network is written as toygrad keeps it: JSON behind `export default`, each
 * row of weights a text `SCALE|BASE64` with one byte a weight.
 */

import { Graph } from '../onnx/graph.js';

/** What the network is made of; the only form that is read. */
const FORM = 'input,dense,relu,dense,softmax';

interface Layer {
  readonly type: string;
  readonly sz?: number;
  readonly filters?: number;
  readonly _filters?: readonly string[];
  readonly _biases?: string;
}

/** The value of a module that is nothing but `export default JSON`. Throws for any other. */
export function exportedJson(module: string): unknown {
  const text = /^\s*export default ([\s\S]*?);?\s*$/.exec(module)?.[1];
  if (text === undefined)
    throw new Error(`found '${module.slice(0, 40)}', expected 'export default' and JSON`);
  return JSON.parse(text);
}

/** Weights of a text `SCALE|BASE64`: (byte − 127) ÷ SCALE, in single precision. */
export function decodeWeights(text: string): Float32Array {
  const match = /^1(\d+(?:\.\d+)?)\|([A-Za-z0-9+/]*={0,2})$/.exec(text);
  if (match === null) throw new Error(`found '${text.slice(0, 20)}', expected 1SCALE|BASE64`);
  const scale = Number(match[1]);
  return Float32Array.from(Buffer.from(match[2]!, 'base64'), (byte) => (byte - 127) / scale);
}

/** `features` FP32 [-1, inputs] → `probabilities` FP32 [-1, outputs]. Throws when the network is of another form. */
export function toOnnx(layers: readonly Layer[]): Buffer {
  const form = layers.map(({ type }) => type).join();
  if (form !== FORM) throw new Error(`found layers ${form}, expected ${FORM}`);
  const inputs = layers[0]!.sz!;
  const graph = new Graph('langid');
  const hidden = dense(graph, { layer: layers[1]!, inputs, number: 1 }, 'features');
  const active = graph.node('Relu', [hidden], 'active');
  const scores = dense(graph, { layer: layers[3]!, inputs: layers[1]!.filters!, number: 2 }, active);
  graph.node('Softmax', [scores], 'probabilities', { axis: -1 });
  graph.input({ name: 'features', datatype: 'FP32', dims: ['rows', inputs] });
  graph.output({ name: 'probabilities', datatype: 'FP32', dims: ['rows', layers[3]!.filters!] });
  return graph.encode();
}

interface Dense {
  readonly layer: Layer;
  readonly inputs: number;
  readonly number: number;
}

/** Its rows are filters: each gives one output, so the product is with the transposed matrix. */
function dense(graph: Graph, { layer, inputs, number }: Dense, input: string): string {
  const rows = (layer._filters ?? []).map(decodeWeights);
  const biases = decodeWeights(layer._biases ?? '');
  const outputs = layer.filters!;
  if (rows.length !== outputs || biases.length !== outputs || rows.some((row) => row.length !== inputs))
    throw new Error(
      `dense layer ${number}: its weights are not ${outputs} rows of ${inputs} and a bias each`,
    );
  const all = Float32Array.from(rows.flatMap((row) => [...row]));
  const weights = graph.weights(`weights${number}`, [outputs, inputs], all);
  const bias = graph.weights(`biases${number}`, [outputs], biases);
  return graph.node('Gemm', [input, weights, bias], `scores${number}`, { transB: 1 });
}
