/** Held-out digits as the load of a mesh, and the class that an answer names. */

import type { ModelInferRequest, ModelInferResponse } from '../../../proto/messages.js';
import { type Digit, heldOut, PIXELS } from '../../../services/digits/dataset.js';
import { Load, type LoadOptions } from './load.js';

let digits: readonly Digit[] | undefined;

/** The nth held-out digit, from the first again after the last. */
export function digitOf(n: number): Digit {
  digits ??= heldOut();
  return digits[n % digits.length]!;
}

export function digitRequest(n: number): ModelInferRequest {
  const { buffer, byteOffset, byteLength } = digitOf(n).pixels;
  return {
    model_name: 'digits',
    inputs: [{ name: 'pixels', datatype: 'FP32', shape: ['1', String(PIXELS)] }],
    raw_input_contents: [new Uint8Array(buffer, byteOffset, byteLength)],
  };
}

/** Resolves when calls with one digit after another go through. */
export function digitLoad(options: Omit<LoadOptions, 'request'>): Promise<Load> {
  return Load.start({ ...options, request: digitRequest });
}

/** The most probable class: the greatest of the ten numbers. */
export function readDigit({ outputs, raw_output_contents }: ModelInferResponse): number {
  const raw = Buffer.from(raw_output_contents[outputs.findIndex(({ datatype }) => datatype === 'FP32')]!);
  const numbers = Array.from({ length: raw.length / 4 }, (_, i) => raw.readFloatLE(4 * i));
  return numbers.indexOf(Math.max(...numbers));
}
