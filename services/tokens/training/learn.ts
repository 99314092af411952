/** How a network learns a text: streams side by side, window after window, a rate that falls to zero along half a cosine. */

import { seededRandom } from '../../digits/random.js';
import { Adam } from './adam.js';
import { Backpropagation } from './backpropagation.js';
import { type Gru, initialised, partsOf, type Sizes } from './gru.js';

/** What decides every bit of a network, besides its text. */
export interface Recipe {
  readonly seed: number;
  readonly embedding: number;
  readonly units: number;
  /** Times over the text. */
  readonly epochs: number;
  /** Parts of the text that are read side by side. */
  readonly streams: number;
  /** Tokens of each stream that gradients go back over. */
  readonly steps: number;
  /** The largest step of Adam; reached after `warmUp` windows. */
  readonly rate: number;
  readonly warmUp: number;
  /** Longer gradients are shortened to this norm. */
  readonly norm: number;
}

/** Told after each window: how many there were, of how many, and its mean loss in bits for a token. */
export type OnWindow = (done: number, all: number, bits: number) => void;

/** A network of its own for `tokens`, numbers below `vocabulary`. The same arguments give the same bits. */
export function learn(tokens: Uint8Array, vocabulary: number, recipe: Recipe, onWindow?: OnWindow): Gru {
  const { streams, steps, epochs } = recipe;
  const sizes: Sizes = { vocabulary, embedding: recipe.embedding, units: recipe.units };
  const net = initialised(sizes, seededRandom(recipe.seed));
  const backpropagation = new Backpropagation(net, streams, steps);
  const adam = new Adam(partsOf(net));
  const length = Math.floor((tokens.length - 1) / streams);
  const windows = Math.floor(length / steps);
  if (windows === 0)
    throw new Error(`found ${tokens.length} tokens, expected ${streams * steps + 1} at least`);
  const window = new Uint8Array((steps + 1) * streams);
  for (let i = 0; i < epochs * windows; i++) {
    const start = (i % windows) * steps;
    if (start === 0) backpropagation.reset();
    for (let t = 0; t <= steps; t++)
      for (let s = 0; s < streams; s++) window[t * streams + s] = tokens[s * length + start + t]!;
    const loss = backpropagation.learn(window);
    const rise = Math.min(1, (i + 1) / recipe.warmUp);
    const fall = 0.5 * (1 + Math.cos((Math.PI * i) / (epochs * windows)));
    adam.step(partsOf(backpropagation.gradients), recipe.rate * rise * fall, recipe.norm);
    onWindow?.(i + 1, epochs * windows, loss / Math.LN2);
  }
  return net;
}
