import assert from 'node:assert/strict';
import {
  inReadingOrder,
  PADDLE_OPTIONS,
  regions,
  withMargin,
} from '../../../../../services/ocr/find/regions.js';
import type { Box } from '../../../../../services/ocr/picture.js';

const box = (left: number, top: number, right: number, bottom: number): Box => ({ left, top, right, bottom });

function mapWith(bars: readonly (readonly [Box, number])[], width = 100, height = 60) {
  const values = new Float32Array(width * height);
  for (const [{ left, top, right, bottom }, value] of bars)
    for (let y = top; y < bottom; y++) values.fill(value, y * width + left, y * width + right);
  return { width, height, values };
}

describe('regions of text', () => {
  const size = { width: 100, height: 60 };

  it('have a margin of area × 1.5 / perimeter on each side', () => {
    assert.deepEqual(withMargin(box(10, 10, 50, 20), 1.5), box(4, 4, 56, 26)); // 400 × 1.5 / 100
  });

  it('are in the scale of the picture', () => {
    const map = mapWith([[box(10, 10, 49, 19), 0.9]]); // 40 × 10 with the dilation
    assert.deepEqual(regions(map, size, PADDLE_OPTIONS), [box(4, 4, 56, 26)]);
    assert.deepEqual(regions(map, { width: 200, height: 60 }, PADDLE_OPTIONS), [box(8, 4, 112, 26)]);
  });

  it('end at the edges of the picture', () => {
    const map = mapWith([[box(0, 0, 100, 12), 0.9]]);
    const [found] = regions(map, size, PADDLE_OPTIONS);
    assert.deepEqual([found!.left, found!.top, found!.right], [0, 0, 100]);
  });

  it('are none for a part that is faint or a speck', () => {
    const map = mapWith([
      [box(10, 10, 60, 20), 0.4],
      [box(80, 40, 81, 41), 0.9],
    ]);
    assert.deepEqual(regions(map, size, PADDLE_OPTIONS), []);
  });

  it('are the largest ones when there are too many', () => {
    const map = mapWith([
      [box(10, 5, 40, 12), 0.9],
      [box(10, 30, 80, 40), 0.9],
    ]);
    const [found, ...others] = regions(map, size, { ...PADDLE_OPTIONS, maxBoxes: 1 });
    assert.equal(others.length, 0);
    assert.ok(found!.top > 12);
  });
});

describe('the order of reading', () => {
  it('is from top to bottom, and from left to right within a row', () => {
    const [title, left, right, below] = [
      box(20, 0, 80, 12),
      box(0, 21, 40, 30),
      box(50, 20, 90, 31),
      box(0, 40, 9, 50),
    ];
    assert.deepEqual(inReadingOrder([below, right, left, title]), [title, left, right, below]);
  });

  it('takes lines that overlap a little for two rows', () => {
    const [upper, lower] = [box(50, 0, 90, 20), box(0, 15, 40, 35)];
    assert.deepEqual(inReadingOrder([lower, upper]), [upper, lower]);
  });
});
