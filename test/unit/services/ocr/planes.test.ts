import assert from 'node:assert/strict';
import { IMAGENET, PLUS_MINUS_ONE, planes } from '../../../../services/ocr/planes.js';

const near = (found: number, expected: number): void =>
  assert.ok(Math.abs(found - expected) < 1e-5, `${found}, expected ${expected}`);

describe('planes of a picture', () => {
  const twoPixels = { width: 2, height: 1, rgb: Uint8Array.of(255, 0, 51, 0, 255, 204) };

  it('are blue, green and red, from −1 to 1', () => {
    const found = planes(twoPixels, PLUS_MINUS_ONE);
    [-0.6, 0.6, -1, 1, 1, -1].forEach((expected, i) => {
      near(found[i]!, expected);
    });
  });

  it('have the mean and the deviation of each plane taken out', () => {
    const [blue, , green, , red] = planes(twoPixels, IMAGENET) as unknown as number[];
    near(blue!, (0.2 - 0.485) / 0.229);
    near(green!, (0 - 0.456) / 0.224);
    near(red!, (1 - 0.406) / 0.225);
  });

  it('are 0 to the right of the picture', () => {
    const wide = planes(twoPixels, PLUS_MINUS_ONE, 4);
    assert.equal(wide.length, 12);
    for (const plane of [0, 4, 8]) assert.deepEqual([wide[plane + 2], wide[plane + 3]], [0, 0]);
    near(wide[8]!, 1);
  });
});
