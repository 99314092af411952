import assert from 'node:assert/strict';
import fc from 'fast-check';
import { BEGINNING, CONTEXT, cutWindows, type Remainder, WINDOW } from '../../../../services/vad/windows.js';

/** Samples 1, 2, 3, …: each tells where it was. */
const ramp = (length: number): Float32Array => Float32Array.from({ length }, (_, i) => i + 1);

describe('windows of audio', () => {
  it('begin with the end of the window before, and with silence at the beginning', () => {
    const { windows } = cutWindows(BEGINNING, ramp(2 * WINDOW), { isLast: false });
    assert.equal(windows.length, 2);
    assert.deepEqual([...windows[0]!.subarray(0, CONTEXT)], new Array(CONTEXT).fill(0));
    assert.deepEqual([windows[0]![CONTEXT], windows[0]!.at(-1)], [1, WINDOW]);
    assert.deepEqual([windows[1]![0], windows[1]![CONTEXT]], [WINDOW - CONTEXT + 1, WINDOW + 1]);
  });

  it('hold no sample of a window that is not full yet; it is kept', () => {
    const { windows, after } = cutWindows(BEGINNING, ramp(WINDOW + 100), { isLast: false });
    assert.equal(windows.length, 1);
    assert.deepEqual([after.start, after.rest.length, after.rest[0]], [WINDOW, 100, WINDOW + 1]);
    assert.equal(after.context.at(-1), WINDOW);
  });

  it('are filled up with silence when nothing comes after', () => {
    const { windows, after } = cutWindows(BEGINNING, ramp(WINDOW + 1), { isLast: true });
    assert.equal(windows.length, 2);
    assert.deepEqual([...windows[1]!.subarray(CONTEXT, CONTEXT + 3)], [WINDOW + 1, 0, 0]);
    assert.equal(after.rest.length, 0);
  });

  it('are none for no audio', () => {
    assert.deepEqual(cutWindows(BEGINNING, ramp(0), { isLast: true }).windows, []);
  });

  it('are the same however the audio is cut into pieces', () => {
    const pieces = fc.array(fc.integer({ min: 0, max: 3 * WINDOW }), { minLength: 1, maxLength: 8 });
    fc.assert(
      fc.property(pieces, (lengths) => {
        const whole = ramp(lengths.reduce((a, b) => a + b, 0));
        const expected = cutWindows(BEGINNING, whole, { isLast: true }).windows.map((w) => [...w]);
        let before: Remainder = BEGINNING;
        let from = 0;
        const found = lengths.flatMap((length, i) => {
          const piece = whole.subarray(from, from + length);
          from += length;
          const start = before.start;
          const { windows, after } = cutWindows(before, piece, { isLast: i === lengths.length - 1 });
          assert.equal(after.start, start + windows.length * WINDOW);
          before = after;
          return windows.map((w) => [...w]);
        });
        assert.deepEqual(found, expected);
      }),
    );
  });
});
