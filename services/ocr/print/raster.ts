/** Outlines of glyphs to shades of grey: each pixel is covered by the share of its area that lies inside the outline. */

import type { Glyph, OutlinePoint } from './truetype.js';

/** Rows of samples in one pixel; along a row the covered share is exact. */
const ROWS = 8;
/** Straight pieces that stand for one curve. */
const PIECES = 6;

/** Shares from 0 to 1, row by row. */
export interface Coverage {
  readonly width: number;
  readonly height: number;
  readonly shares: Float32Array;
}

/** Where a glyph is drawn: font units × `scale` are pixels; the origin of the glyph is at (`x`, `y`), y downwards. */
export interface Placement {
  readonly scale: number;
  readonly x: number;
  readonly y: number;
}

/** Adds a glyph to the coverage (non-zero winding, as TrueType fills). What lies outside is cut off. */
export function drawGlyph(onto: Coverage, { contours }: Glyph, { scale, x, y }: Placement): void {
  const rows = new Map<number, { x: number; turn: number }[]>();
  for (const contour of contours) {
    const corners = flattened(contour).map((p) => [x + p.x * scale, y - p.y * scale] as const);
    corners.forEach(([ax, ay], i) => {
      const [bx, by] = corners[(i + 1) % corners.length]!;
      const [top, bottom] = [Math.min(ay, by), Math.max(ay, by)];
      const last = Math.min(onto.height * ROWS - 1, Math.ceil(bottom * ROWS - 0.5) - 1);
      for (let row = Math.max(0, Math.ceil(top * ROWS - 0.5)); row <= last; row++) {
        const crossing = ax + (((row + 0.5) / ROWS - ay) / (by - ay)) * (bx - ax);
        if (!rows.has(row)) rows.set(row, []);
        rows.get(row)!.push({ x: crossing, turn: by > ay ? 1 : -1 });
      }
    });
  }
  for (const [row, crossings] of rows) {
    crossings.sort((a, b) => a.x - b.x);
    let winding = 0;
    crossings.forEach((crossing, i) => {
      winding += crossing.turn;
      if (winding !== 0) addSpan(onto, Math.floor(row / ROWS), crossing.x, crossings[i + 1]!.x);
    });
  }
}

function addSpan({ width, shares }: Coverage, row: number, from: number, to: number): void {
  const [left, right] = [Math.max(0, from), Math.min(width, to)];
  for (let x = Math.floor(left); x < right; x++) {
    const share = Math.min(right, x + 1) - Math.max(left, x);
    const at = row * width + x;
    shares[at] = Math.min(1, shares[at]! + share / ROWS);
  }
}

/** A closed contour as corners of a polygon. Between two points off the curve lies one on it, in the middle. */
function flattened(contour: readonly OutlinePoint[]): { x: number; y: number }[] {
  const points = contour.flatMap((point, i) => {
    const before = contour.at(i - 1)!;
    if (point.onCurve || before.onCurve) return [point];
    return [{ x: (before.x + point.x) / 2, y: (before.y + point.y) / 2, onCurve: true }, point];
  });
  return points.flatMap((point, i) => {
    if (point.onCurve) return [point];
    const [from, to] = [points.at(i - 1)!, points[(i + 1) % points.length]!];
    return Array.from({ length: PIECES - 1 }, (_, piece) => {
      const t = (piece + 1) / PIECES;
      const curve = (a: number, b: number, c: number) => (1 - t) ** 2 * a + 2 * t * (1 - t) * b + t ** 2 * c;
      return { x: curve(from.x, point.x, to.x), y: curve(from.y, point.y, to.y) };
    });
  });
}
