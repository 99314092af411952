import { fieldsOf } from '../protobuf.js';
import type { SaidNumber } from './engine-codec.js';

/** The number in the answer of an engine; 0: it does not say it, or none that is believed. */
export function readNumber({ field: number, most }: SaidNumber, message: Buffer): number {
  let value = 0;
  try {
    for (const field of fieldsOf(message))
      if (field.number === number && field.type === 'varint') value = Number(field.value);
  } catch {
    return 0;
  }
  return value <= most ? value : 0;
}
