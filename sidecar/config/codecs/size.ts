/**
 * Sizes: a whole number and its unit, "512B", "64KiB", "64MiB", "1GiB". Inside the sidecar a size is bytes.
 *
 * Only the binary units exist: MB means 1,000,000 to some readers and 1,048,576 to others.
 */
import { invalid, ok, type Parsed, quoted } from './parse-result.js';

const UNIT_BYTES = { B: 1, KiB: 1_024, MiB: 1_048_576, GiB: 1_073_741_824 } as const;
type Unit = keyof typeof UNIT_BYTES;

/** The noun phrase for messages. */
export const SIZE_EXPECTED = 'a size with its unit, such as "512B", "64KiB", "64MiB" or "1GiB"';
/** For the JSON Schema; `readSize` is what decides. */
export const SIZE_PATTERN = '^[0-9]+(B|KiB|MiB|GiB)$';

const SHAPE = /^(\d+)(B|KiB|MiB|GiB)$/;
const NEARLY = /^\s*(\d+)\s*(b|bytes?|k|kb|kib|m|mb|mib|g|gb|gib)\s*$/i;

/** Bytes. */
export function readSize(text: string): Parsed<number> {
  const match = SHAPE.exec(text);
  if (match === null) return invalid(`found ${quoted(text)}; expected ${SIZE_EXPECTED}${nearMiss(text)}`);
  const bytes = Number(match[1]) * UNIT_BYTES[match[2] as Unit];
  if (!Number.isSafeInteger(bytes)) return invalid(`found ${quoted(text)}; expected a smaller size`);
  return ok(bytes);
}

/** The shortest exact spelling. Throws RangeError for what no file can say. */
export function writeSize(bytes: number): string {
  if (!Number.isSafeInteger(bytes) || bytes < 0)
    throw new RangeError(`not a whole number of bytes: ${bytes}`);
  if (bytes === 0) return '0B';
  const units: Unit[] = ['GiB', 'MiB', 'KiB'];
  const unit = units.find((candidate) => bytes % UNIT_BYTES[candidate] === 0) ?? 'B';
  return `${bytes / UNIT_BYTES[unit]}${unit}`;
}

function nearMiss(text: string): string {
  const match = NEARLY.exec(text);
  if (match === null) return '';
  const prefix = (match[2] ?? '').charAt(0).toUpperCase();
  return `; did you mean "${match[1]}${prefix === 'B' ? 'B' : `${prefix}iB`}"?`;
}
