import assert from 'node:assert/strict';
import { components } from '../../../../../services/ocr/find/components.js';

/** Digits are tenths. */
function map(rows: readonly string[]) {
  const values = Float32Array.from(rows.join(''), (digit) => Number(digit) / 10);
  return { width: rows[0]!.length, height: rows.length, values };
}

describe('connected parts of a map', () => {
  it('have the box of their pixels, one wider and higher by the dilation', () => {
    const [part, ...others] = components(map(['00000', '09900', '00000', '00000']), 0.3);
    assert.deepEqual(part!.box, { left: 1, top: 1, right: 4, bottom: 3 });
    assert.equal(others.length, 0);
  });

  it('are one across a gap of one pixel, or a corner', () => {
    assert.equal(components(map(['9000', '0000', '0090']), 0.3).length, 1);
    assert.equal(components(map(['909']), 0.3).length, 1);
  });

  it('are two when two pixels lie between them', () => {
    assert.equal(components(map(['90009']), 0.3).length, 2);
  });

  it('have the mean of their own pixels, not of all in their box', () => {
    const [part] = components(map(['60006', '66666']), 0.3);
    // The dilation takes in the zeros beside and between: (6×0.6 + 1×0.6 + 2×0) / 10 at most.
    assert.ok(part!.mean > 0.4 && part!.mean < 0.6, `${part!.mean}`);
  });

  it('end at the edges of the map', () => {
    const [part] = components(map(['99', '99']), 0.3);
    assert.deepEqual(part!.box, { left: 0, top: 0, right: 2, bottom: 2 });
    assert.ok(Math.abs(part!.mean - 0.9) < 1e-6);
  });

  it('are none where nothing is above the threshold', () => {
    assert.deepEqual(components(map(['222', '222']), 0.3), []);
  });
});
