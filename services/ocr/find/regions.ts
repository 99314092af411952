/**
 * From the map of a detection network to the boxes of text lines: PaddleOCR's post-processing of Differentiable
 * Binarization (`DBPostProcess`), for lines that run horizontally. There the smallest rectangle around a part is an upright
 * one, and its expansion by the clipper library is the same rectangle with a margin.
 */

import type { Box } from '../picture.js';
import { components, type ProbabilityMap } from './components.js';

/** What makes a part of the map a line of text. The defaults are those of PaddleOCR. */
export interface RegionOptions {
  /** A pixel belongs to text above this probability. */
  readonly threshold: number;
  /** Mean probability that the pixels of a part have at least (`score_mode: slow`). */
  readonly boxThreshold: number;
  /** The network is trained to mark lines thinner than they are; the margin is area × this / perimeter. */
  readonly unclip: number;
  /** Boxes at most; the largest ones are kept. */
  readonly maxBoxes: number;
}

/** PaddleOCR's: 0.3, 0.6, 1.5, 1,000. */
export const PADDLE_OPTIONS: RegionOptions = {
  threshold: 0.3,
  boxThreshold: 0.6,
  unclip: 1.5,
  maxBoxes: 1000,
};

/** A part of the map with a side shorter than this is noise. */
const MIN_SIDE = 3;

/**
 * Boxes of lines in a picture, in the order of reading.
 *
 * @param picture its size: the map may have another one.
 */
export function regions(
  map: ProbabilityMap,
  picture: { readonly width: number; readonly height: number },
  options: RegionOptions,
): Box[] {
  const parts = components(map, options.threshold)
    .filter(({ mean }) => mean >= options.boxThreshold)
    .map(({ box }) => box)
    .filter((box) => Math.min(box.right - box.left, box.bottom - box.top) >= MIN_SIDE);
  const largest = parts.sort((a, b) => area(b) - area(a)).slice(0, options.maxBoxes);
  const [across, down] = [picture.width / map.width, picture.height / map.height];
  const boxes = largest.map((part) => {
    const wide = withMargin(part, options.unclip);
    return {
      left: clamp(Math.round(wide.left * across), picture.width - 1),
      top: clamp(Math.round(wide.top * down), picture.height - 1),
      right: clamp(Math.round(wide.right * across), picture.width),
      bottom: clamp(Math.round(wide.bottom * down), picture.height),
    };
  });
  return inReadingOrder(boxes.filter((b) => b.right - b.left > MIN_SIDE && b.bottom - b.top > MIN_SIDE));
}

/** The box with the margin of `unclip`: area × ratio / perimeter on each side. */
export function withMargin(box: Box, ratio: number): Box {
  const margin = (area(box) * ratio) / (2 * (box.right - box.left + box.bottom - box.top));
  return {
    left: box.left - margin,
    top: box.top - margin,
    right: box.right + margin,
    bottom: box.bottom + margin,
  };
}

/**
 * From top to bottom; boxes of one row from left to right. Two boxes are of one row when the middle of each lies between
 * the upper and the lower edge of the other.
 */
export function inReadingOrder(boxes: readonly Box[]): Box[] {
  const rows: Box[][] = [];
  for (const box of [...boxes].sort((a, b) => middle(a) - middle(b))) {
    const row = rows.at(-1);
    if (row !== undefined && isSameRow(row.at(-1)!, box)) row.push(box);
    else rows.push([box]);
  }
  return rows.flatMap((row) => row.sort((a, b) => a.left - b.left));
}

function isSameRow(a: Box, b: Box): boolean {
  const holds = (box: Box, y: number) => box.top < y && y < box.bottom;
  return holds(a, middle(b)) && holds(b, middle(a));
}

function middle({ top, bottom }: Box): number {
  return (top + bottom) / 2;
}

function area({ left, top, right, bottom }: Box): number {
  return (right - left) * (bottom - top);
}

function clamp(value: number, max: number): number {
  return Math.min(Math.max(value, 0), max);
}
