import assert from 'node:assert/strict';
import { type Box, labelPlaces } from '../../../../sidecar/cli/page/label-places.js';

describe('words on the lines of the picture', () => {
  const size = { width: 100, height: 40 };
  const line = (y1: number, y2: number) => ({ x1: 0, y1, x2: 300, y2, ...size });
  const areCovered = (boxes: readonly Box[]): boolean =>
    boxes.some((a, i) =>
      boxes.some(
        (b, j) =>
          i < j &&
          Math.abs(a.x - b.x) < (a.width + b.width) / 2 &&
          Math.abs(a.y - b.y) < (a.height + b.height) / 2,
      ),
    );

  it('stand in the middle where there is room', () => {
    assert.deepEqual(labelPlaces([line(0, 100)], []), [{ x: 150, y: 50, ...size }]);
  });

  it('of two services that call each other, or of lines that cross, do not cover each other', () => {
    for (const lines of [
      [line(0, 0), { x1: 300, y1: 0, x2: 0, y2: 0, ...size }],
      [line(0, 92), line(92, 0)],
      [line(0, 0), line(0, 60), line(0, 120)],
    ])
      assert.ok(!areCovered(labelPlaces(lines, [])), JSON.stringify(lines));
  });

  it('cover no service that the line passes', () => {
    const service = { x: 150, y: 0, width: 90, height: 40 };
    assert.ok(!areCovered([service, ...labelPlaces([line(0, 0)], [service])]));
  });

  it('stand where they cover least if nothing is free', () => {
    const wall = { x: 150, y: 0, width: 1_000, height: 60 };
    assert.equal(labelPlaces([line(-5, 5)], [wall])[0]!.y, 43);
  });
});
