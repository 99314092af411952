import { type Digit, SIDE } from './dataset.js';
import { encodeGreyPng } from './png.js';

/** How a digit is drawn in a picture. */
export interface Rendering {
  /** Edge of one data-set pixel in the picture. */
  readonly scale: number;
  /** Empty paper around, in picture pixels. */
  readonly left: number;
  readonly top: number;
  readonly right: number;
  readonly bottom: number;
  readonly ink: 'dark' | 'light';
}

/**
 * A digit of the data set as a scanner might give it: larger, dark on light, not centred. For samples and tests.
 */
export function renderDigit(digit: Digit, how: Rendering): Buffer {
  const inner = Math.round(SIDE * how.scale);
  const width = how.left + inner + how.right;
  const height = how.top + inner + how.bottom;
  const grey = new Uint8Array(width * height).fill(how.ink === 'dark' ? 255 : 0);
  for (let y = 0; y < inner; y++) {
    for (let x = 0; x < inner; x++) {
      const value = Math.round(
        255 * sample(digit.pixels, (x + 0.5) / how.scale - 0.5, (y + 0.5) / how.scale - 0.5),
      );
      grey[(y + how.top) * width + x + how.left] = how.ink === 'dark' ? 255 - value : value;
    }
  }
  return encodeGreyPng(width, height, grey);
}

/** Bilinear; paper outside. */
function sample(pixels: Float32Array, x: number, y: number): number {
  const [x0, y0] = [Math.floor(x), Math.floor(y)];
  const at = (px: number, py: number) =>
    px < 0 || px >= SIDE || py < 0 || py >= SIDE ? 0 : pixels[py * SIDE + px]!;
  const [fx, fy] = [x - x0, y - y0];
  const upper = at(x0, y0) * (1 - fx) + at(x0 + 1, y0) * fx;
  const lower = at(x0, y0 + 1) * (1 - fx) + at(x0 + 1, y0 + 1) * fx;
  return upper * (1 - fy) + lower * fy;
}
