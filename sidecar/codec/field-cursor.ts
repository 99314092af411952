import type { BodyReader } from './body-reader.js';

/** Wire types of Protocol Buffers. */
export const Wire = { varint: 0, fixed64: 1, bytes: 2, fixed32: 5 } as const;

/** A larger tag is no field's; decoders of 32 bits would take it for that of another one. */
export const TAG_LIMIT = 2 ** 32;
/** 64 bits, 7 in each byte. */
const MAX_VARINT_BYTES = 10;

/** Where a cursor has come to. */
export const Step = {
  /** A field, or its tag. */
  field: 0,
  /** The message ends here, behind a whole field. */
  end: 1,
  /** So far all is well, and the rest is not here. */
  more: 2,
  /** These bytes are no message, or hold a group. */
  malformed: 3,
} as const;
export type Step = (typeof Step)[keyof typeof Step];

/**
 * The fields of a message that lies in a body, one after the other: their places, and no content. Nothing is made for a field, and nothing
 * thrown but by `next`. Two others go their own way: what arrives byte by byte (relay/named-model/model-name.ts), and what is asked at nearly every call
 * (cluster/served-models/model-key.ts).
 */
export class FieldCursor {
  /** Of the present field: its number and wire type, as one and each. */
  tag = 0;
  number = 0;
  wire: number = Wire.varint;
  /** Its value where it is a varint; beyond 2^53 not exact. */
  value = 0;
  /** Its content is bytes `[start, end)`, of which the last may not be here. */
  start = 0;
  end = 0;

  /**
   * The message is bytes `[at, to)` of the body, of which those before `here` may be read.
   * @param to may be beyond the body: the rest of the message is not here yet.
   */
  constructor(
    private readonly reader: BodyReader,
    private at = 0,
    private readonly to = reader.bytes,
    private readonly here = Math.min(to, reader.bytes),
  ) {}

  /** Goes on to the next field; false: there is none. @throws RangeError when the bytes are no whole message, or hold a group. */
  next(): boolean {
    const step = this.step();
    if (step <= Step.end) return step === Step.field;
    const isGroup = step === Step.malformed && this.number > 0 && isNoWireType(this.wire);
    throw new RangeError(
      isGroup ? `wire type ${this.wire}; expected 0, 1, 2 or 5` : 'the message is cut off',
    );
  }

  /** The same, without a throw. */
  step(): Step {
    const step = this.stepTag();
    return step === Step.field ? this.stepContent() : step;
  }

  /** Reads the tag of the next field, whose content `stepContent` passes over then. */
  stepTag(): Step {
    if (this.at === this.to) return Step.end;
    this.number = 0;
    const step = this.varint();
    if (step !== Step.field) return step;
    this.tag = this.value;
    if (this.tag >= TAG_LIMIT) return Step.malformed;
    this.number = this.tag >>> 3;
    this.wire = this.tag & 7;
    return this.number === 0 ? Step.malformed : Step.field;
  }

  stepContent(): Step {
    let bytes = 0;
    if (this.wire === Wire.varint || this.wire === Wire.bytes) {
      const step = this.varint();
      if (step !== Step.field) return step;
      if (this.wire === Wire.bytes) bytes = this.value;
    } else if (this.wire === Wire.fixed64) bytes = 8;
    else if (this.wire === Wire.fixed32) bytes = 4;
    else return Step.malformed;
    this.start = this.at;
    this.end = this.at + bytes;
    if (this.end > this.to) return Step.malformed;
    this.at = this.end;
    return Step.field;
  }

  /** Seven bits a byte, the lowest first. */
  private varint(): Step {
    const { reader } = this;
    let value = 0;
    let unit = 1;
    for (let i = 0; i < MAX_VARINT_BYTES; i++, unit *= 128) {
      if (this.at >= this.here) return this.here < this.to ? Step.more : Step.malformed;
      const byte = reader.byteAt(this.at++);
      value += (byte & 0x7f) * unit;
      if (byte < 0x80) {
        this.value = value;
        return Step.field;
      }
    }
    return Step.malformed;
  }
}

function isNoWireType(wire: number): boolean {
  return wire === 3 || wire === 4 || wire > 5;
}

/** The numbers of a packed field, bytes `[at, to)`; beyond 2^53 not exact. @throws RangeError when the last one is cut off. */
export function packedNumbers(reader: BodyReader, at: number, to: number): number[] {
  const numbers: number[] = [];
  let [value, unit] = [0, 1];
  for (let p = at; p < to; p++) {
    const byte = reader.byteAt(p);
    value += (byte & 0x7f) * unit;
    unit *= 128;
    if (byte >= 0x80) continue;
    numbers.push(value);
    [value, unit] = [0, 1];
  }
  if (unit !== 1) throw new RangeError('the message is cut off');
  return numbers;
}
