import assert from 'node:assert/strict';
import { type Coverage, drawGlyph } from '../../../../../services/ocr/print/raster.js';
import type { OutlinePoint } from '../../../../../services/ocr/print/truetype.js';

const paper = (width: number, height: number): Coverage => ({
  width,
  height,
  shares: new Float32Array(width * height),
});
const square = (from: number, to: number): OutlinePoint[] =>
  [
    [from, from],
    [to, from],
    [to, to],
    [from, to],
  ].map(([x, y]) => ({ x: x!, y: y!, onCurve: true }));
const at = { scale: 1, x: 0, y: 4 };
const sum = ({ shares }: Coverage): number => shares.reduce((a, b) => a + b, 0);

describe('a drawn glyph', () => {
  it('covers whole pixels and parts of others', () => {
    const onto = paper(4, 4);
    drawGlyph(onto, { contours: [square(1, 2.5)], advance: 4 }, at);
    assert.deepEqual([...onto.shares.subarray(4, 8)], [0, 0.5, 0.25, 0]); // y is upwards: the upper edge is at 1.5
    assert.deepEqual([...onto.shares.subarray(8, 12)], [0, 1, 0.5, 0]);
    assert.ok(Math.abs(sum(onto) - 2.25) < 1e-6);
  });

  it('has a hole where a contour runs the other way', () => {
    const onto = paper(4, 4);
    drawGlyph(onto, { contours: [square(0, 4), square(1, 3).reverse()], advance: 4 }, at);
    assert.equal(sum(onto), 12);
  });

  it('is filled where two contours of one direction overlap', () => {
    const onto = paper(4, 4);
    drawGlyph(onto, { contours: [square(0, 3), square(1, 4)], advance: 4 }, at);
    assert.equal(sum(onto), 14);
  });

  it('is round between points that lie off the curve', () => {
    const onto = paper(40, 40);
    const points = square(0, 40).map((point) => ({ ...point, onCurve: false }));
    drawGlyph(onto, { contours: [points], advance: 40 }, { scale: 1, x: 0, y: 40 });
    // Four parabolas from middle to middle of the edges enclose 5/6 of the square.
    assert.ok(Math.abs(sum(onto) / 1600 - 5 / 6) < 0.01, `${sum(onto) / 1600}`);
  });

  it('is cut off at the edges', () => {
    const onto = paper(2, 2);
    drawGlyph(onto, { contours: [square(-10, 10)], advance: 4 }, { ...at, y: 1 });
    assert.equal(sum(onto), 4);
  });
});
