/** Writes a trained network as an ONNX file: Gemm and ReLU per layer, softmax last; weights rounded to float32. */

import { Graph } from '../onnx/graph.js';
import type { Layer } from './network.js';

/** `pixels` FP32 [-1, inputs] → `probabilities` FP32 [-1, outputs]. */
export function toOnnx(layers: readonly Layer[], name: string): Buffer {
  const graph = new Graph(name);
  let current = 'pixels';
  layers.forEach((layer, l) => {
    const weights = graph.weights(`w${l}`, [layer.inputs, layer.outputs], layer.weights);
    const biases = graph.weights(`b${l}`, [layer.outputs], layer.biases);
    current = graph.node('Gemm', [current, weights, biases], `s${l}`);
    if (l < layers.length - 1) current = graph.node('Relu', [current], `h${l}`);
  });
  graph.node('Softmax', [current], 'probabilities', { axis: -1 });
  graph.input({ name: 'pixels', datatype: 'FP32', dims: ['batch', layers[0]!.inputs] });
  graph.output({ name: 'probabilities', datatype: 'FP32', dims: ['batch', layers.at(-1)!.outputs] });
  return graph.encode();
}
