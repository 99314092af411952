/**
 * Writes one step of a trained network as an ONNX file, weights rounded to float32. What a token brings to the gates is
 * stored as a table, so that a step looks up a row of it and the embedding needs no product of its own.
 */

import { Graph } from '../../onnx/graph.js';
import { type Gru, inputTable, sizesOf } from './gru.js';
import { type Matrix, matrix } from './matrix.js';

/** `token` INT64 [b], `state` FP32 [b, units] → `logits` FP32 [b, vocabulary], `next_state` FP32 [b, units]. */
export function toOnnx(net: Gru): Buffer {
  const { vocabulary, units } = sizesOf(net);
  const graph = new Graph('tokens');
  const weights = (name: string, { rows, columns, data }: Matrix) =>
    graph.weights(name, rows === 1 ? [columns] : [rows, columns], data);
  graph.input({ name: 'token', datatype: 'INT64', dims: ['batch'] });
  graph.input({ name: 'state', datatype: 'FP32', dims: ['batch', units] });

  const table = weights('input_table', inputTable(net, matrix(vocabulary, 3 * units)));
  const x = graph.node('Gather', [table, 'token'], 'x', { axis: 0 });
  const stateWeights = weights('state_weights', net.stateWeights);
  const a = graph.node('Gemm', ['state', stateWeights, weights('state_bias', net.stateBias)], 'a', {
    transB: 1,
  });

  // z and r at once: the first two thirds of the columns.
  const axes = graph.integers('columns', [1]);
  const from = graph.integers('from', [0]);
  const gates = graph.integers('gates', [2 * units]);
  const end = graph.integers('end', [3 * units]);
  const both = (of: string) => graph.node('Slice', [of, from, gates, axes], `${of}_zr`);
  const last = (of: string) => graph.node('Slice', [of, gates, end, axes], `${of}_n`);
  graph.node('Sigmoid', [graph.node('Add', [both(x), both(a)], 'sum_zr')], 'zr');
  const one = graph.integers('one_part', [units]);
  const z = graph.node('Slice', ['zr', from, one, axes], 'z');
  const r = graph.node('Slice', ['zr', one, gates, axes], 'r');
  const reset = graph.node('Mul', [r, last(a)], 'reset');
  const n = graph.node('Tanh', [graph.node('Add', [last(x), reset], 'sum_n')], 'n');
  // (1 − z)·n + z·state = n + z·(state − n)
  const kept = graph.node('Mul', [z, graph.node('Sub', ['state', n], 'difference')], 'kept');
  const next = graph.node('Add', [n, kept], 'next_state');
  const outputWeights = weights('output_weights', net.outputWeights);
  graph.node('Gemm', [next, outputWeights, weights('output_bias', net.outputBias)], 'logits', { transB: 1 });

  graph.output({ name: 'logits', datatype: 'FP32', dims: ['batch', vocabulary] });
  graph.output({ name: 'next_state', datatype: 'FP32', dims: ['batch', units] });
  return graph.encode();
}
