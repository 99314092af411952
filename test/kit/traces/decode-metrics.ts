/** Requests to a collector of metrics as plain objects, by the reader of messages that the sidecar uses for other protocols. */
import { attributesOf, fixed, messages, numberOf, textOf } from './otlp-fields.js';

/** A point as a collector sees it. Times are nanoseconds since 1970. */
export interface ReadPoint {
  readonly attributes: Readonly<Record<string, string | number | boolean>>;
  /** 0: it has none. */
  readonly start: bigint;
  readonly time: bigint;
  /** Of a gauge or sum. */
  readonly value?: number;
  /** Of a histogram. */
  readonly count?: number;
  /** Undefined: it has none. */
  readonly sum?: number | undefined;
  readonly buckets?: readonly number[];
  readonly bounds?: readonly number[];
}

export interface ReadMetric {
  readonly name: string;
  readonly description: string;
  readonly unit: string;
  readonly type: string;
  readonly kind: 'gauge' | 'sum' | 'histogram';
  /** 2: cumulative. */
  readonly temporality: number;
  readonly isMonotonic: boolean;
  readonly points: readonly ReadPoint[];
}

/** Fields of a Metric. */
const KINDS = [
  ['gauge', 5],
  ['sum', 7],
  ['histogram', 9],
] as const;

/** All metrics of an ExportMetricsServiceRequest, and the attributes of its one resource. */
export function readMetricsRequest(body: Buffer) {
  const [resourceMetrics, ...others] = messages(body, 1);
  if (resourceMetrics === undefined || others.length > 0) throw new Error('not one resource');
  const resource = messages(resourceMetrics, 1).flatMap((each) => messages(each, 1));
  const scopeMetrics = messages(resourceMetrics, 2);
  const scopes = scopeMetrics.flatMap((each) => messages(each, 1));
  return {
    resource: attributesOf(resource),
    scopes: scopes.map((scope) => [textOf(scope, 1), textOf(scope, 2)] as const),
    metrics: scopeMetrics.flatMap((each) => readMetrics(each)),
  };
}

/** The metrics of a ScopeMetrics. */
export function readMetrics(scopeMetrics: Buffer): ReadMetric[] {
  return messages(scopeMetrics, 2).map((metric) => {
    const [[kind, data], ...others] = KINDS.flatMap(([name, number]) =>
      messages(metric, number).map((found) => [name, found] as const),
    ) as [readonly [ReadMetric['kind'], Buffer]];
    if (others.length > 0) throw new Error('a metric of several kinds');
    return {
      ...{ name: textOf(metric, 1), description: textOf(metric, 2), unit: textOf(metric, 3), kind },
      type: String(attributesOf(messages(metric, 12))['prometheus.type']),
      temporality: numberOf(data, 2),
      isMonotonic: numberOf(data, 3) === 1,
      points: messages(data, 1).map((point) =>
        kind === 'histogram' ? readHistogram(point) : readNumber(point),
      ),
    };
  });
}

function readNumber(point: Buffer): ReadPoint {
  return {
    ...timesOf(point),
    attributes: attributesOf(messages(point, 7)),
    value: fixed(point, 4)!.readDoubleLE(),
  };
}

function readHistogram(point: Buffer): ReadPoint {
  const each = <T>(number: number, read: (bytes: Buffer) => T): T[] =>
    messages(point, number).flatMap((packed) =>
      Array.from({ length: packed.length / 8 }, (_, i) => read(packed.subarray(8 * i, 8 * i + 8))),
    );
  return {
    ...timesOf(point),
    attributes: attributesOf(messages(point, 9)),
    count: Number(fixed(point, 4)!.readBigUInt64LE()),
    sum: fixed(point, 5)?.readDoubleLE(),
    buckets: each(6, (bytes) => Number(bytes.readBigUInt64LE())),
    bounds: each(7, (bytes) => bytes.readDoubleLE()),
  };
}

function timesOf(point: Buffer): Pick<ReadPoint, 'start' | 'time'> {
  return { start: fixed(point, 2)?.readBigUInt64LE() ?? 0n, time: fixed(point, 3)!.readBigUInt64LE() };
}
