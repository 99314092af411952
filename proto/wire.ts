/**
 * Protocol Buffers on the wire, as far as it takes to know that a message is whole: its fields, one after the other, end
 * exactly where its bytes do. Fields inside fields are left to the library.
 */

/** Throws a RangeError unless `bytes` is a row of complete top-level fields. */
export function requireWholeFields(bytes: Uint8Array): void {
  let at = 0;
  while (at < bytes.length) {
    const start = at;
    const tag = varint(bytes, at, start);
    at = tag.next;
    switch (tag.value & 7) {
      case 0:
        at = varint(bytes, at, start).next;
        break;
      case 1:
        at += 8;
        break;
      case 2: {
        const length = varint(bytes, at, start);
        at = length.next + length.value;
        break;
      }
      case 5:
        at += 4;
        break;
      default:
        // Groups are not used by any message here, and 6 and 7 are nothing.
        throw new RangeError(`wire type ${tag.value & 7} at byte ${start}`);
    }
    if (at > bytes.length)
      throw new RangeError(`the field at byte ${start} ends at ${at}, the message at ${bytes.length}`);
  }
}

function varint(bytes: Uint8Array, from: number, field: number): { value: number; next: number } {
  let value = 0;
  for (let i = 0; i < 10; i++) {
    const byte = bytes[from + i];
    if (byte === undefined) throw new RangeError(`the field at byte ${field} is cut off`);
    value += (byte & 0x7f) * 2 ** (7 * i);
    if (byte < 0x80) return { value, next: from + i + 1 };
  }
  throw new RangeError(`the number at byte ${from} is longer than 10 bytes`);
}
