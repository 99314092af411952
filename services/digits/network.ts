/**
 * A fully connected network with ReLU between layers and softmax at the end, trained by mini-batch gradient descent
 * with momentum on cross-entropy. Plain double arithmetic in a fixed order, so a seed decides every bit of the result.
 * With no hidden layer it is multinomial logistic regression.
 */

import type { Digit } from './dataset.js';
import type { Random } from './random.js';

/** One fully connected layer. */
export interface Layer {
  readonly inputs: number;
  readonly outputs: number;
  /** `weights[i * outputs + o]` */
  readonly weights: Float64Array;
  readonly biases: Float64Array;
}

/** How layers are trained: `epochs` times over the data, `batchSize` digits for each step. */
export interface Training {
  readonly epochs: number;
  readonly batchSize: number;
  /** Falls to zero over the epochs along half a cosine. */
  readonly learningRate: number;
  readonly momentum: number;
  readonly weightDecay: number;
  /** Called before a digit is shown: the picture to learn from instead (shifted, say). */
  readonly vary: (pixels: Float32Array, random: Random) => Float32Array;
  readonly onEpoch?: (epoch: number, loss: number) => void;
}

/** He-initialised layers for `sizes`, e.g. [784, 128, 10]. */
export function network(sizes: readonly number[], random: Random): Layer[] {
  return sizes.slice(1).map((outputs, l) => {
    const inputs = sizes[l]!;
    const scale = Math.sqrt(2 / inputs);
    const weights = Float64Array.from({ length: inputs * outputs }, () => random.normal() * scale);
    return { inputs, outputs, weights, biases: new Float64Array(outputs) };
  });
}

/** Trains `layers` in place. */
export function train(
  layers: readonly Layer[],
  digits: readonly Digit[],
  how: Training,
  random: Random,
): void {
  const state = layers.map((layer) => new LayerState(layer));
  const order = Uint32Array.from(digits, (_, i) => i);
  const steps = how.epochs * Math.ceil(digits.length / how.batchSize);
  let step = 0;
  for (let epoch = 0; epoch < how.epochs; epoch++) {
    random.shuffle(order);
    let loss = 0;
    for (let start = 0; start < order.length; start += how.batchSize) {
      const end = Math.min(order.length, start + how.batchSize);
      for (let n = start; n < end; n++) {
        const digit = digits[order[n]!]!;
        loss += learn(state, how.vary(digit.pixels, random), digit.label);
      }
      const rate = how.learningRate * 0.5 * (1 + Math.cos((Math.PI * step++) / steps));
      for (const s of state) s.apply(rate / (end - start), how.momentum, rate * how.weightDecay);
    }
    how.onEpoch?.(epoch, loss / order.length);
  }
}

/** The probability of each class, in double precision. */
export function probabilities(layers: readonly Layer[], pixels: Float32Array): Float64Array {
  const scores = forward(
    layers.map((layer) => new LayerState(layer)),
    pixels,
  );
  const top = Math.max(...scores);
  const exps = scores.map((s) => Math.exp(s - top));
  const sum = exps.reduce((a, b) => a + b, 0);
  return exps.map((e) => e / sum);
}

/** The most probable class. */
export function classify(layers: readonly Layer[], pixels: Float32Array): number {
  const found = probabilities(layers, pixels);
  return found.indexOf(Math.max(...found));
}

class LayerState {
  readonly layer: Layer;
  readonly out: Float64Array;
  /** Loss gradient with respect to this layer's sums. */
  readonly delta: Float64Array;
  readonly weightGradient: Float64Array;
  readonly biasGradient: Float64Array;
  private readonly weightSpeed: Float64Array;
  private readonly biasSpeed: Float64Array;

  constructor(layer: Layer) {
    this.layer = layer;
    this.out = new Float64Array(layer.outputs);
    this.delta = new Float64Array(layer.outputs);
    this.weightGradient = new Float64Array(layer.weights.length);
    this.biasGradient = new Float64Array(layer.outputs);
    this.weightSpeed = new Float64Array(layer.weights.length);
    this.biasSpeed = new Float64Array(layer.outputs);
  }

  apply(rate: number, momentum: number, decay: number): void {
    const { weights, biases } = this.layer;
    for (let i = 0; i < weights.length; i++) {
      const speed = momentum * this.weightSpeed[i]! - rate * this.weightGradient[i]! - decay * weights[i]!;
      this.weightSpeed[i] = speed;
      weights[i] = weights[i]! + speed;
    }
    for (let o = 0; o < biases.length; o++) {
      const speed = momentum * this.biasSpeed[o]! - rate * this.biasGradient[o]!;
      this.biasSpeed[o] = speed;
      biases[o] = biases[o]! + speed;
    }
    this.weightGradient.fill(0);
    this.biasGradient.fill(0);
  }
}

type Vector = Float32Array | Float64Array;

function forward(state: readonly LayerState[], pixels: Float32Array): Float64Array {
  let input: Vector = pixels;
  state.forEach((s, l) => {
    const { weights, outputs, inputs, biases } = s.layer;
    s.out.set(biases);
    for (let i = 0; i < inputs; i++) {
      const x = input[i]!;
      if (x === 0) continue; // four pixels in five are paper
      const row = i * outputs;
      for (let o = 0; o < outputs; o++) s.out[o] = s.out[o]! + x * weights[row + o]!;
    }
    if (l < state.length - 1) for (let o = 0; o < outputs; o++) if (s.out[o]! < 0) s.out[o] = 0;
    input = s.out;
  });
  return state.at(-1)!.out;
}

/** Adds one digit's gradients; returns its loss. */
function learn(state: readonly LayerState[], pixels: Float32Array, label: number): number {
  const scores = forward(state, pixels);
  const last = state.at(-1)!;
  const top = Math.max(...scores);
  let sum = 0;
  for (let o = 0; o < scores.length; o++) sum += Math.exp(scores[o]! - top);
  for (let o = 0; o < scores.length; o++) {
    last.delta[o] = Math.exp(scores[o]! - top) / sum - (o === label ? 1 : 0);
  }
  for (let l = state.length - 1; l >= 0; l--) {
    accumulate(state[l]!, l === 0 ? pixels : state[l - 1]!.out, l === 0 ? undefined : state[l - 1]!.delta);
  }
  return Math.log(sum) + top - scores[label]!;
}

function accumulate(s: LayerState, input: Vector, below: Float64Array | undefined): void {
  const { weights, outputs, inputs } = s.layer;
  for (let o = 0; o < outputs; o++) s.biasGradient[o] = s.biasGradient[o]! + s.delta[o]!;
  for (let i = 0; i < inputs; i++) {
    const x = input[i]!;
    if (below !== undefined) below[i] = 0;
    if (x === 0) continue; // paper, or a unit that ReLU silenced: no gradient either way
    const row = i * outputs;
    let sum = 0;
    for (let o = 0; o < outputs; o++) {
      s.weightGradient[row + o] = s.weightGradient[row + o]! + x * s.delta[o]!;
      sum += weights[row + o]! * s.delta[o]!;
    }
    if (below !== undefined) below[i] = sum;
  }
}
