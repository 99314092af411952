import { sliceBytes, writeBytes } from './bytes.js';
import { HpackError } from './errors.js';
import { huffmanBytes, huffmanDecode } from './huffman.js';
import { FieldError, type Name, recentName, Volatility } from './name.js';
import { Token } from './tokens.js';

export { FieldError } from './name.js';

/** RFC 7541 section 4.1: size of an entry besides its bytes. */
export const ENTRY_OVERHEAD = 32;

/** Values longer than this are not cached, bytes. */
export const MAX_CACHED_VALUE_BYTES = 256;

/** `uses` stops here: enough to be stable, and for a table entry at the peer to pay. */
export const ENOUGH_USES = 2;

/** SP and HTAB at either end: one pass each, however many there are within. */
const BLANKS = /^[ \t]+|(?<![ \t])[ \t]+$/g;

/** Scratch buffer for the bytes of `wire` while they are decoded. */
let coded = Buffer.allocUnsafeSlow(1024);

/**
 * A header field. Fields that repeat are one object for the whole process, so that what is built from them can be memoised by
 * identity. A field that varies keeps its encoded bytes and decodes them when `value` is read, because most are only
 * passed on. Violations of RFC 9113 section 8.2 are found here (`error`); the reader of the list decides what follows.
 */
export class HeaderField {
  readonly token: number;
  /** Lower case unless `error` is `FieldError.name`. */
  readonly name: string;
  /** RFC 7541 4.1: bytes of name and value, plus 32. */
  readonly size: number;
  /** A `FieldError`: how the field violates RFC 9113 section 8.2. */
  readonly error: number;
  /** A `Volatility`, of this field rather than of its name. */
  readonly volatility: number;
  /** Times it was decoded, up to ENOUGH_USES; not counted if it varies. Constants and generated fields start with enough. */
  uses = 0;
  /** Stable for good: `countUse` returns true and changes nothing. */
  isStable = false;
  /** Encoded before: its encoding is kept the second time. */
  written = false;
  #value: string | null;

  /** @param value null if `wire` holds it Huffman-coded. Use `makeField` outside of hpack/. */
  constructor(
    readonly info: Name,
    value: string | null,
    length: number,
    fault: number,
    readonly neverIndexed: boolean,
    /** Encoded value bytes, if kept: passed on as they are. Never longer than the value. */
    public wire: string | null,
    /** Whether `wire` is Huffman-coded. */
    public wireIsHuffman: boolean,
  ) {
    this.token = info.token;
    this.name = info.text;
    this.size = info.text.length + length + ENTRY_OVERHEAD;
    this.error = info.error !== FieldError.ok ? info.error : fault;
    // It is never part of a list as it is: see `trimmed`.
    this.volatility =
      fault === FieldError.whitespace ? Volatility.varying : volatilityOf(info, length, neverIndexed);
    this.#value = value;
  }

  /** The value in latin1: one char per byte. */
  get value(): string {
    return this.#value ?? this.#decode();
  }

  /**
   * The same field without SP and HTAB at the ends of its value. RFC 9113 section 8.2.1 forbids them, gRPC allows a receiver to strip
   * them (gRPC over HTTP/2, "ASCII-Value"), and other implementations accept them.
   */
  trimmed(): HeaderField {
    const value = this.value.replace(BLANKS, '');
    return new HeaderField(
      this.info,
      value,
      value.length,
      textFault(this.info, value),
      this.neverIndexed,
      null,
      false,
    );
  }

  /** Counts one decoding. Whether the field belongs into the stable list of its block. */
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
    const decoded = huffmanDecode(coded, 0, writeBytes(wire, coded, 0));
    if (decoded < 0) throw new HpackError('invalid Huffman code');
    const value = sliceBytes(huffmanBytes(), 0, decoded >> 1);
    this.#value = value;
    return value;
  }
}

function volatilityOf(info: Name, length: number, neverIndexed: boolean): number {
  if (neverIndexed || length > MAX_CACHED_VALUE_BYTES) return Volatility.varying;
  if (length === 0 && info.token === Token.grpcMessage) return Volatility.stable;
  return info.volatility;
}

/**
 * A field made by this program: a constant, or one generated for a call; a new object each time.
 * Throws RangeError for a char above 255 (not a byte); other violations are in `error`.
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
    else if (code > 255) throw new RangeError('a header field holds bytes only');
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
