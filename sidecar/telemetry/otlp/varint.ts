/** Bytes that a varint takes. */
export function varintLength(value: number): number {
  let length = 1;
  for (let rest = value; rest >= 0x80; rest = Math.floor(rest / 0x80)) length++;
  return length;
}

/** @param value a whole number of at most 53 bits. @returns where it ends. */
export function writeVarint(into: Buffer, at: number, value: number): number {
  let rest = value;
  let end = at;
  while (rest >= 0x80) {
    into[end++] = (rest % 0x80) | 0x80;
    rest = Math.floor(rest / 0x80);
  }
  into[end++] = rest;
  return end;
}
