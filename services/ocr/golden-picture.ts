/**
 * The word of the golden inputs, drawn as a grid: nothing has to be fetched or decoded to prove a model, and a person sees
 * what it must read.
 */

import { asLine } from './lines.js';
import type { Picture } from './picture.js';

/** What stands there. */
export const WORD = 'HELLO';
const ART = [
  '#   #  #####  #      #       ### ',
  '#   #  #      #      #      #   #',
  '#   #  #      #      #      #   #',
  '#####  ####   #      #      #   #',
  '#   #  #      #      #      #   #',
  '#   #  #      #      #      #   #',
  '#   #  #####  #####  #####   ### ',
];
/** Pixels of one place of the grid, and of the paper around the word. */
const SCALE = 4;
const MARGIN = 16;

/** Black on white, with paper around. */
export function goldenPage(): Picture {
  return draw(MARGIN);
}

/** The same as one line, cut closely. */
export function goldenLine(): Picture {
  return asLine(draw(SCALE));
}

function draw(margin: number): Picture {
  const width = SCALE * ART[0]!.length + 2 * margin;
  const height = SCALE * ART.length + 2 * margin;
  const rgb = new Uint8Array(3 * width * height).fill(255);
  for (let y = margin; y < height - margin; y++)
    for (let x = margin; x < width - margin; x++) {
      const isInk = ART[Math.floor((y - margin) / SCALE)]![Math.floor((x - margin) / SCALE)] === '#';
      if (isInk) rgb.fill(0, 3 * (y * width + x), 3 * (y * width + x + 1));
    }
  return { width, height, rgb };
}
