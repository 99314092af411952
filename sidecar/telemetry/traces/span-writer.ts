import { varintLength, writeVarint } from '../otlp/varint.js';

/** Fields of opentelemetry/proto/trace/v1/trace.proto and common/v1/common.proto as tags: number × 8 + wire type. */
const Tag = {
  /** ScopeSpans.spans */
  span: 0x12,
  /** Span */
  traceId: 0x0a,
  spanId: 0x12,
  state: 0x1a,
  parentId: 0x22,
  name: 0x2a,
  kind: 0x30,
  start: 0x39,
  end: 0x41,
  attribute: 0x4a,
  status: 0x7a,
  /** KeyValue */
  value: 0x12,
  /** AnyValue */
  text: 0x0a,
  flag: 0x10,
  integer: 0x18,
  double: 0x21,
  /** Status */
  message: 0x12,
  code: 0x18,
} as const;
/** Span.flags, field 16: its tag has two bytes. */
const FLAGS = [0x85, 0x01] as const;

const STATUS_ERROR = 2;
const WORD = 0x1_0000_0000;
/** More than the spans of one call take; what would not fit is an error. */
const ROOM = 64 * 1024;
/** For what stands between texts, which have their own check. */
const SPARE = 512;
/** Of the length before a span: two bytes do for 128 to 16,383. */
const LENGTH_BYTES = 2;

/** Kinds of spans, as OTLP numbers them. */
export const SpanKind = { server: 2, client: 3 } as const;

/** Of SpanFlags: the trace is sampled; it is known where the parent is; it is in another process. */
export const SpanFlag = { sampled: 1, parentIsKnown: 0x100, parentIsRemote: 0x200 } as const;

/** What a span has beside its attributes. Ids are hexadecimal digits; times ms since 1970. */
export interface SpanHead {
  readonly traceId: string;
  readonly spanId: string;
  /** Empty: it has no parent. */
  readonly parentId: string;
  readonly flags: number;
  readonly kind: number;
  readonly startMs: number;
  readonly endMs: number;
}

/** The key of an attribute, encoded once. */
export class AttributeKey {
  readonly bytes: Buffer;

  constructor(readonly name: string) {
    const text = Buffer.from(name, 'latin1');
    this.bytes = Buffer.from([0x0a, text.length, ...text]);
  }
}

/**
 * Encodes spans for OTLP as fields `spans` of a ScopeSpans, one after another. Made for this one message and for every call
 * of a busy sidecar: lengths are known or computed before, and what recurs is a blob that is copied.
 */
export class SpanWriter {
  /** What has been written, up to `at`. */
  readonly bytes = Buffer.allocUnsafeSlow(ROOM);
  at = 0;
  private spanStart = 0;

  /** What follows is written in place of what was there. */
  clear(): void {
    this.at = 0;
  }

  /** What has been written, as a buffer of its own. */
  copy(): Buffer {
    return Buffer.from(this.bytes.subarray(0, this.at));
  }

  /** A span begins; `name`, attributes and perhaps `error` follow, then `endSpan`. */
  beginSpan(head: SpanHead): void {
    this.byte(Tag.span);
    this.at += LENGTH_BYTES;
    this.spanStart = this.at;
    this.id(Tag.traceId, head.traceId, 16);
    this.id(Tag.spanId, head.spanId, 8);
    if (head.parentId !== '') this.id(Tag.parentId, head.parentId, 8);
    this.byte(FLAGS[0]);
    this.byte(FLAGS[1]);
    this.word(head.flags);
    this.byte(Tag.kind);
    this.byte(head.kind);
    this.byte(Tag.start);
    this.nanoseconds(head.startMs);
    this.byte(Tag.end);
    this.nanoseconds(head.endMs);
  }

  /** Puts the length before the span, which is moved in the rare case that its length takes more bytes than were left. */
  endSpan(): void {
    const length = this.at - this.spanStart;
    const bytes = varintLength(length);
    if (bytes !== LENGTH_BYTES) {
      const to = this.spanStart - LENGTH_BYTES + bytes;
      this.bytes.copyWithin(to, this.spanStart, this.at);
      this.at = to + length;
    }
    writeVarint(this.bytes, this.spanStart - LENGTH_BYTES, length);
  }

  /** By the conventions `package.Service/Method`. */
  name(text: string): void {
    this.field(Tag.name, text);
  }

  /** `tracestate`. */
  state(text: string): void {
    this.field(Tag.state, text);
  }

  /** The span failed, for this reason. */
  error(message: string): void {
    const length = textLength(message);
    this.byte(Tag.status);
    this.varint(1 + varintLength(length) + length + 2);
    this.field(Tag.message, message);
    this.byte(Tag.code);
    this.byte(STATUS_ERROR);
  }

  text(key: AttributeKey, value: string): void {
    const length = textLength(value);
    this.key(key, 1 + varintLength(length) + length);
    this.field(Tag.text, value);
  }

  /** A whole number from 0 on. */
  integer(key: AttributeKey, value: number): void {
    this.key(key, 1 + varintLength(value));
    this.byte(Tag.integer);
    this.varint(value);
  }

  /** A number that may have a fraction. */
  double(key: AttributeKey, value: number): void {
    this.key(key, 9);
    this.byte(Tag.double);
    this.at = this.bytes.writeDoubleLE(value, this.at);
  }

  /** `true`. */
  flag(key: AttributeKey): void {
    this.key(key, 2);
    this.byte(Tag.flag);
    this.byte(1);
  }

  /** Fields that have been encoded before. */
  blob(bytes: Buffer): void {
    if (this.at + bytes.length + SPARE > ROOM) throw new RangeError(`spans of more than ${ROOM} bytes`);
    this.bytes.set(bytes, this.at);
    this.at += bytes.length;
  }

  /** Key, and length of the value: the value follows. */
  private key({ bytes }: AttributeKey, valueLength: number): void {
    this.byte(Tag.attribute);
    this.varint(bytes.length + 1 + varintLength(valueLength) + valueLength);
    this.blob(bytes);
    this.byte(Tag.value);
    this.varint(valueLength);
  }

  /** Microseconds are what the clock tells; the three digits after them are zero. */
  private nanoseconds(ms: number): void {
    const us = Math.round(ms * 1_000);
    const low = (us % WORD) * 1_000;
    this.word(low % WORD);
    this.word(Math.floor(us / WORD) * 1_000 + Math.floor(low / WORD));
  }

  /** 32 bits, the lowest byte first. */
  private word(value: number): void {
    const { bytes } = this;
    bytes[this.at++] = value & 0xff;
    bytes[this.at++] = (value >>> 8) & 0xff;
    bytes[this.at++] = (value >>> 16) & 0xff;
    bytes[this.at++] = value >>> 24;
  }

  /** @throws RangeError where the id has not twice as many digits as bytes. */
  private id(tag: number, hex: string, bytes: number): void {
    if (hex.length !== 2 * bytes)
      throw new RangeError(`an id of ${hex.length} digits; expected ${2 * bytes}`);
    this.byte(tag);
    this.byte(bytes);
    for (let i = 0; i < hex.length; i += 2)
      this.byte((digit(hex.charCodeAt(i)) << 4) | digit(hex.charCodeAt(i + 1)));
  }

  private field(tag: number, text: string): void {
    const length = textLength(text);
    if (this.at + length + SPARE > ROOM) throw new RangeError(`spans of more than ${ROOM} bytes`);
    this.byte(tag);
    this.varint(length);
    if (length !== text.length || length > SHORT) this.at += this.bytes.write(text, this.at, 'utf8');
    else for (let i = 0; i < length; i++) this.bytes[this.at++] = text.charCodeAt(i);
  }

  private byte(value: number): void {
    this.bytes[this.at++] = value;
  }

  private varint(value: number): void {
    this.at = writeVarint(this.bytes, this.at, value);
  }
}

/** Up to so many characters a loop is faster than the way into Node. */
const SHORT = 48;

/** Of a hexadecimal digit in lower case. */
function digit(code: number): number {
  return code < 0x3a ? code - 0x30 : code - 0x57;
}

/** In UTF-8. */
function textLength(text: string): number {
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) > 0x7f) return Buffer.byteLength(text, 'utf8');
  return text.length;
}
