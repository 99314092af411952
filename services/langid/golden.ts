import type { Golden } from '../fetch/recipe.js';

/** 50 languages, and none. */
const CLASSES = 51;
/** What lande 1.0.10 itself answers, in its order of languages; the others are below 0.000002. */
const DANISH = { place: 10, value: 0.77392 };
const NORWEGIAN = { place: 35, value: 0.215317 };
const SWEDISH = { place: 45, value: 0.0107482 };
const ICELANDIC = { place: 25, value: 0.0000117 };

const probabilities = new Array<number>(CLASSES).fill(0);
for (const { place, value } of [DANISH, NORWEGIAN, SWEDISH, ICELANDIC]) probabilities[place] = value;

/** A sentence that is told from its neighbours, but not surely: its answer moves with the weights. */
export const GOLDEN: Golden = {
  tolerance: 0.0001,
  inputs: { text: { shape: [1], values: ['Hvilket sprog er denne sætning skrevet på?'] } },
  outputs: { language: { values: ['dan'] }, probabilities: { values: probabilities } },
};
