/**
 * A network that predicts the next token from those before it: an embedding, one layer of gated recurrent units (Cho and
 * others 2014; the reset gate after the product, as in ONNX's GRU with `linear_before_reset`), and a layer of logits.
 *
 *   x = embedding[token] · inputWeightsᵀ + inputBias        a = state · stateWeightsᵀ + stateBias
 *   z = σ(x_z + a_z)    r = σ(x_r + a_r)    n = tanh(x_n + r·a_n)    state' = (1 − z)·n + z·state
 *   logits = state' · outputWeightsᵀ + outputBias
 */

import type { Random } from '../../digits/random.js';
import { addProduct, type FloatsConstructor, fillRows, type Matrix, matrix } from './matrix.js';

/** How large a network is. */
export interface Sizes {
  readonly vocabulary: number;
  readonly embedding: number;
  readonly units: number;
}

/** The numbers that are learned. The rows of the three gates follow each other: z, r, n. */
export interface Gru {
  /** [vocabulary, embedding] */
  readonly embedding: Matrix;
  /** [3 × units, embedding] */
  readonly inputWeights: Matrix;
  /** [1, 3 × units] */
  readonly inputBias: Matrix;
  /** [3 × units, units] */
  readonly stateWeights: Matrix;
  /** [1, 3 × units] */
  readonly stateBias: Matrix;
  /** [vocabulary, units] */
  readonly outputWeights: Matrix;
  /** [1, vocabulary] */
  readonly outputBias: Matrix;
}

/** Zeros everywhere: gradients of a network begin like this. */
export function zeros({ vocabulary, embedding, units }: Sizes, array?: FloatsConstructor): Gru {
  return {
    embedding: matrix(vocabulary, embedding, array),
    inputWeights: matrix(3 * units, embedding, array),
    inputBias: matrix(1, 3 * units, array),
    stateWeights: matrix(3 * units, units, array),
    stateBias: matrix(1, 3 * units, array),
    outputWeights: matrix(vocabulary, units, array),
    outputBias: matrix(1, vocabulary, array),
  };
}

/** Normal weights of variance 1 / inputs, biases of zero; a bias of 1 lets the gate z keep most of a state at first. */
export function initialised(sizes: Sizes, random: Random, array?: FloatsConstructor): Gru {
  const net = zeros(sizes, array);
  for (const weights of [net.embedding, net.inputWeights, net.stateWeights, net.outputWeights]) {
    const scale = Math.sqrt(1 / weights.columns);
    for (let i = 0; i < weights.data.length; i++) weights.data[i] = random.normal() * scale;
  }
  net.inputBias.data.fill(1, 0, sizes.units);
  return net;
}

/** The sizes of a network. */
export function sizesOf({ embedding, outputWeights }: Gru): Sizes {
  return {
    vocabulary: embedding.rows,
    embedding: embedding.columns,
    units: outputWeights.columns,
  };
}

/** All matrices of a network, in a fixed order. */
export function partsOf(net: Gru): Matrix[] {
  return [
    net.embedding,
    net.inputWeights,
    net.inputBias,
    net.stateWeights,
    net.stateBias,
    net.outputWeights,
    net.outputBias,
  ];
}

/** What each token brings to the gates: x of the formulas, [vocabulary, 3 × units], written into `table`. */
export function inputTable(net: Gru, table: Matrix): Matrix {
  fillRows(table, net.inputBias);
  addProduct(table, net.embedding, net.inputWeights);
  return table;
}

/** The logistic function. */
export function sigmoid(x: number): number {
  return 1 / (1 + Math.exp(-x));
}
