import type { Box } from '../picture.js';

/** A map of probabilities, row by row. */
export interface ProbabilityMap {
  readonly width: number;
  readonly height: number;
  readonly values: Float32Array;
}

/** A connected part of a map. */
export interface Component {
  readonly box: Box;
  /** Of the probabilities of its own pixels. */
  readonly mean: number;
}

/**
 * The connected parts of a map that are above a threshold. Diagonal neighbours are connected, as in
 * OpenCV's contours; each pixel above is widened by one to the right and down first (the 2 × 2 dilation of PaddleOCR's
 * `use_dilation`), which joins the parts of one line that a thin gap separates.
 *
 * @returns in no particular order.
 */
export function components({ width, height, values }: ProbabilityMap, threshold: number): Component[] {
  const above = new Uint8Array(width * height);
  for (let y = 0, at = 0; y < height; y++)
    for (let x = 0; x < width; x++, at++) {
      if (values[at]! <= threshold) continue;
      above[at] = 1;
      if (x + 1 < width) above[at + 1] = 1;
      if (y + 1 < height) above[at + width] = 1;
      if (x + 1 < width && y + 1 < height) above[at + width + 1] = 1;
    }
  const parts: Component[] = [];
  const waiting: number[] = [];
  for (let start = 0; start < above.length; start++) {
    if (above[start] === 0) continue;
    let [left, top, right, bottom, sum, count] = [width, height, 0, 0, 0, 0];
    above[start] = 0; // each pixel is taken once
    waiting.push(start);
    for (let at = waiting.pop(); at !== undefined; at = waiting.pop()) {
      const x = at % width;
      const y = (at - x) / width;
      sum += values[at]!;
      count++;
      left = Math.min(left, x);
      right = Math.max(right, x + 1);
      top = Math.min(top, y);
      bottom = Math.max(bottom, y + 1);
      for (let v = Math.max(0, y - 1); v <= Math.min(height - 1, y + 1); v++)
        for (let u = Math.max(0, x - 1); u <= Math.min(width - 1, x + 1); u++) {
          const next = v * width + u;
          if (above[next] === 0) continue;
          above[next] = 0;
          waiting.push(next);
        }
    }
    parts.push({ box: { left, top, right, bottom }, mean: sum / count });
  }
  return parts;
}
