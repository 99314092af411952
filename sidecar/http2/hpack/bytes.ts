/** Buffer's own latin1 copiers, which skip the encoding lookup of toString() and write(). */
interface Latin1Buffer {
  latin1Slice(start: number, end: number): string;
  latin1Write(text: string, at: number): number;
}

/** Up to this length a loop is faster than a call into the runtime. */
const SHORT = 16;

/** Up to this length one call of String.fromCharCode is faster than a call into the runtime. */
const TINY = 8;

/**
 * The bytes of [start, end) as a latin1 string, one char per byte. V8 keeps such strings compact and outside of the Buffer
 * heap, so fields hold them instead of slices of receive buffers.
 */
export function sliceBytes(buffer: Buffer, start: number, end: number): string {
  const length = end - start;
  if (length <= TINY && start + TINY <= buffer.length) return sliceTiny(buffer, start).slice(0, length);
  return (buffer as unknown as Latin1Buffer).latin1Slice(start, end);
}

function sliceTiny(b: Buffer, at: number): string {
  return String.fromCharCode(
    b[at]!,
    b[at + 1]!,
    b[at + 2]!,
    b[at + 3]!,
    b[at + 4]!,
    b[at + 5]!,
    b[at + 6]!,
    b[at + 7]!,
  );
}

/** Writes one byte for each char (all must be below 256) and returns the position after them. */
export function writeBytes(text: string, out: Buffer, at: number): number {
  const length = text.length;
  if (length > SHORT) {
    (out as unknown as Latin1Buffer).latin1Write(text, at);
    return at + length;
  }
  for (let i = 0; i < length; i++) out[at + i] = text.charCodeAt(i);
  return at + length;
}
