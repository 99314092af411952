/** Held-out digits as the load of a mesh, and the class that an answer names. */

import type { ModelInferRequest } from '../../../proto/messages.js';
import { type Digit, heldOut } from '../../../services/digits/dataset.js';
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

/** Resolves when calls with one digit after another go through. */
export function digitLoad(options: Omit<LoadOptions, 'request'>): Promise<Load> {
  return Load.start({ ...options, request: digitRequest });
}
