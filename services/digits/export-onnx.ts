/**
 * Writes a trained network as an ONNX file: Gemm and ReLU per layer, softmax last; weights rounded to float32.
 * The only importer of onnx-proto in services/. The bytes depend on the weights alone.
 */

import onnxProto from 'onnx-proto';
import type { Layer } from './network.js';

const { onnx } = onnxProto;

/** `pixels` FP32 [-1, inputs] → `probabilities` FP32 [-1, outputs]. */
export function toOnnx(layers: readonly Layer[], name: string): Buffer {
  const nodes: onnxProto.onnx.INodeProto[] = [];
  const initializer: onnxProto.onnx.ITensorProto[] = [];
  let current = 'pixels';
  layers.forEach((layer, l) => {
    initializer.push(tensor(`w${l}`, [layer.inputs, layer.outputs], layer.weights));
    initializer.push(tensor(`b${l}`, [layer.outputs], layer.biases));
    nodes.push({ opType: 'Gemm', input: [current, `w${l}`, `b${l}`], output: [`s${l}`] });
    current = `s${l}`;
    if (l < layers.length - 1) {
      nodes.push({ opType: 'Relu', input: [current], output: [`h${l}`] });
      current = `h${l}`;
    }
  });
  const axis = { name: 'axis', type: onnx.AttributeProto.AttributeType.INT, i: -1 };
  nodes.push({ opType: 'Softmax', input: [current], output: ['probabilities'], attribute: [axis] });
  const model: onnxProto.onnx.IModelProto = {
    irVersion: 7,
    producerName: 'outrider',
    opsetImport: [{ domain: '', version: 13 }],
    graph: {
      name,
      node: nodes,
      initializer,
      input: [value('pixels', layers[0]!.inputs)],
      output: [value('probabilities', layers.at(-1)!.outputs)],
    },
  };
  return Buffer.from(onnx.ModelProto.encode(model).finish());
}

function tensor(name: string, dims: number[], values: Float64Array): onnxProto.onnx.ITensorProto {
  const rawData = new Uint8Array(values.length * 4);
  const view = new DataView(rawData.buffer);
  values.forEach((v, i) => {
    view.setFloat32(i * 4, v, true);
  });
  return { name, dims, dataType: onnx.TensorProto.DataType.FLOAT, rawData };
}

function value(name: string, columns: number): onnxProto.onnx.IValueInfoProto {
  const dim = [{ dimParam: 'batch' }, { dimValue: columns }];
  return { name, type: { tensorType: { elemType: onnx.TensorProto.DataType.FLOAT, shape: { dim } } } };
}
