import { readFileSync } from 'node:fs';
import type { ModelInferRequest, ModelInferResponse } from '../../../../proto/messages.js';
import { centredInk, decodePng } from '../../infer/image.js';
import { packageFile } from '../../package-info.js';

const SIDE = 28;
const MARK = 1 / 512;
const NAMES = ['zero', 'one', 'two', 'three', 'four', 'five', 'six', 'seven', 'eight', 'nine'];

/** A picture of a digit, as the model takes it. */
export interface Picture {
  readonly label: number;
  readonly pixels: Uint8Array;
}

/** The ten pictures that come with the package. */
export function readPictures(): readonly Picture[] {
  return NAMES.map((name, label) => {
    const png = decodePng(readFileSync(packageFile(`services/digits/samples/${name}.png`)));
    const { values } = centredInk(png, SIDE, SIDE);
    return { label, pixels: new Uint8Array(values.buffer, values.byteOffset, values.byteLength) };
  });
}

/** Another picture of the same class, which no other call sends: the first pixel, in a corner, has a trace of ink. */
export function markedPicture({ label, pixels }: Picture): Picture {
  const marked = Buffer.from(pixels);
  marked.writeFloatLE(MARK, 0);
  return { label, pixels: marked };
}

export function digitsRequest({ pixels }: Pick<Picture, 'pixels'>, id = ''): ModelInferRequest {
  return {
    model_name: 'digits',
    id,
    inputs: [{ name: 'pixels', datatype: 'FP32', shape: ['1', String(SIDE * SIDE)] }],
    raw_input_contents: [pixels],
  };
}

/** The most probable class; undefined where the answer is not ten finite numbers. */
export function classIn({ outputs, raw_output_contents }: ModelInferResponse): number | undefined {
  const at = outputs.findIndex(({ datatype }) => datatype === 'FP32');
  const raw = Buffer.from(raw_output_contents[at] ?? []);
  if (outputs[at]?.shape.join('x') !== `1x${NAMES.length}` || raw.length !== 4 * NAMES.length)
    return undefined;
  const numbers = NAMES.map((_, i) => raw.readFloatLE(4 * i));
  return numbers.every(Number.isFinite) ? numbers.indexOf(Math.max(...numbers)) : undefined;
}
