/** Messages of connectconformance's pipes: four bytes of length, big-endian, then a Protobuf message. */

import type { Readable } from 'node:stream';

/** A scalar field of a message: a varint, or bytes. */
export type FieldValue = number | Buffer;

/** Every message of `pipe`, as it comes. */
export async function* messagesOf(pipe: Readable): AsyncGenerator<Buffer> {
  let rest: Buffer = Buffer.alloc(0);
  for await (const chunk of pipe) {
    rest = Buffer.concat([rest, chunk as Buffer]);
    while (rest.length >= 4 && rest.length >= 4 + rest.readUInt32BE(0)) {
      const end = 4 + rest.readUInt32BE(0);
      yield rest.subarray(4, end);
      rest = rest.subarray(end);
    }
  }
}

/** A message with its length before it. */
export function delimited(message: Buffer): Buffer {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(message.length);
  return Buffer.concat([length, message]);
}

/** The last value of a scalar field; undefined when it is absent. */
export function fieldOf(message: Buffer, number: number): FieldValue | undefined {
  let found: FieldValue | undefined;
  let at = 0;
  const varint = (): number => {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = message[at++]!;
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
    }
  };
  while (at < message.length) {
    const key = varint();
    const type = key & 7;
    let value: FieldValue;
    if (type === 0) value = varint();
    else if (type === 2) {
      const length = varint();
      value = message.subarray(at, at + length);
      at += length;
    } else {
      const length = type === 1 ? 8 : 4;
      value = message.subarray(at, at + length);
      at += length;
    }
    if (key >>> 3 === number) found = value;
  }
  return found;
}

/** The message with these fields instead of its own: in Protobuf the last value of a scalar field holds. */
export function withFields(message: Buffer, fields: ReadonlyMap<number, FieldValue>): Buffer {
  const parts: Buffer[] = [message];
  for (const [number, value] of fields) {
    if (typeof value === 'number') parts.push(varintOf(number * 8), varintOf(value));
    else parts.push(varintOf(number * 8 + 2), varintOf(value.length), value);
  }
  return Buffer.concat(parts);
}

function varintOf(value: number): Buffer {
  const bytes: number[] = [];
  let left = value;
  for (; left >= 128; left = Math.floor(left / 128)) bytes.push((left % 128) | 0x80);
  bytes.push(left);
  return Buffer.from(bytes);
}
