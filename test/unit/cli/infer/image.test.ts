import assert from 'node:assert/strict';
import { PNG } from 'pngjs';
import { centredInk, decodePng, type Grey, ImageError, toSize } from '../../../../sidecar/cli/infer/image.js';

/** A picture from rows of characters: '#' ink, '.' paper. */
function drawn(rows: readonly string[], ink: number, paper: number): Buffer {
  const png = new PNG({ width: rows[0]!.length, height: rows.length });
  rows.forEach((row, y) => {
    [...row].forEach((c, x) => {
      png.data.set([...new Array(3).fill(c === '#' ? ink : paper), 255], (y * png.width + x) * 4);
    });
  });
  return PNG.sync.write(png);
}

const seven = [
  '..........',
  '..#####...',
  '......#...',
  '.....#....',
  '....#.....',
  '....#.....',
  '..........',
  '..........',
];

const massCentre = ({ width, values }: Grey) => {
  const mass = values.reduce((a, b) => a + b, 0);
  const x = values.reduce((a, v, i) => a + v * (i % width), 0) / mass;
  const y = values.reduce((a, v, i) => a + v * Math.floor(i / width), 0) / mass;
  return { x, y };
};

describe('a picture for an image model', () => {
  it('is the same whether its ink is dark or light, faint or strong', () => {
    const light = centredInk(decodePng(drawn(seven, 255, 0)), 28, 28);
    for (const [ink, paper] of [
      [0, 255],
      [90, 200],
      [240, 128],
      [10, 120],
    ] as const) {
      const other = centredInk(decodePng(drawn(seven, ink, paper)), 28, 28);
      other.values.forEach((v, i) => {
        assert.ok(Math.abs(v - light.values[i]!) < 1e-5);
      });
    }
  });

  it('puts the ink into 20 of 28 pixels, in the middle by mass, strongest ink 1, its aspect kept', () => {
    const { values, width } = centredInk(decodePng(drawn(seven, 0, 255)), 28, 28);
    const lit = [...values.keys()].filter((i) => values[i]! > 0.05);
    const [xs, ys] = [lit.map((i) => i % width), lit.map((i) => Math.floor(i / width))];
    const spanOf = (all: number[]) => Math.max(...all) - Math.min(...all) + 1;
    assert.deepEqual([spanOf(xs), spanOf(ys)], [20, 20]);
    assert.equal(Math.max(...values), 1);
    const centre = massCentre({ width, height: 28, values });
    assert.ok(Math.abs(centre.x - 13.5) <= 0.5 && Math.abs(centre.y - 13.5) <= 0.5, JSON.stringify(centre));
    const flat = centredInk(decodePng(drawn(['.......', '.#####.', '.......'], 0, 255)), 28, 28);
    const rows = new Set(
      [...flat.values.keys()].filter((i) => flat.values[i]! > 0.5).map((i) => Math.floor(i / 28)),
    );
    assert.equal(rows.size, 4); // 5:1 in 20 pixels
  });

  it('does not change with size, place or margin beyond what pixels blur', () => {
    const grownBy = (n: number) =>
      seven.flatMap((row) => new Array(n).fill([...row].map((c) => c.repeat(n)).join('')));
    const small = centredInk(decodePng(drawn(grownBy(4), 0, 255)), 28, 28);
    const moved = [
      ...grownBy(40).map((row) => `${'.'.repeat(300)}${row}`),
      ...new Array(200).fill('.'.repeat(700)),
    ];
    const large = centredInk(decodePng(drawn(moved, 0, 255)), 28, 28);
    const difference = large.values.reduce((sum, v, i) => sum + Math.abs(v - small.values[i]!), 0);
    assert.ok(difference < 0.05 * small.values.reduce((a, b) => a + b, 0), `${difference}`);
  });

  it('may be grey, colour, palette or transparent', () => {
    const black = new PNG({ width: 8, height: 8 });
    black.data.fill(0); // black and wholly transparent
    for (let y = 2; y < 6; y++) black.data.set([0, 0, 0, 255], (y * 8 + 4) * 4);
    const white = new PNG({ width: 8, height: 8 });
    white.data.fill(0).forEach((_, i) => {
      if (i % 4 < 3) white.data[i] = 255;
    });
    for (let y = 2; y < 6; y++) white.data.set([255, 255, 255, 255], (y * 8 + 4) * 4);
    const inks = [black, white].map((png) => centredInk(decodePng(PNG.sync.write(png)), 28, 28));
    assert.deepEqual(inks[0], inks[1]);
    const grey = PNG.sync.write(PNG.sync.read(drawn(seven, 0, 255)), { colorType: 0 });
    assert.deepEqual(decodePng(grey), decodePng(drawn(seven, 0, 255)));
  });

  it('keeps its values where a model wants no more than its size', () => {
    const picture = decodePng(drawn(['#.', '.#'], 255, 0));
    assert.equal(toSize(picture, 2, 2), picture);
    const { values } = toSize(picture, 4, 4);
    assert.equal(values.length, 16);
    assert.ok(Math.abs(values.reduce((a, b) => a + b, 0) - 8) < 1e-5);
    assert.deepEqual([...toSize(picture, 1, 1).values], [0.5]);
  });

  it('is refused when it is blank, broken, cut off or too large, and says so', () => {
    const refused = (bytes: Buffer, says: RegExp, then: (g: Grey) => unknown = (g) => g) =>
      assert.throws(
        () => then(decodePng(bytes)),
        (e) => e instanceof ImageError && says.test(e.message),
      );
    const whole = drawn(seven, 0, 255);
    for (const level of [0, 128, 255])
      refused(drawn(['...', '...'], 0, level), /shows no ink/, (g) => centredInk(g, 28, 28));
    refused(Buffer.alloc(0), /it is no PNG/);
    refused(whole.subarray(0, 40), /no valid PNG/);
    refused(whole.subarray(0, whole.length - 30), /no valid PNG/);
    const huge = Buffer.from(whole);
    huge.writeUInt32BE(100_000, 16);
    huge.writeUInt32BE(100_000, 20);
    refused(huge, /100000×100000 pixels, at most/);
    const corrupt = Buffer.from(whole);
    corrupt[50] = corrupt[50]! ^ 0xff;
    refused(corrupt, /no valid PNG/);
  });
});
