/** A series that Prometheus computes at every evaluation. */
export interface RecordingRule {
  readonly record: string;
  readonly expr: string;
  /** The labels that it keeps. */
  readonly labels: readonly string[];
}

/**
 * Statuses by which a call failed for its service; others are the caller's doing (INVALID_ARGUMENT) or its wish
 * (CANCELLED). The list that Google's SRE book counts for gRPC, with RESOURCE_EXHAUSTED, by which overload answers.
 */
export const FAILED = 'UNKNOWN|DEADLINE_EXCEEDED|RESOURCE_EXHAUSTED|INTERNAL|UNAVAILABLE|DATA_LOSS';

/** Windows of the burn-rate alerts: Google's SRE workbook, chapter 5. */
const WINDOWS = ['5m', '30m', '1h', '6h'] as const;

const CALLS = 'direction="outbound"';
const rate = (selector: string, window: string) =>
  `sum by (service) (rate(outrider_calls_total{${selector}}[${window}]))`;

/** A number that an operator may set by a recording rule of this name: for all services, and with the label `service` for one. */
export interface Threshold {
  readonly record: string;
  /** What holds for each service. */
  readonly objective: string;
  readonly value: number;
  readonly meaning: string;
}

/** What alerts compare with. */
export const THRESHOLDS = {
  errorRatio: {
    record: 'outrider:threshold:error_ratio',
    objective: 'outrider:objective:error_ratio',
    value: 0.01,
    meaning: 'Share of the calls of a service that may fail: 0.01 is an objective of 99 %.',
  },
  p99Seconds: {
    record: 'outrider:threshold:p99_seconds',
    objective: 'outrider:objective:p99_seconds',
    value: 1,
    meaning: 'What 99 of 100 calls of a service have to stay below, in seconds.',
  },
} as const satisfies Readonly<Record<string, Threshold>>;

/** As the sidecars of callers see it: what a call met on its whole way is in these numbers. */
export const RECORDING_RULES: readonly RecordingRule[] = [
  { record: 'outrider:calls:rate5m', expr: rate(CALLS, '5m'), labels: ['service'] },
  ...WINDOWS.map((window) => ({
    record: `outrider:call_errors:ratio_rate${window}`,
    // Without a failed call there is no series of one: the ratio is 0 then, not absent.
    expr: `(${rate(`${CALLS},grpc_status=~"${FAILED}"`, window)} or 0 * ${rate(CALLS, window)}) / ${rate(CALLS, window)}`,
    labels: ['service'],
  })),
  ...[50, 99].map((percent) => ({
    record: `outrider:call_seconds:p${percent}_5m`,
    expr: `histogram_quantile(0.${percent}, sum by (service, le) (rate(outrider_call_seconds_bucket{${CALLS}}[5m])))`,
    labels: ['service'],
  })),
  ...Object.values(THRESHOLDS).map(({ record, objective, value }) => ({
    record: objective,
    // The threshold of the service, else the one without a service, else the default. `max` takes other labels away.
    expr: `max by (service) (${record}{service!=""}) or on (service) (0 * outrider:calls:rate5m + scalar(max(${record}{service=""}) or vector(${value})))`,
    labels: ['service'],
  })),
  {
    record: 'outrider:endpoints_eligible:ratio',
    expr: 'avg by (instance, upstream, cluster) (outrider_endpoint_eligible)',
    labels: ['upstream', 'cluster'],
  },
];
