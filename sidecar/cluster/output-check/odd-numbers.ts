/**
 * Numbers that are NaN or infinite, looked for in the bytes of an answer. IEEE 754 has all ones in the exponent of both,
 * which is in the two highest bytes of each number.
 */

import type { Datatype } from '../../../proto/datatypes.js';
import type { BodyReader } from '../../codec/body-reader.js';
import { RunPlaces } from './run-places.js';

/** Size of a number, and the bits of its highest byte and of the one below that are its exponent. */
interface Format {
  readonly size: number;
  readonly high: number;
  readonly low: number;
}

const FORMATS: Partial<Record<Datatype, Format>> = {
  FP16: { size: 2, high: 0x7c, low: 0 },
  BF16: { size: 2, high: 0x7f, low: 0x80 },
  FP32: { size: 4, high: 0x7f, low: 0x80 },
  FP64: { size: 8, high: 0x7f, low: 0xf0 },
};

/** Numbers that lie one after the other in a body, little-endian. */
export interface Numbers extends Format {
  /** Byte of the body at which the first one begins. */
  readonly from: number;
  readonly count: number;
}

/** Numbers in a row that are read where a sample falls: about what one line of the processor's cache holds. */
export const RUN = 16;
/** Runs that are read of one answer, at most; what fits into them is read whole. */
export const MAX_RUNS = 1_024;

/** The numbers of that datatype in bytes `[from, to)`; undefined: none of them can be NaN. */
export function numbersAt(datatype: Datatype, from: number, to: number): Numbers | undefined {
  const format = FORMATS[datatype];
  return format === undefined ? undefined : { ...format, from, count: Math.floor((to - from) / format.size) };
}

/** How many of the numbers from index `first` to before index `last` are NaN or infinite. */
export function oddAmong(reader: BodyReader, numbers: Numbers, first: number, last: number): number {
  const { size, high, low, from } = numbers;
  let odd = 0;
  for (let i = first; i < last; ) {
    const at = from + i * size;
    if (at < reader.from || at >= reader.until) reader.locate(at);
    const whole = Math.min(last - i, Math.floor((reader.until - at) / size));
    if (whole === 0) {
      // Its bytes are in two pieces.
      const isOdd =
        (reader.byteAt(at + size - 1) & high) === high && (reader.byteAt(at + size - 2) & low) === low;
      if (isOdd) odd++;
      i++;
      continue;
    }
    const { buffer } = reader;
    const begin = at + reader.shift + size - 1;
    const end = begin + whole * size;
    for (let p = begin; p < end; p += size)
      if ((buffer[p]! & high) === high && (buffer[p - 1]! & low) === low) odd++;
    i += whole;
  }
  return odd;
}

/** What was found in a sample. */
export interface OddSample {
  readonly odd: number;
  readonly seen: number;
}

/** Looks at all of the numbers, or, where they are more than `runs` × RUN, at so many runs of them. */
export function sampleOdd(reader: BodyReader, numbers: Numbers, runs: number, seed: number): OddSample {
  const { count } = numbers;
  if (count <= runs * RUN) return { odd: oddAmong(reader, numbers, 0, count), seen: count };
  const places = new RunPlaces(count, { runs, length: RUN, seed });
  let odd = 0;
  for (let i = 0; i < runs; i++) {
    const first = places.next();
    odd += oddAmong(reader, numbers, first, first + RUN);
  }
  return { odd, seen: runs * RUN };
}
