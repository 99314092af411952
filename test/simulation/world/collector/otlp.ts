/**
 * What a collector reads of OTLP: spans and points of metrics, with whose they are. Shares no code with the product
 * (opentelemetry/proto has the numbers of the fields).
 */

type Value = number | Buffer;
type Fields = readonly (readonly [number, Value])[];

/** A point of one series. Times are ms since 1970. */
export interface Point {
  readonly metric: string;
  /** Tells its series from the others of the metric. */
  readonly labels: string;
  /** A gauge has no begin. */
  readonly kind: 'gauge' | 'count';
  readonly startMs: number;
  readonly timeMs: number;
  readonly value: number;
}

export interface Span {
  readonly trace: string;
  readonly id: string;
  readonly startMs: number;
  readonly endMs: number;
}

export interface Export {
  /** `service.instance.id` of the resource. */
  readonly instance: string;
  readonly points: readonly Point[];
  readonly spans: readonly Span[];
}

/** @throws Error where it is no such message. */
export function readExport(signal: 'metrics' | 'traces', request: Buffer): Export {
  const whole = fieldsOf(request);
  const ofResource = whole.map(([, value]) => fieldsOf(value as Buffer));
  const resource = fieldsOf(partOf(ofResource[0] ?? [], 1));
  const attributes = new Map(resource.filter(([key]) => key === 1).map(([, value]) => labelOf(value)));
  const items = ofResource
    .flatMap((each) => partsOf(each, 2))
    .flatMap((each) => partsOf(fieldsOf(each), 2))
    .map((each) => fieldsOf(each));
  return {
    instance: attributes.get('service.instance.id') ?? '',
    points: signal === 'metrics' ? items.flatMap(pointsOf) : [],
    spans: signal === 'traces' ? items.map(spanOf) : [],
  };
}

/** `partial_success` of an answer to metrics or traces. */
export function partialSuccess(rejected: number, why: string): Buffer {
  const text = Buffer.from(why);
  const inner = Buffer.from([8, ...varint(rejected), 0x12, ...varint(text.length), ...text]);
  return Buffer.from([0x0a, ...varint(inner.length), ...inner]);
}

function pointsOf(metric: Fields): Point[] {
  const name = partOf(metric, 1).toString();
  const [kind, data] = metric.find(([key]) => key === 5 || key === 7 || key === 9) ?? [0, Buffer.alloc(0)];
  const isHistogram = kind === 9;
  return partsOf(fieldsOf(data as Buffer), 1).map((bytes): Point => {
    const point = fieldsOf(bytes);
    const labels = point
      .filter(([key]) => key === (isHistogram ? 9 : 7))
      .map(([, value]) => labelOf(value).join('='));
    return {
      metric: name,
      labels: labels.sort().join(','),
      kind: kind === 5 ? 'gauge' : 'count',
      startMs: timeIn(point, 2),
      timeMs: timeIn(point, 3),
      value: isHistogram ? Number(wholeIn(point, 4)) : doubleIn(point, 4),
    };
  });
}

function spanOf(span: Fields): Span {
  return {
    trace: partOf(span, 1).toString('hex'),
    id: partOf(span, 2).toString('hex'),
    startMs: timeIn(span, 7),
    endMs: timeIn(span, 8),
  };
}

function labelOf(value: Value): [string, string] {
  const pair = fieldsOf(value as Buffer);
  return [partOf(pair, 1).toString(), partOf(fieldsOf(partOf(pair, 2)), 1).toString()];
}

function partsOf(fields: Fields, field: number): Buffer[] {
  return fields.flatMap(([key, value]) => (key === field && typeof value !== 'number' ? [value] : []));
}

function partOf(fields: Fields, field: number): Buffer {
  return partsOf(fields, field)[0] ?? Buffer.alloc(0);
}

function wholeIn(fields: Fields, field: number): bigint {
  const bytes = partOf(fields, field);
  return bytes.length === 8 ? bytes.readBigUInt64LE() : 0n;
}

const timeIn = (fields: Fields, field: number): number => Number(wholeIn(fields, field) / 1_000n) / 1_000;

function doubleIn(fields: Fields, field: number): number {
  const bytes = partOf(fields, field);
  return bytes.length === 8 ? bytes.readDoubleLE() : Number.NaN;
}

function varint(value: number): number[] {
  return value < 128 ? [value] : [(value % 128) + 128, ...varint(Math.floor(value / 128))];
}

/** The fields of a message: numbers, or bytes; those of a fixed32 and a fixed64 as they are. */
function fieldsOf(message: Buffer): Fields {
  const fields: [number, Value][] = [];
  let at = 0;
  const next = (): number => {
    let value = 0;
    for (let unit = 1; ; unit *= 128) {
      const byte = message[at++];
      if (byte === undefined) throw new Error('a number does not end');
      value += (byte & 127) * unit;
      if (byte < 128) return value;
    }
  };
  const bytes = (size: number): Buffer => {
    at += size;
    if (at > message.length) throw new Error(`a field of ${size} bytes does not end`);
    return message.subarray(at - size, at);
  };
  while (at < message.length) {
    const tag = next();
    const [field, type] = [tag >>> 3, tag % 8];
    if (type === 0) fields.push([field, next()]);
    else if (type === 1) fields.push([field, bytes(8)]);
    else if (type === 5) fields.push([field, bytes(4)]);
    else if (type === 2) fields.push([field, bytes(next())]);
    else throw new Error(`a field of wire type ${type}`);
  }
  return fields;
}
