// Strings that hold octets, one char each (latin1). V8 keeps them compact and off the Buffer heap, and one call into the
// runtime copies any length of them, so they are what fields keep instead of slices of receive buffers.

/** Buffer's own latin1 copiers, which skip the encoding lookup of toString() and write(). */
interface Latin1Buffer {
  latin1Slice(start: number, end: number): string;
  latin1Write(text: string, at: number): number;
}

/** Up to this length a loop beats a call into the runtime. */
const SHORT = 16;

/** The octets of [start, end) as a string of one char each. */
export function sliceOctets(buffer: Buffer, start: number, end: number): string {
  if (start === end) return '';
  return (buffer as unknown as Latin1Buffer).latin1Slice(start, end);
}

/** Writes one octet for each char (all must be below 256) and returns the position after them. */
export function writeOctets(text: string, out: Buffer, at: number): number {
  const length = text.length;
  if (length > SHORT) {
    (out as unknown as Latin1Buffer).latin1Write(text, at);
    return at + length;
  }
  for (let i = 0; i < length; i++) out[at + i] = text.charCodeAt(i);
  return at + length;
}
