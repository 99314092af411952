/** Parts of a message in the making, joined once at its end. */
export class MessageParts {
  private readonly parts: Buffer[] = [];

  varint(field: number, value: number): this {
    return this.raw(varintOf(field * 8), varintOf(value));
  }

  /** A varint field that proto3 leaves out when it is 0. */
  number(field: number, value: number): this {
    return value === 0 ? this : this.varint(field, value);
  }

  /** A field of bytes: a text, a message or a packed list. */
  bytes(field: number, ...content: readonly Buffer[]): this {
    const length = content.reduce((sum, part) => sum + part.length, 0);
    return this.raw(varintOf(field * 8 + 2), varintOf(length), ...content);
  }

  raw(...content: readonly Buffer[]): this {
    this.parts.push(...content);
    return this;
  }

  finish(): Buffer {
    return Buffer.concat(this.parts);
  }
}

function varintOf(value: number): Buffer {
  const bytes: number[] = [];
  let rest = value;
  for (; rest >= 0x80; rest = Math.floor(rest / 128)) bytes.push((rest % 128) + 0x80);
  bytes.push(rest);
  return Buffer.from(bytes);
}
