/** Answers of a model that sends numbers, or NaN in the place of each. */

import type { ModelInferResponse } from '../../../proto/messages.js';

/** What is noted of an answer that is neither. */
export const ALTERED = 'altered';

/** So many bytes of FP32 numbers, each of them NaN. */
export function notANumber(bytes: number): Buffer {
  const floats = Buffer.alloc(bytes);
  for (let i = 0; i + 4 <= bytes; i += 4) floats.writeFloatLE(Number.NaN, i);
  return floats;
}

/** What is wrong with an answer that should be these numbers; NaN is noted as what it is. */
export function judgeNumbers(numbers: Buffer): (answer: ModelInferResponse) => string | undefined {
  const nan = notANumber(numbers.length);
  return ({ raw_output_contents }) => {
    const bytes = Buffer.from(raw_output_contents?.[0] ?? []);
    if (bytes.equals(numbers)) return undefined;
    return bytes.equals(nan) ? 'NaN' : ALTERED;
  };
}
