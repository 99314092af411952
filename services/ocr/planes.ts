import type { Picture } from './picture.js';

/** How a network wants its pixels: (value / 255 − mean) / deviation, for blue, green and red. */
export interface Normalisation {
  readonly mean: readonly [number, number, number];
  readonly deviation: readonly [number, number, number];
}

/** From −1 to 1: what PaddleOCR's networks for lines (orientation, recognition) were trained with. */
export const PLUS_MINUS_ONE: Normalisation = { mean: [0.5, 0.5, 0.5], deviation: [0.5, 0.5, 0.5] };

/** ImageNet's mean and deviation: what its network for whole pages (detection) was trained with. */
export const IMAGENET: Normalisation = { mean: [0.485, 0.456, 0.406], deviation: [0.229, 0.224, 0.225] };

/**
 * A picture as three planes of numbers, [3, height, width]: blue, green, red, the order of OpenCV's pictures, with which
 * PaddleOCR trains. What a wider plane has to the right of the picture is 0.
 *
 * @param width of the planes, at least that of the picture.
 */
export function planes(
  picture: Picture,
  { mean, deviation }: Normalisation,
  width = picture.width,
): Float32Array {
  const { height, rgb } = picture;
  const out = new Float32Array(3 * width * height);
  for (let plane = 0; plane < 3; plane++) {
    const factor = 1 / (255 * deviation[plane]!);
    const shift = mean[plane]! / deviation[plane]!;
    for (let y = 0; y < height; y++) {
      const row = (plane * height + y) * width;
      let from = 3 * y * picture.width + 2 - plane;
      for (let x = 0; x < picture.width; x++, from += 3) out[row + x] = rgb[from]! * factor - shift;
    }
  }
  return out;
}
