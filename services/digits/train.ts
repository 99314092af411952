/**
 * Makes both digits models from the same data: `npx tsx services/digits/train.ts [--out DIR]` (default services/digits).
 * Everything is seeded: a second run writes the same bytes. Prints the accuracy on the held-out digits.
 */

import { createHash } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { CLASSES, type Digit, heldOut, PIXELS, SIDE, trainingSet } from './dataset.js';
import { toOnnx } from './export-onnx.js';
import { classify, type Layer, network, probabilities, type Training, train } from './network.js';
import { type Random, seededRandom } from './random.js';

/** What decides every bit of a model: the sizes of its layers, its seed and how it is trained. */
export interface Recipe {
  readonly folder: string;
  readonly description: string;
  readonly sizes: readonly number[];
  readonly seed: number;
  readonly maxBatch: number;
  readonly training: Training;
}

const full: Recipe = {
  folder: 'models/digits/1',
  description: 'Hand-written digits: a network of 784-128-10',
  sizes: [PIXELS, 128, CLASSES],
  seed: 42,
  maxBatch: 32,
  training: {
    epochs: 20,
    batchSize: 32,
    learningRate: 0.1,
    momentum: 0.9,
    weightDecay: 1e-4,
    vary: (pixels, random) => shifted(pixels, step(random), step(random)),
  },
};

const lite: Recipe = {
  folder: 'lite/models/digits/1',
  description: 'Hand-written digits, the small one: multinomial logistic regression',
  sizes: [PIXELS, CLASSES],
  seed: 42,
  maxBatch: 32,
  training: {
    epochs: 20,
    batchSize: 32,
    learningRate: 0.02,
    momentum: 0.9,
    weightDecay: 1e-3,
    vary: (pixels) => pixels,
  },
};

/** The models of this package. */
export const recipes = { full, lite };

/** What is written for one model, and the layers that are in it. */
export interface Made {
  readonly onnx: Buffer;
  readonly card: string;
  readonly layers: readonly Layer[];
}

/** Trains one recipe and writes its model.onnx and model.yaml as bytes and text. */
export function make(recipe: Recipe, digits: readonly Digit[], held: readonly Digit[]): Made {
  const random = seededRandom(recipe.seed);
  const layers = network(recipe.sizes, random);
  train(layers, digits, recipe.training, random);
  const onnx = toOnnx(layers, 'digits');
  return { onnx, card: card(recipe, onnx, layers, goldenOf(layers, held)), layers };
}

/** A held-out digit that is read right but not surely: its answer moves with every weight, a sure one's hardly does. */
function goldenOf(layers: readonly Layer[], held: readonly Digit[]): Digit {
  const unsure = held.find(({ pixels, label }) => {
    const p = probabilities(layers, pixels)[label]!;
    return p > 0.6 && p < 0.8;
  });
  if (unsure === undefined) throw new Error('no held-out digit is fit to be the golden one');
  return unsure;
}

/** −1, 0 or 1 pixel. */
function step(random: Random): number {
  return Math.floor(random.next() * 3) - 1;
}

function shifted(pixels: Float32Array, dx: number, dy: number): Float32Array {
  if (dx === 0 && dy === 0) return pixels;
  const out = new Float32Array(PIXELS);
  for (let y = Math.max(0, dy); y < SIDE + Math.min(0, dy); y++) {
    for (let x = Math.max(0, dx); x < SIDE + Math.min(0, dx); x++) {
      out[y * SIDE + x] = pixels[(y - dy) * SIDE + x - dx]!;
    }
  }
  return out;
}

function card(recipe: Recipe, onnx: Buffer, layers: readonly Layer[], golden: Digit): string {
  const values = Array.from(golden.pixels, (v) => Number(v.toFixed(4)));
  const expected = Array.from(probabilities(layers, golden.pixels), (v) => Number(v.toFixed(7)));
  return `# Written by services/digits/train.ts. How this model was made and what it can do: CARD.md.
description: "${recipe.description}"
sha256: ${createHash('sha256').update(onnx).digest('hex')}
labels: [${Array.from({ length: CLASSES }, (_, label) => `"${label}"`).join(', ')}]
batching:
  max_batch: ${recipe.maxBatch}
properties:
  input_kind: image/grey
  input_height: ${SIDE}
  input_width: ${SIDE}
  normalise: ink-centred
golden: # a held-out ${golden.label}
  tolerance: 0.0001
  inputs:
    pixels:
      shape: [1, ${PIXELS}]
      values: |
${rows(values, SIDE)}
  outputs:
    probabilities:
      values: |
        ${expected.join(' ')}
`;
}

function rows(values: readonly number[], width: number): string {
  const lines: string[] = [];
  for (let i = 0; i < values.length; i += width)
    lines.push(`        ${values.slice(i, i + width).join(' ')}`);
  return lines.join('\n');
}

function main(): void {
  const { values } = parseArgs({ options: { out: { type: 'string', default: 'services/digits' } } });
  const digits = trainingSet();
  const held = heldOut();
  for (const recipe of Object.values(recipes)) {
    const made = make(recipe, digits, held);
    const folder = join(values.out, recipe.folder);
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, 'model.onnx'), made.onnx);
    writeFileSync(join(folder, 'model.yaml'), made.card);
    const right = held.filter((d) => classify(made.layers, d.pixels) === d.label).length;
    const accuracy = ((100 * right) / held.length).toFixed(2);
    process.stdout.write(
      `${folder}: ${made.onnx.length} bytes, ${accuracy} % of ${held.length} held-out digits\n`,
    );
  }
}

if (process.argv[1]?.match(/services[\\/]digits[\\/]train\.[jt]s$/)) main();
