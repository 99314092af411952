// A header field. Fields that repeat are one object for the whole process, so that everything built from them can be
// memoised on identity. A field that varies keeps the octets it came in and decodes them only when somebody asks,
// because most of them are only passed on. Faults are found here and judged elsewhere.

import { HpackError } from './errors.js';
import { huffmanDecode, huffmanOctets } from './huffman.js';
import { FieldError, type Name, recentName, Volatility } from './name.js';
import { sliceOctets, writeOctets } from './octets.js';
import { Token } from './tokens.js';

export { FieldError } from './name.js';

/** RFC 7541 4.1: what an entry counts beside its octets. */
export const ENTRY_OVERHEAD = 32;

/** Values longer than this are never kept beyond their block. */
export const MAX_CACHED_VALUE_OCTETS = 256;

/** `seen` stops here: enough to be stable, and to be worth a table entry at the peer. */
export const ENOUGH_USES = 2;

/** Where the octets of `wire` stand while they are decoded. */
let coded = Buffer.allocUnsafeSlow(1024);

export class HeaderField {
  readonly info: Name;
  readonly token: number;
  /** Lower case unless `fault` says otherwise. */
  readonly name: string;
  readonly neverIndexed: boolean;
  /** RFC 7541 4.1: octets of name and value, plus 32. */
  readonly size: number;
  /** FieldFault.ok or what RFC 9113 8.2 holds against this field. */
  readonly error: number;
  /** Steadiness of this very field. */
  readonly volatility: number;
  /** How often it was decoded, counted up to SEEN_ENOUGH; not counted if it varies. Constants and generated fields have enough. */
  uses: number;
  /** Stable for good and counted enough: settle() would say true and change nothing. */
  isStable = false;
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
    this.error = info.error !== FieldError.ok ? info.error : fault;
    this.volatility = volatilityOf(info, length, neverIndexed);
    this.uses = 0;
    this.wire = wire;
    this.wireIsHuffman = wireIsHuffman;
    this.#value = value;
  }

  /** The value, latin1: one char an octet. */
  get value(): string {
    return this.#value ?? this.#decode();
  }

  /** Counts one decoding, and says whether the field belongs into the stable list. */
  countUse(): boolean {
    if (this.isStable) return true;
    if (this.volatility === Volatility.varying) return false;
    if (this.uses < ENOUGH_USES) this.uses++;
    const steady = this.volatility === Volatility.stable;
    if (this.uses < ENOUGH_USES) return steady;
    this.isStable = steady || this.info.claimStableValue();
    return this.isStable;
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

function volatilityOf(info: Name, length: number, neverIndexed: boolean): number {
  if (neverIndexed || length > MAX_CACHED_VALUE_OCTETS) return Volatility.varying;
  if (length === 0 && info.token === Token.grpcMessage) return Volatility.stable;
  return info.volatility;
}

/**
 * A field of our own: a constant, or one generated for a call. The caller holds constants; each call makes a new object.
 * Throws RangeError for a char above 255 (not an octet); other faults are reported in `fault`.
 */
export function makeField(name: string, value: string, neverIndexed = false): HeaderField {
  const info = recentName(name);
  const field = new HeaderField(info, value, value.length, textFault(info, value), neverIndexed, null, false);
  field.uses = ENOUGH_USES;
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
  if (unsafe) return FieldError.value;
  if (length > 0 && (isBlank(value.charCodeAt(0)) || isBlank(value.charCodeAt(length - 1))))
    return FieldError.whitespace;
  return info.token === Token.te && value !== 'trailers' ? FieldError.te : FieldError.ok;
}

/** NUL, LF or CR. */
export function isUnsafe(code: number): boolean {
  return code === 0 || code === 10 || code === 13;
}

/** SP or HTAB. */
export function isBlank(code: number): boolean {
  return code === 0x20 || code === 0x09;
}
