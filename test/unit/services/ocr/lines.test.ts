import assert from 'node:assert/strict';
import { RequestError } from '../../../../services/model-server/code/model-code.js';
import { asLine, LINE_HEIGHT, linesOf, lineTensors } from '../../../../services/ocr/lines.js';
import type { Picture } from '../../../../services/ocr/picture.js';

const line = (width: number, value: number): Picture => ({
  width,
  height: LINE_HEIGHT,
  rgb: new Uint8Array(3 * width * LINE_HEIGHT).fill(value),
});

describe('lines of text', () => {
  it('pass through a request as they are, although they are filled up to the widest', () => {
    const lines = [line(5, 1), line(9, 2), line(1, 3)];
    const tensors = lineTensors(lines);
    assert.deepEqual(tensors.lines.dims, [3, LINE_HEIGHT, 9, 3]);
    assert.deepEqual(linesOf(tensors), lines);
  });

  it('are as wide as their tensor where no widths are given', () => {
    const { lines } = lineTensors([line(4, 1), line(7, 2)]);
    assert.deepEqual(
      linesOf({ lines }).map(({ width }) => width),
      [7, 7],
    );
  });

  it('are cut out of a page in their own proportions', () => {
    const { width, height } = asLine({ width: 100, height: 24, rgb: new Uint8Array(7200) });
    assert.deepEqual([width, height], [200, LINE_HEIGHT]);
  });

  it('are squeezed where they would be very wide, and one column at least', () => {
    assert.equal(asLine({ width: 1000, height: 1, rgb: new Uint8Array(3000) }).width, 3200);
    assert.equal(asLine({ width: 1, height: 900, rgb: new Uint8Array(2700) }).width, 1);
  });

  it('that do not fit are refused with what was found and expected', () => {
    const { lines, widths } = lineTensors([line(4, 1), line(7, 2)]);
    const refused = (inputs: Parameters<typeof linesOf>[0], message: RegExp) =>
      assert.throws(
        () => linesOf(inputs),
        (error) => error instanceof RequestError && message.test(error.message),
      );
    refused(
      { lines, widths: { ...widths, data: Int32Array.of(4, 8) } },
      /'widths', element 1: found 8, expected 1 to 7/,
    );
    refused({ lines, widths: { ...widths, data: Int32Array.of(0, 7) } }, /'widths', element 0: found 0/);
    refused(
      { lines, widths: { ...widths, dims: [1], data: Int32Array.of(4) } },
      /found 1 widths, expected 2/,
    );
    refused({ lines: { ...lines, dims: [65, LINE_HEIGHT, 1, 3] } }, /found 65 lines, expected at most 64/);
    refused(
      { lines: { ...lines, dims: [1, LINE_HEIGHT, 3201, 3] } },
      /found a width of 3201, expected 1 to 3200/,
    );
  });
});
