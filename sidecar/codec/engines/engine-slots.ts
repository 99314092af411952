import { fieldsOf } from '../protobuf.js';
import type { SlotsLayout } from './engine-codec.js';

/** More is not believed. */
const MOST_SLOTS = 10_000;

/** How many requests an engine runs at once, as it says; 0: it does not say it, or nothing that can be. */
export function readSlots({ slots: number }: SlotsLayout, message: Buffer): number {
  let slots = 0;
  try {
    for (const field of fieldsOf(message))
      if (field.number === number && field.type === 'varint') slots = Number(field.value);
  } catch {
    return 0;
  }
  return slots <= MOST_SLOTS ? slots : 0;
}
