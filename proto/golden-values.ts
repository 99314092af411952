/**
 * The values of a golden block (model.yaml) as elements of a tensor. The model server proves a model with them, a sidecar probes
 * it: both have to send and to expect the same.
 */

import type { Datatype, Elements } from './datatypes.js';
import { fromValues } from './tensors.js';

const INTEGER = /^-?\d+$/;

/**
 * The numbers of a block, which are separated by white space.
 * @param refuse called with what is wrong, where a word is no number.
 */
export function numbersOfBlock(block: string, refuse: (problem: string) => void): (number | string)[] {
  const words = block.split(/\s+/).filter(Boolean);
  const wrong = words.find((word) => Number.isNaN(Number(word)));
  if (wrong !== undefined) refuse(`found '${wrong}', expected numbers`);
  return words.map(goldenNumber);
}

/** One word of a block. Beyond ±2^53 an integer stays text: as a number it would be another one. */
function goldenNumber(word: string): number | string {
  const number = Number(word);
  return INTEGER.test(word) && !Number.isSafeInteger(number) ? word : number;
}

/**
 * Elements out of the values of a card. An integer as text is exact for 64 bits; for another datatype of numbers it is one
 * like all others. Throws a TensorError that names `where`.
 */
export function goldenData(
  values: readonly (number | string | boolean)[],
  datatype: Datatype,
  where: string,
): Elements {
  if (datatype === 'INT64' || datatype === 'UINT64' || datatype === 'BYTES')
    return fromValues(values, datatype, where);
  const isText = (value: unknown): boolean => typeof value === 'string' && INTEGER.test(value);
  return fromValues(
    values.map((value) => (isText(value) ? Number(value) : value)),
    datatype,
    where,
  );
}
