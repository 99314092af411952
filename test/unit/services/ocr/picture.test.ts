import assert from 'node:assert/strict';
import fc from 'fast-check';
import { cut, type Picture, resized, turned } from '../../../../services/ocr/picture.js';

/** Red tells the column, green the row. */
function grid(width: number, height: number): Picture {
  const rgb = Uint8Array.from({ length: 3 * width * height }, (_, i) => {
    const pixel = Math.floor(i / 3);
    return [pixel % width, Math.floor(pixel / width), 0][i % 3]!;
  });
  return { width, height, rgb };
}

const grey = (width: number, height: number, values: readonly number[]): Picture => ({
  width,
  height,
  rgb: Uint8Array.from(values.flatMap((v) => [v, v, v])),
});
const reds = ({ rgb }: Picture): number[] => [...rgb].filter((_, i) => i % 3 === 0);

describe('a picture', () => {
  it('is cut to a box, whose right and lower edge do not belong to it', () => {
    const part = cut(grid(5, 4), { left: 1, top: 2, right: 3, bottom: 4 });
    assert.deepEqual([part.width, part.height, [...part.rgb]], [2, 2, [1, 2, 0, 2, 2, 0, 1, 3, 0, 2, 3, 0]]);
  });

  it('is turned by 180 degrees, with the colours of each pixel in their order', () => {
    assert.deepEqual([...turned(grid(2, 2)).rgb], [1, 1, 0, 0, 1, 0, 1, 0, 0, 0, 0, 0]);
  });

  it('is the same after two turns', () => {
    const picture = grid(7, 3);
    assert.deepEqual(turned(turned(picture)), picture);
  });

  it('is reduced to means: no stroke vanishes between two samples', () => {
    const stroke = grey(8, 1, [255, 255, 255, 0, 255, 255, 255, 255]);
    const small = reds(resized(stroke, 2, 1));
    assert.ok(small[0]! < 230, `${small}`);
    assert.ok(small[0]! < small[1]!);
  });

  it('is enlarged with straight lines between its pixels', () => {
    assert.deepEqual(reds(resized(grey(2, 1, [0, 200]), 4, 1)), [0, 50, 150, 200]);
  });

  it('is the same picture in its own size', () => {
    const picture = grid(4, 4);
    assert.equal(resized(picture, 4, 4), picture);
  });

  it('of one colour has that colour in every size', () => {
    const size = fc.integer({ min: 1, max: 40 });
    fc.assert(
      fc.property(size, size, size, size, fc.integer({ min: 0, max: 255 }), (w, h, toW, toH, value) => {
        const result = resized(grey(w, h, new Array(w * h).fill(value)), toW, toH);
        assert.deepEqual([result.width, result.height, result.rgb.length], [toW, toH, 3 * toW * toH]);
        assert.ok(result.rgb.every((v) => v === value));
      }),
    );
  });
});
