import assert from 'node:assert/strict';
import { WINDOW, windowsOf } from '../../../../../services/ocr/orient/windows.js';
import type { Picture } from '../../../../../services/ocr/picture.js';

/** One row; red and green together tell the column. */
function row(width: number): Picture {
  const rgb = Uint8Array.from({ length: 3 * width }, (_, i) => {
    const column = Math.floor(i / 3);
    return [column >> 8, column & 0xff, 0][i % 3]!;
  });
  return { width, height: 1, rgb };
}
const first = ({ rgb }: Picture): number => (rgb[0]! << 8) + rgb[1]!;

describe('windows of a line', () => {
  it('are the line itself when it fits into one', () => {
    const line = row(WINDOW);
    assert.deepEqual(windowsOf(line), [line]);
  });

  it('are its beginning and its end when it is a little longer', () => {
    assert.deepEqual(windowsOf(row(WINDOW + 1)).map(first), [0, 1]);
  });

  it('are three of a long line, from its first to its last column', () => {
    const windows = windowsOf(row(1192));
    assert.deepEqual(windows.map(first), [0, 500, 1000]);
    assert.ok(windows.every(({ width }) => width === WINDOW));
  });
});
