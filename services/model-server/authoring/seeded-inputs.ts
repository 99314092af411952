/**
 * Inputs for a model of which only names, datatypes and shapes are known: seeded, so that the same file gives the same card.
 * A first try is an informed guess; the further ones are for models that want other sizes or smaller integers.
 */

import type { Datatype, Tensor, TensorSpec } from '../../../proto/datatypes.js';
import { fromValues } from '../../../proto/tensors.js';
import { seededChance } from '../../seeded-chance.js';

/** One way to fill the inputs. */
export interface Attempt {
  /** Of free dimensions without a given size, other than rows. */
  readonly size: number;
  /** Largest integer. They are often indices of a table, so it is small. */
  readonly maxInteger: number;
  /** Largest element of UINT8, which is often a picture or bytes of a file. */
  readonly maxByte: number;
}

/** Sizes of free dimensions, in the order in which they are tried: small first, then those of usual pictures and windows. */
const SIZES = [8, 16, 32, 64, 128, 224, 512, 1, 2, 4];
const RANGES = [
  { maxInteger: 3, maxByte: 255 },
  { maxInteger: 1, maxByte: 1 },
  { maxInteger: 0, maxByte: 0 },
];
const INTEGERS: ReadonlySet<Datatype> = new Set<Datatype>([
  ...(['UINT8', 'UINT16', 'UINT32', 'UINT64', 'INT8', 'INT16', 'INT32', 'INT64'] as const),
]);
/** More elements than this are written with two digits. */
const MANY = 4096;
const WORDS = ['a', 'small', 'model', 'takes', 'these', 'words', 'for', 'its', 'input'];

/** What is worth trying for these inputs; `sizes` holds the sizes of named dimensions. */
export function attemptsFor(
  inputs: readonly TensorSpec[],
  sizes: Readonly<Record<string, number>>,
): Attempt[] {
  const isOpen = inputs.some(({ shape, symbols }) =>
    shape.some((d, i) => d < 0 && sizes[symbols[i] ?? ''] === undefined),
  );
  const hasIntegers = inputs.some(({ datatype }) => INTEGERS.has(datatype));
  const ranges = hasIntegers ? RANGES : RANGES.slice(0, 1);
  return (isOpen ? SIZES : SIZES.slice(0, 1)).flatMap((size) => ranges.map((range) => ({ size, ...range })));
}

/**
 * One tensor for each input. The first dimension of an input with several is taken for rows, of which there is one, unless
 * its size is given.
 */
export function seededInputs(
  inputs: readonly TensorSpec[],
  { sizes, attempt, seed }: { sizes: Readonly<Record<string, number>>; attempt: Attempt; seed: number },
): Tensor[] {
  const rows = new Set(inputs.flatMap(({ shape, symbols }) => (shape.length > 1 ? (symbols[0] ?? []) : [])));
  const random = seededChance(seed);
  return inputs.map(({ name, datatype, shape, symbols }) => {
    const dims = shape.map((d, i) => {
      const symbol = symbols[i];
      if (d >= 0) return d;
      const given = symbol === undefined ? undefined : sizes[symbol];
      if (given !== undefined) return given;
      const isRows = symbol === undefined ? i === 0 && shape.length > 1 : rows.has(symbol);
      return isRows ? 1 : attempt.size;
    });
    const count = dims.reduce((product, d) => product * d, 1);
    const values = Array.from({ length: count }, () => elementOf(datatype, attempt, random, count));
    return { datatype, dims, data: fromValues(values, datatype, `input '${name}'`) };
  });
}

function elementOf(datatype: Datatype, attempt: Attempt, random: () => number, count: number) {
  if (datatype === 'BYTES') return WORDS[Math.floor(random() * WORDS.length)]!;
  if (datatype === 'BOOL') return random() < 0.5;
  const max = datatype === 'UINT8' ? attempt.maxByte : attempt.maxInteger;
  if (INTEGERS.has(datatype)) return Math.floor(random() * (max + 1));
  return Number(random().toFixed(count > MANY ? 2 : 3));
}
