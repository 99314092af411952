import type { Tensor } from '../../proto/datatypes.js';
import { type CodeTensorSpec, RequestError, type Tensors } from '../model-server/code/model-code.js';
import { type Picture, resized } from './picture.js';

/** Height of a line for the networks that orient and read it. */
export const LINE_HEIGHT = 48;
/** A wider line is squeezed: it would be 66 times as wide as high. */
const MAX_LINE_WIDTH = 3200;
/** Lines in one request: what one run may take is bounded. */
export const MAX_LINES = 64;

/** The inputs of the models that take lines: pictures side by side in one tensor, filled up at the right. */
export const LINE_INPUTS: readonly CodeTensorSpec[] = [
  { name: 'lines', datatype: 'UINT8', shape: [-1, LINE_HEIGHT, -1, 3] },
  { name: 'widths', datatype: 'INT32', shape: [-1], optional: true },
];

/** A line in the height of the networks, in its own proportions. */
export function asLine(picture: Picture): Picture {
  const width = Math.round((picture.width * LINE_HEIGHT) / picture.height);
  return resized(picture, Math.min(Math.max(width, 1), MAX_LINE_WIDTH), LINE_HEIGHT);
}

/** Lines as inputs of a request: [n, 48, width of the widest, 3], and the width that each really has. */
export function lineTensors(lines: readonly Picture[]): { readonly lines: Tensor; readonly widths: Tensor } {
  const width = Math.max(...lines.map((line) => line.width));
  const data = new Uint8Array(3 * width * LINE_HEIGHT * lines.length);
  lines.forEach((line, i) => {
    for (let y = 0; y < LINE_HEIGHT; y++) {
      const row = line.rgb.subarray(3 * line.width * y, 3 * line.width * (y + 1));
      data.set(row, 3 * width * (LINE_HEIGHT * i + y));
    }
  });
  const widths = Int32Array.from(lines, (line) => line.width);
  return {
    lines: { datatype: 'UINT8', dims: [lines.length, LINE_HEIGHT, width, 3], data },
    widths: { datatype: 'INT32', dims: [lines.length], data: widths },
  };
}

/** The lines of a request. Throws a RequestError that names what was found and what was expected. */
export function linesOf({ lines, widths }: Tensors): Picture[] {
  const [count, , width] = lines!.dims as [number, number, number, number];
  if (count > MAX_LINES)
    throw new RequestError(`input 'lines': found ${count} lines, expected at most ${MAX_LINES}`);
  if (count > 0 && (width < 1 || width > MAX_LINE_WIDTH))
    throw new RequestError(`input 'lines': found a width of ${width}, expected 1 to ${MAX_LINE_WIDTH}`);
  if (widths !== undefined && widths.dims[0] !== count)
    throw new RequestError(
      `input 'widths': found ${widths.dims[0]} widths, expected ${count}, one for each line`,
    );
  const rgb = lines!.data as Uint8Array;
  return Array.from({ length: count }, (_, i) => {
    const own = widths === undefined ? width : (widths.data as Int32Array)[i]!;
    if (own < 1 || own > width)
      throw new RequestError(`input 'widths', element ${i}: found ${own}, expected 1 to ${width}`);
    const bytes = new Uint8Array(3 * own * LINE_HEIGHT);
    for (let y = 0; y < LINE_HEIGHT; y++) {
      const from = 3 * width * (LINE_HEIGHT * i + y);
      bytes.set(rgb.subarray(from, from + 3 * own), 3 * own * y);
    }
    return { width: own, height: LINE_HEIGHT, rgb: bytes };
  });
}
