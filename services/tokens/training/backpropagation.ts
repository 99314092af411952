/**
 * Truncated backpropagation through time: several streams of text side by side, cut into windows; the state goes on from
 * window to window, gradients stay within one.
 */

import { type Gru, inputTable, sigmoid, sizesOf, zeros } from './gru.js';
import {
  addProduct,
  addRows,
  type FloatsConstructor,
  fillRows,
  type Matrix,
  matrix,
  rowsOf,
  transpose,
} from './matrix.js';

/** Learns one window of `streams × steps` tokens at a time. All memory is taken at the beginning. */
export class Backpropagation {
  /** Of the mean loss of the last window. */
  readonly gradients: Gru;
  private readonly net: Gru;
  private readonly streams: number;
  private readonly steps: number;
  private readonly units: number;
  /** x of each token; and the gradient with respect to it. */
  private readonly table: Matrix;
  private readonly tableGradient: Matrix;
  /** [(steps + 1) × streams, units]: the first `streams` rows are the state that the window begins with. */
  private readonly states: Matrix;
  /** a of the formulas, then the gradient with respect to it: [steps × streams, 3 × units]. */
  private readonly sums: Matrix;
  /** z, r, n: [steps × streams, 3 × units]. */
  private readonly gates: Matrix;
  /** Logits, then the gradient with respect to them: [steps × streams, vocabulary]. */
  private readonly logits: Matrix;
  /** Gradient with respect to the states after each step, from their logits: [steps × streams, units]. */
  private readonly fromLogits: Matrix;
  /** Gradient with respect to the state between two steps: [streams, units]. */
  private readonly carried: Matrix;
  private readonly transposed: Record<'stateWeights' | 'outputWeights' | 'inputWeights', Matrix>;
  private readonly tall: Record<'states' | 'sums' | 'logits' | 'embedding' | 'table', Matrix>;

  constructor(net: Gru, streams: number, steps: number, array?: FloatsConstructor) {
    const { vocabulary, embedding, units } = sizesOf(net);
    const rows = streams * steps;
    this.net = net;
    this.streams = streams;
    this.steps = steps;
    this.units = units;
    this.gradients = zeros(sizesOf(net), array);
    this.table = matrix(vocabulary, 3 * units, array);
    this.tableGradient = matrix(vocabulary, 3 * units, array);
    this.states = matrix(rows + streams, units, array);
    this.sums = matrix(rows, 3 * units, array);
    this.gates = matrix(rows, 3 * units, array);
    this.logits = matrix(rows, vocabulary, array);
    this.fromLogits = matrix(rows, units, array);
    this.carried = matrix(streams, units, array);
    this.transposed = {
      stateWeights: matrix(units, 3 * units, array),
      outputWeights: matrix(units, vocabulary, array),
      inputWeights: matrix(embedding, 3 * units, array),
    };
    this.tall = {
      states: matrix(units, rows, array),
      sums: matrix(3 * units, rows, array),
      logits: matrix(vocabulary, rows, array),
      embedding: matrix(embedding, vocabulary, array),
      table: matrix(3 * units, vocabulary, array),
    };
  }

  /**
   * `tokens` is [steps + 1, streams]: each token is to be predicted from those above it. Returns the mean loss in nats,
   * sets `gradients`, and keeps the last states for the next window.
   */
  learn(tokens: Uint8Array): number {
    const rows = this.streams * this.steps;
    this.forward(tokens);
    const loss = this.lossOf(tokens);
    for (const part of Object.values(this.gradients) as Matrix[]) part.data.fill(0);
    this.backward(tokens);
    this.states.data.copyWithin(0, rows * this.units, (rows + this.streams) * this.units);
    return loss;
  }

  /** All streams begin anew. */
  reset(): void {
    this.states.data.fill(0);
  }

  private forward(tokens: Uint8Array): void {
    const { net, streams, units, sums, states } = this;
    inputTable(net, this.table);
    fillRows(sums, net.stateBias);
    for (let t = 0; t < this.steps; t++) {
      const first = t * streams;
      addProduct(rowsOf(sums, first, streams), rowsOf(states, first, streams), net.stateWeights);
      for (let s = 0; s < streams; s++) this.advance(first + s, tokens[first + s]!);
    }
    fillRows(this.logits, net.outputBias);
    const after = { ...states, rows: streams * this.steps, data: states.data.subarray(streams * units) };
    addProduct(this.logits, after, net.outputWeights);
  }

  /** One stream, one step: gates and the next state. */
  private advance(row: number, token: number): void {
    const { units } = this;
    const table = this.table.data;
    const sums = this.sums.data;
    const gates = this.gates.data;
    const states = this.states.data;
    const x = token * 3 * units;
    const g = row * 3 * units;
    const next = (row + this.streams) * units;
    for (let u = 0; u < units; u++) {
      const z = sigmoid(table[x + u]! + sums[g + u]!);
      const r = sigmoid(table[x + units + u]! + sums[g + units + u]!);
      const n = Math.tanh(table[x + 2 * units + u]! + r * sums[g + 2 * units + u]!);
      gates[g + u] = z;
      gates[g + units + u] = r;
      gates[g + 2 * units + u] = n;
      states[next + u] = (1 - z) * n + z * states[row * units + u]!;
    }
  }

  /** The mean cross-entropy; logits become the gradient of it. */
  private lossOf(tokens: Uint8Array): number {
    const { rows, columns, data } = this.logits;
    let loss = 0;
    for (let row = 0; row < rows; row++) {
      const logits = data.subarray(row * columns, (row + 1) * columns);
      const wanted = tokens[row + this.streams]!;
      let top = Number.NEGATIVE_INFINITY;
      for (let i = 0; i < columns; i++) if (logits[i]! > top) top = logits[i]!;
      let sum = 0;
      for (let i = 0; i < columns; i++) sum += Math.exp(logits[i]! - top);
      loss += Math.log(sum) + top - logits[wanted]!;
      for (let i = 0; i < columns; i++)
        logits[i] = (Math.exp(logits[i]! - top) / sum - (i === wanted ? 1 : 0)) / rows;
    }
    return loss / rows;
  }

  private backward(tokens: Uint8Array): void {
    const { net, gradients, streams, steps, tall, transposed } = this;
    transpose(transposed.outputWeights, net.outputWeights);
    this.fromLogits.data.fill(0);
    addProduct(this.fromLogits, this.logits, transposed.outputWeights);
    transpose(transposed.stateWeights, net.stateWeights);
    this.carried.data.fill(0);
    this.tableGradient.data.fill(0);
    for (let t = steps - 1; t >= 0; t--) {
      const first = t * streams;
      for (let s = 0; s < streams; s++) this.goBack(first + s, s, tokens[first + s]!);
      addProduct(this.carried, rowsOf(this.sums, first, streams), transposed.stateWeights);
    }
    // Weights see all steps of the window at once.
    transpose(tall.logits, this.logits);
    transpose(tall.states, rowsOf(this.states, streams, streams * steps));
    addProduct(gradients.outputWeights, tall.logits, tall.states);
    addRows(gradients.outputBias, this.logits);
    transpose(tall.sums, this.sums);
    transpose(tall.states, rowsOf(this.states, 0, streams * steps));
    addProduct(gradients.stateWeights, tall.sums, tall.states);
    addRows(gradients.stateBias, this.sums);
    transpose(transposed.inputWeights, net.inputWeights);
    addProduct(gradients.embedding, this.tableGradient, transposed.inputWeights);
    transpose(tall.table, this.tableGradient);
    transpose(tall.embedding, net.embedding);
    addProduct(gradients.inputWeights, tall.table, tall.embedding);
    addRows(gradients.inputBias, this.tableGradient);
  }

  /** One stream, one step back: the gradient with respect to a (in place of it), to x, and to the state before. */
  private goBack(row: number, stream: number, token: number): void {
    const { units } = this;
    const sums = this.sums.data;
    const gates = this.gates.data;
    const states = this.states.data;
    const table = this.tableGradient.data;
    const carried = this.carried.data;
    const x = token * 3 * units;
    const g = row * 3 * units;
    for (let u = 0; u < units; u++) {
      const z = gates[g + u]!;
      const r = gates[g + units + u]!;
      const n = gates[g + 2 * units + u]!;
      const whole = this.fromLogits.data[row * units + u]! + carried[stream * units + u]!;
      const forZ = whole * (states[row * units + u]! - n) * z * (1 - z);
      const forN = whole * (1 - z) * (1 - n * n);
      const forR = forN * sums[g + 2 * units + u]! * r * (1 - r);
      sums[g + u] = forZ;
      sums[g + units + u] = forR;
      sums[g + 2 * units + u] = forN * r;
      table[x + u] = table[x + u]! + forZ;
      table[x + units + u] = table[x + units + u]! + forR;
      table[x + 2 * units + u] = table[x + 2 * units + u]! + forN;
      carried[stream * units + u] = whole * z;
    }
  }
}
