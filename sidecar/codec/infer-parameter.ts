import { fieldsOf } from './protobuf.js';

/** What the beginning of a ModelInferRequest says of one parameter. */
export type ParameterReading =
  /** Its value as text: integers in decimal. */
  | { readonly kind: 'found'; readonly value: string }
  /** It has none, or one that says nothing: 0, the empty text, or of a type that is neither a text nor an integer. */
  | { readonly kind: 'absent' }
  /** More octets are needed. */
  | { readonly kind: 'more' }
  | { readonly kind: 'malformed' };

/** Field numbers of ModelInferRequest (proto/inference.proto): a map, and the first field that is written after it. */
const PARAMETERS = 4;
const INPUTS = 5;
/** Tag of the key in an entry of a map. */
const KEY_TAG = 0x0a;

const ABSENT: ParameterReading = { kind: 'absent' };
const MORE: ParameterReading = { kind: 'more' };
const MALFORMED: ParameterReading = { kind: 'malformed' };

/**
 * Reads a parameter of a ModelInferRequest from the octets that are here. Fields are looked at up to the first input, for
 * serializers write them in the order of their numbers; of several entries with the name the last counts, as in a map.
 *
 * @param bytes the beginning of the message, without the prefix of gRPC.
 * @param messageBytes the length of the whole message.
 */
export function readInferParameter(bytes: Buffer, messageBytes: number, name: string): ParameterReading {
  const cursor = new Cursor(bytes);
  const cutOff = bytes.length >= messageBytes ? MALFORMED : MORE;
  const wanted = Buffer.from(name);
  let entry: Buffer | null = null;
  while (cursor.at < bytes.length) {
    const tag = cursor.number();
    if (tag < 0) return cutOff;
    if (tag < 8 || tag >= 2 ** 32) return MALFORMED;
    if (Math.floor(tag / 8) >= INPUTS) return parameterIn(entry);
    const octets = cursor.fieldBytes(tag % 8);
    if (octets === NOT_A_FIELD) return MALFORMED;
    if (octets < 0) return cutOff;
    const end = cursor.at + octets;
    if (end > messageBytes) return MALFORMED;
    if (end > bytes.length) return MORE;
    if (tag === PARAMETERS * 8 + 2 && isNamed(bytes, cursor.at, end, wanted))
      entry = bytes.subarray(cursor.at, end);
    cursor.at = end;
  }
  return cursor.at === messageBytes ? parameterIn(entry) : MORE;
}

const NOT_A_FIELD = -2;

class Cursor {
  at = 0;

  constructor(private readonly bytes: Buffer) {}

  /** A varint, exact up to 2⁵³; −1: it does not end here. */
  number(): number {
    const { bytes } = this;
    let value = 0;
    for (let scale = 1; this.at < bytes.length && scale < 2 ** 70; scale *= 128) {
      const octet = bytes[this.at++]!;
      value += (octet & 0x7f) * scale;
      if (octet < 0x80) return value;
    }
    return -1;
  }

  /** Octets of the content that follows; −1: its length or number does not end here, NOT_A_FIELD: no such wire type. */
  fieldBytes(wireType: number): number {
    if (wireType === 0) return this.number() < 0 ? -1 : 0;
    if (wireType === 1) return 8;
    if (wireType === 2) return this.number();
    return wireType === 5 ? 4 : NOT_A_FIELD;
  }
}

/** Whether the key of an entry comes first, as all serializers write it, and is the wanted one. */
function isNamed(bytes: Buffer, start: number, end: number, wanted: Buffer): boolean {
  const from = start + 2;
  return (
    from + wanted.length <= end &&
    bytes[start] === KEY_TAG &&
    bytes[start + 1] === wanted.length &&
    bytes.compare(wanted, 0, wanted.length, from, from + wanted.length) === 0
  );
}

/** The value of an entry: field 2, an InferParameter. */
function parameterIn(entry: Buffer | null): ParameterReading {
  if (entry === null) return ABSENT;
  let value = '';
  try {
    for (const outer of fieldsOf(entry)) {
      if (outer.number !== 2 || outer.type !== 'bytes') continue;
      for (const field of fieldsOf(outer.value)) {
        value = '';
        if (field.number === 2 && field.type === 'varint') value = String(BigInt.asIntN(64, field.value));
        else if (field.number === 3 && field.type === 'bytes') value = field.value.toString('utf8');
        else if (field.number === 5 && field.type === 'varint') value = String(field.value);
      }
    }
  } catch {
    return MALFORMED;
  }
  return value === '' || value === '0' ? ABSENT : { kind: 'found', value };
}
