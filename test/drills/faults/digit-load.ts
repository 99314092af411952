/** Held-out digits as the load of a mesh, and the class that an answer names. */

import type { ModelInferRequest } from '../../../proto/messages.js';
import { type Digit, heldOut, PIXELS } from '../../../services/digits/dataset.js';
import { digitsRequest } from '../../../sidecar/cli/chaos/load/pictures.js';
import { Load, type LoadOptions } from './load.js';

let digits: readonly Digit[] | undefined;

/** The nth held-out digit, from the first again after the last. */
export function digitOf(n: number): Digit {
  digits ??= heldOut();
  return digits[n % digits.length]!;
}

export function digitRequest(n: number): ModelInferRequest {
  const { buffer, byteOffset, byteLength } = digitOf(n).pixels;
  return digitsRequest({ pixels: new Uint8Array(buffer, byteOffset, byteLength) });
}

/** Pictures of a large call: 602,112 bytes. */
export const MANY_DIGITS = 192;

let many: ModelInferRequest | undefined;

export function manyDigitsRequest(): ModelInferRequest {
  many ??= {
    model_name: 'digits',
    inputs: [{ name: 'pixels', datatype: 'FP32', shape: [String(MANY_DIGITS), String(PIXELS)] }],
    raw_input_contents: [
      Buffer.concat(Array.from({ length: MANY_DIGITS }, (_, n) => digitRequest(n).raw_input_contents![0]!)),
    ],
  };
  return many;
}

/** Resolves when calls with one digit after another go through. */
export function digitLoad(options: Omit<LoadOptions, 'request'>): Promise<Load> {
  return Load.start({ ...options, request: digitRequest });
}
