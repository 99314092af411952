import { table } from '../../terminal.js';
import { isNumber, type Output } from '../output.js';

/** Something found in a picture. */
export interface FoundBox {
  /** Pixels of the picture that was sent, as the model gives them: left, top, right, bottom, or corners. */
  readonly box: readonly number[];
  readonly text?: string;
  readonly score?: number;
}

const BOX_SIZES = [4, 8];

/**
 * What was found: an output of numbers with 4 (left, top, right, bottom) or 8 (corners) for each box, and
 * beside it a text (BYTES) and a score for each, where there are such outputs. Undefined where there are
 * no boxes.
 */
export function boxesOf(outputs: readonly Output[]): FoundBox[] | undefined {
  const boxes = outputs.find(
    ({ shape, data }) => BOX_SIZES.includes(sizeOf(shape)) && data.every(isNumber) && shape.length >= 2,
  );
  if (boxes === undefined) return undefined;
  const size = sizeOf(boxes.shape);
  const count = boxes.data.length / size;
  const beside = outputs.filter((output) => output !== boxes && output.data.length === count);
  const texts = beside.find(({ datatype }) => datatype === 'BYTES');
  const scores = beside.find(({ datatype }) => datatype.startsWith('FP'));
  return Array.from({ length: count }, (_, i) => ({
    box: boxes.data.slice(i * size, (i + 1) * size).map(Number),
    ...(texts === undefined ? {} : { text: String(texts.data[i]) }),
    ...(scores === undefined ? {} : { score: Number(scores.data[i]) }),
  }));
}

/** A line for each: text, certainty, place. */
export function boxText(boxes: readonly FoundBox[]): string {
  if (boxes.length === 0) return 'nothing found';
  const rows = boxes.map(({ box, text = '', score }) => [
    text,
    score === undefined ? '' : `${(100 * score).toFixed(1)} %`,
    box.map((v) => Math.round(v)).join(' '),
  ]);
  return table(['text', 'score', 'box'], rows);
}

/** Numbers of one box: the last dimension, or corners as [n, 4, 2]. */
function sizeOf(shape: readonly number[]): number {
  return shape.length >= 3 && shape.at(-1) === 2 ? 2 * shape.at(-2)! : (shape.at(-1) ?? 0);
}
