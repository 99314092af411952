/** The message around spans or metrics (ExportTraceServiceRequest, ExportMetricsServiceRequest), and what collectors answer. */

import { OtlpWriter } from './otlp-writer.js';
import { varintLength, writeVarint } from './varint.js';

/**
 * Of a request, its resource_spans or resource_metrics; of these, resource and scope_spans or scope_metrics; of these, the
 * scope: all field 1 or 2.
 */
const FIRST = 0x0a;
const SECOND = 0x12;

/** Longest text of a collector that is logged, characters. */
const MAX_SAID = 200;

/** Whose spans or metrics they are: the same for all of one process. */
export interface TelemetrySource {
  /** Of the resource, by the semantic conventions. */
  readonly resource: Readonly<Record<string, string>>;
  /** Of the instrumentation scope. */
  readonly version: string;
}

/** What goes into one request: fields `spans` of a ScopeSpans or `metrics` of a ScopeMetrics, encoded. */
export interface Items {
  readonly parts: readonly Buffer[];
  /** Of all parts. */
  readonly bytes: number;
}

/** Puts spans or metrics into requests. */
export class RequestWriter {
  private readonly resource: Buffer;
  private readonly scope: Buffer;

  constructor({ resource, version }: TelemetrySource) {
    const writer = new OtlpWriter();
    const whole = writer.open(FIRST);
    for (const [name, value] of Object.entries(resource)) writer.attribute(FIRST, name, value);
    writer.close(whole);
    this.resource = writer.take();
    const scope = writer.open(FIRST);
    writer.text(FIRST, 'outrider');
    writer.text(SECOND, version);
    writer.close(scope);
    this.scope = writer.take();
  }

  /** The body of a request. */
  write({ parts, bytes }: Items): Buffer {
    const inScope = this.scope.length + bytes;
    const inResource = this.resource.length + 1 + varintLength(inScope) + inScope;
    const prefixes = [prefix(FIRST, inResource), this.resource, prefix(SECOND, inScope), this.scope];
    return Buffer.concat([...prefixes, ...parts]);
  }
}

/** Tag and length of a field. */
function prefix(tag: number, length: number): Buffer {
  const bytes = Buffer.alloc(1 + varintLength(length));
  bytes[0] = tag;
  writeVarint(bytes, 1, length);
  return bytes;
}

/** What a collector did not take of a request that it took. */
export interface PartialSuccess {
  /** Spans or data points. */
  readonly rejected: number;
  /** Absent: it says nothing. */
  readonly why?: string;
}

/**
 * `partial_success` of an answer to an export: `rejected_spans` or `rejected_data_points`, and `error_message`. Nothing was
 * rejected where the answer is no such message: what a collector says beside its status changes nothing here but a count.
 */
export function partialSuccess(answer: Buffer): PartialSuccess {
  const partial = fieldOf(answer, FIRST);
  const rejected = partial === undefined ? undefined : fieldOf(partial, 0x08);
  if (partial === undefined || rejected === undefined) return { rejected: 0 };
  const count = readVarint(rejected, 0);
  const why = fieldOf(partial, SECOND)?.toString('utf8').slice(0, MAX_SAID) ?? '';
  return { rejected: count?.value ?? 0, ...(why === '' ? {} : { why }) };
}

/** The first field with this tag; undefined: there is none, or what is before it is no message. */
function fieldOf(message: Buffer, tag: number): Buffer | undefined {
  for (let at = 0; at < message.length; ) {
    const isText = (message[at]! & 7) === 2;
    // Other wire types are in no answer.
    if (!isText && (message[at]! & 7) !== 0) return undefined;
    const number = readVarint(message, at + 1);
    if (number === undefined) return undefined;
    const end = isText ? number.end + number.value : number.end;
    if (end > message.length) return undefined;
    if (message[at] === tag) return message.subarray(isText ? number.end : at + 1, end);
    at = end;
  }
  return undefined;
}

/** Undefined: it does not end, or has more than 53 bits. */
function readVarint(
  bytes: Buffer,
  from: number,
): { readonly value: number; readonly end: number } | undefined {
  let value = 0;
  for (let i = from, scale = 1; i < bytes.length; i++, scale *= 0x80) {
    value += (bytes[i]! & 0x7f) * scale;
    if (value > Number.MAX_SAFE_INTEGER) return undefined;
    if (bytes[i]! < 0x80) return { value, end: i + 1 };
  }
  return undefined;
}
