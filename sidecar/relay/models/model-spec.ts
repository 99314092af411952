import { TAG_LIMIT } from './second-name.js';

/** What a `ModelSpec` names. */
export interface ModelSpec {
  /** Empty: none. */
  readonly name: string;
  /** The number as text; empty: none, or a label (`version_label`), of which only the server knows the version. */
  readonly version: string;
}

/** Fields and wire types, as one (tensorflow_serving/apis/model.proto): the name, the version as a message, and its label. */
const NAME = 8 * 1 + 2;
const VERSION = 8 * 2 + 2;
const LABEL = 8 * 4 + 2;
/** Field 1 of google.protobuf.Int64Value. */
const VALUE = 8 * 1 + 0;
/** Octets of a varint that a double holds exactly, as far as any version goes; decoders cut a longer one to 64 bits. */
const LONGEST_VARINT = 7;

/**
 * Reads the octets of a whole `ModelSpec` as a decoder would: of two fields of a number the last counts, of version and label too, and a version in two
 * parts is put together. Null: they are none, or have what decoders do not read alike (groups, varints of more than 49 bits).
 */
export function readModelSpec(bytes: Buffer, start: number, end: number): ModelSpec | null {
  let name = '';
  /** −1: none. */
  let version = -1;
  const fields = new Fields(bytes, start, end);
  while (fields.next()) {
    const { tag, from, to } = fields;
    if (tag === NAME) name = bytes.toString('utf8', from, to);
    else if (tag === LABEL) version = -1;
    else if (tag === VERSION) {
      const value = lastValue(bytes, from, to);
      if (value === null) return null;
      // Encoders leave a number of 0 out: the message alone names version 0, and beside one that came before it changes nothing.
      version = value < 0 ? Math.max(version, 0) : value;
    }
  }
  if (fields.isBroken) return null;
  return { name, version: version < 0 ? '' : String(version) };
}

/** The number in an Int64Value; −1: it has none, null: it is no message. */
function lastValue(bytes: Buffer, start: number, end: number): number | null {
  let value = -1;
  const fields = new Fields(bytes, start, end);
  while (fields.next()) if (fields.tag === VALUE) value = fields.number;
  return fields.isBroken ? null : value;
}

/** Goes from field to field of a message that is here whole. */
class Fields {
  tag = 0;
  /** The value of the present field, where it is length-delimited. */
  from = 0;
  to = 0;
  /** The same, where it is a varint. */
  number = 0;
  isBroken = false;
  private at: number;

  constructor(
    private readonly bytes: Buffer,
    start: number,
    private readonly end: number,
  ) {
    this.at = start;
  }

  /** False: there is no further field, or what follows is none (`isBroken`). */
  next(): boolean {
    if (this.at === this.end) return false;
    this.tag = this.varint();
    const type = this.tag % 8;
    if (this.tag < 8 || this.tag >= TAG_LIMIT) this.isBroken = true;
    else if (type === 0) this.number = this.varint();
    else if (type === 1) this.skip(8);
    else if (type === 2) this.skip(this.varint());
    else if (type === 5) this.skip(4);
    else this.isBroken = true;
    return !this.isBroken;
  }

  private skip(octets: number): void {
    this.from = this.at;
    this.to = this.at + octets;
    this.at = this.to;
    if (this.to > this.end) this.isBroken = true;
  }

  private varint(): number {
    let value = 0;
    let scale = 1;
    for (let i = 0; i < LONGEST_VARINT && this.at < this.end; i++) {
      const octet = this.bytes[this.at++]!;
      value += (octet & 0x7f) * scale;
      if (octet < 0x80) return value;
      scale *= 128;
    }
    this.isBroken = true;
    return -1;
  }
}
