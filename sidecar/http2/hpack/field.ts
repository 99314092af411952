// A header field. Fields that repeat are one object for the whole process, so that everything built from them can be
// memoised on identity. A field that varies keeps the octets it came in and decodes them only when somebody asks,
// because most of them are only passed on. Faults are found here and judged elsewhere.

import { HpackError } from './errors.js';
import { huffmanDecode, huffmanOctets } from './huffman.js';
import { FieldFault, type Name, recentName, Volatility } from './name.js';
import { sliceOctets, writeOctets } from './octets.js';
import { Token } from './tokens.js';

export { FieldFault } from './name.js';

/** RFC 7541 4.1: what an entry counts beside its octets. */
export const ENTRY_OVERHEAD = 32;

/** Values longer than this are never kept beyond their block. */
export const MAX_KEPT_VALUE_OCTETS = 256;

/** `seen` stops here: enough to be stable, and to be worth a table entry at the peer. */
export const SEEN_ENOUGH = 2;

/** Where the octets of `wire` stand while they are decoded. */
let coded = Buffer.allocUnsafeSlow(1024);

export class Field {
  readonly info: Name;
  readonly token: number;
  /** Lower case unless `fault` says otherwise. */
  readonly name: string;
  readonly neverIndexed: boolean;
  /** RFC 7541 4.1: octets of name and value, plus 32. */
  readonly size: number;
  /** FieldFault.ok or what RFC 9113 8.2 holds against this field. */
  readonly fault: number;
  /** Steadiness of this very field. */
  readonly steadiness: number;
  /** How often it was decoded, counted up to SEEN_ENOUGH; not counted if it varies. Constants and generated fields have enough. */
  seen: number;
  /** Stable for good and counted enough: settle() would say true and change nothing. */
  settled = false;
  /** Value octets as they go onto the wire, if kept: passed on as they are. Never longer than the value. */
  wire: string | null;
  /** Whether `wire` is Huffman-coded. */
  wireIsHuffman: boolean;
  /** For the encoder: sent before, so that coding it is worth keeping. */
  written = false;
  #value: string | null;

  /** `value` may be null if `wire` holds it Huffman-coded. Use makeField() outside this package. */
  constructor(
    info: Name,
    value: string | null,
    length: number,
    fault: number,
    neverIndexed: boolean,
    wire: string | null,
    wireIsHuffman: boolean,
  ) {
    this.info = info;
    this.token = info.token;
    this.name = info.text;
    this.neverIndexed = neverIndexed;
    this.size = info.text.length + length + ENTRY_OVERHEAD;
    this.fault = info.fault !== FieldFault.ok ? info.fault : fault;
    this.steadiness = steadinessOf(info, length, neverIndexed);
    this.seen = 0;
    this.wire = wire;
    this.wireIsHuffman = wireIsHuffman;
    this.#value = value;
  }

  /** The value, latin1: one char an octet. */
  get value(): string {
    return this.#value ?? this.#decode();
  }

  /** Counts one decoding, and says whether the field belongs into the stable list. */
  settle(): boolean {
    if (this.settled) return true;
    if (this.steadiness === Volatility.varying) return false;
    if (this.seen < SEEN_ENOUGH) this.seen++;
    const steady = this.steadiness === Volatility.steady;
    if (this.seen < SEEN_ENOUGH) return steady;
    this.settled = steady || this.info.takeSteadyPlace();
    return this.settled;
  }

  #decode(): string {
    const wire = this.wire ?? '';
    if (coded.length < wire.length) coded = Buffer.allocUnsafeSlow(wire.length * 2);
    const decoded = huffmanDecode(coded, 0, writeOctets(wire, coded, 0));
    if (decoded < 0) throw new HpackError('invalid Huffman code');
    const value = sliceOctets(huffmanOctets(), 0, decoded >> 1);
    this.#value = value;
    return value;
  }
}

function steadinessOf(info: Name, length: number, neverIndexed: boolean): number {
  if (neverIndexed || length > MAX_KEPT_VALUE_OCTETS) return Volatility.varying;
  if (length === 0 && info.token === Token.grpcMessage) return Volatility.steady;
  return info.steadiness;
}

/**
 * A field of our own: a constant, or one generated for a call. The caller holds constants; each call makes a new object.
 * Throws RangeError for a char above 255 (not an octet); other faults are reported in `fault`.
 */
export function makeField(name: string, value: string, neverIndexed = false): Field {
  const info = recentName(name);
  const field = new Field(info, value, value.length, textFault(info, value), neverIndexed, null, false);
  field.seen = SEEN_ENOUGH;
  return field;
}

/** RFC 9113 8.2.1 and 8.2.2 for a value at hand. Throws RangeError for a char above 255. */
export function textFault(info: Name, value: string): number {
  const length = value.length;
  let unsafe = false;
  for (let i = 0; i < length; i++) {
    const code = value.charCodeAt(i);
    if (code <= 13 && isUnsafe(code)) unsafe = true;
    else if (code > 255) throw new RangeError('a header field holds octets only');
  }
  if (unsafe) return FieldFault.value;
  if (length > 0 && (isBlank(value.charCodeAt(0)) || isBlank(value.charCodeAt(length - 1))))
    return FieldFault.whitespace;
  return info.token === Token.te && value !== 'trailers' ? FieldFault.te : FieldFault.ok;
}

/** NUL, LF or CR. */
export function isUnsafe(code: number): boolean {
  return code === 0 || code === 10 || code === 13;
}

/** SP or HTAB. */
export function isBlank(code: number): boolean {
  return code === 0x20 || code === 0x09;
}
