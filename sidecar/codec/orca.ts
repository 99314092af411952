/**
 * Load reports of Open Request Cost Aggregation, `xds.data.orca.v3.OrcaLoadReport` (gRFC A51): what a server says of its load.
 * The reader expects lies and noise: a value that cannot be is left out and counted, and never fails a call.
 */

import { type Field, fieldsOf, MessageWriter } from './protobuf.js';

/** What was wrong with a report, or with one value of it. */
export const REPORT_FAULTS = [
  /** More bytes than a report may have; nothing of it is read. */
  'too-long',
  /** No such message, or no such text; nothing more of it is read. */
  'unreadable',
  /** NaN or infinite. */
  'not-finite',
  /** Negative, or beyond what can be. */
  'out-of-range',
  /** A value, or the whole report, stands there again: the first one counts. */
  'repeated',
  /** More named values than are kept. */
  'too-many',
  /** The binary and the text form came together: the binary one counts. */
  'two-formats',
  /** It says fewer calls than we have there ourselves. */
  'contradicted',
] as const;
export type ReportFault = (typeof REPORT_FAULTS)[number];

/** Hears of each fault. */
export type OnReportFault = (fault: ReportFault) => void;

/** Longest report that is read, bytes. */
export const MAX_REPORT_BYTES = 8 * 1024;
/** Named values kept of each map, and the longest name, characters. */
export const MAX_NAMED_VALUES = 64;
const MAX_NAME = 128;

/** A server with a thousand times more work than it can run at once refuses, long before it reports that. */
const MAX_UTILIZATION = 10_000;
const MAX_RATE = 1e9;
const MAX_VALUE = 1e15;

/**
 * One report. Utilizations are ratios, 1 = fully used; rates are per second. 0 is also what a report says that leaves the value
 * out, as proto3 has it. Undefined: the value was there and could not be.
 */
export class LoadReport {
  cpuUtilization: number | undefined = 0;
  /** 0 to 1. */
  memUtilization: number | undefined = 0;
  /** What the server itself holds for its load: work over what it can do at once. May exceed 1. */
  applicationUtilization: number | undefined = 0;
  /** Requests, and those that failed, per second. */
  rps: number | undefined = 0;
  eps: number | undefined = 0;
  /** What this one request has cost, by resource. */
  readonly requestCost = new Map<string, number>();
  /** 0 to 1, by resource. */
  readonly utilization = new Map<string, number>();
  readonly named = new Map<string, number>();
}

/** Named metrics of an Outrider: calls that it has and may run at once now, those that run for long, open streams on which nothing moves, mean time of a run, what a new call would wait, tokens of calls that wait, and what a language-model engine says that it runs and has waiting itself. */
export const OwnMetric = {
  calls: 'outrider.calls',
  concurrency: 'outrider.concurrency',
  longCalls: 'outrider.long_calls',
  idleStreams: 'outrider.idle_streams',
  runSeconds: 'outrider.run_seconds',
  waitSeconds: 'outrider.queue_wait_seconds',
  waitingTokens: 'outrider.waiting_tokens',
  engineRunning: 'outrider.engine_running',
  engineWaiting: 'outrider.engine_waiting',
} as const;
/** What they begin with; the load of one model of several is `outrider.utilization.MODEL`. */
export const OWN_METRICS = 'outrider.';

/** Request metadata of a sidecar that watches our load: it takes changes between its intervals, and reports in trailers. */
export const WATCHES_LOAD = 'outrider-load';

/** The values of a report that are one number each. */
export const SCALARS = [
  { field: 1, name: 'cpu_utilization', key: 'cpuUtilization', max: MAX_UTILIZATION },
  { field: 2, name: 'mem_utilization', key: 'memUtilization', max: 1 },
  { field: 6, name: 'rps_fractional', key: 'rps', max: MAX_RATE },
  { field: 7, name: 'eps', key: 'eps', max: MAX_RATE },
  { field: 9, name: 'application_utilization', key: 'applicationUtilization', max: MAX_UTILIZATION },
] as const;

/** Those that are maps from names to numbers. */
export const MAPS = [
  { field: 4, name: 'request_cost', key: 'requestCost', min: -MAX_VALUE, max: MAX_VALUE },
  { field: 5, name: 'utilization', key: 'utilization', min: 0, max: 1 },
  { field: 8, name: 'named_metrics', key: 'named', min: -MAX_VALUE, max: MAX_VALUE },
] as const;

export type ScalarOfReport = (typeof SCALARS)[number];
export type MapOfReport = (typeof MAPS)[number];

/** Puts values into a report as they are read, in whichever format. */
export class ReportBuilder {
  readonly report = new LoadReport();
  private readonly seen = new Set<string>();

  constructor(readonly onFault: OnReportFault) {}

  scalar({ name, key, max }: ScalarOfReport, value: number): void {
    if (this.seen.has(name)) return this.onFault('repeated');
    this.seen.add(name);
    this.report[key] = this.isWithin(value, 0, max) ? value : undefined;
  }

  named({ key, min, max }: MapOfReport, name: string, value: number): void {
    const values = this.report[key];
    if (values.has(name)) return this.onFault('repeated');
    if (values.size >= MAX_NAMED_VALUES) return this.onFault('too-many');
    if (name.length > MAX_NAME) return this.onFault('too-long');
    if (this.isWithin(value, min, max)) values.set(name, value);
  }

  private isWithin(value: number, min: number, max: number): boolean {
    const isNumber = Number.isFinite(value);
    const isWithin = isNumber && value >= min && value <= max;
    if (!isWithin) this.onFault(isNumber ? 'out-of-range' : 'not-finite');
    return isWithin;
  }
}

/** Reads a report in its binary form. Undefined: there is none in these bytes. */
export function readLoadReport(bytes: Buffer, onFault: OnReportFault): LoadReport | undefined {
  if (bytes.length > MAX_REPORT_BYTES) {
    onFault('too-long');
    return undefined;
  }
  const builder = new ReportBuilder(onFault);
  try {
    for (const field of fieldsOf(bytes)) readField(builder, field);
  } catch {
    onFault('unreadable');
    return undefined;
  }
  return builder.report;
}

function readField(builder: ReportBuilder, field: Field): void {
  if (field.type === 'fixed64') {
    const scalar = SCALARS.find((each) => each.field === field.number);
    if (scalar !== undefined) builder.scalar(scalar, field.value.readDoubleLE(0));
  } else if (field.type === 'bytes') {
    const map = MAPS.find((each) => each.field === field.number);
    if (map === undefined) return;
    let name = '';
    let value = 0;
    for (const part of fieldsOf(field.value)) {
      if (part.number === 1 && part.type === 'bytes') name = part.value.toString('utf8');
      if (part.number === 2 && part.type === 'fixed64') value = part.value.readDoubleLE(0);
    }
    builder.named(map, name, value);
  }
}

/** The binary form of a report; values that are 0 or undefined are left out. */
export function writeLoadReport(report: LoadReport): Buffer {
  const message = new MessageWriter();
  for (const { field, key } of SCALARS) message.double(field, report[key] ?? 0);
  for (const { field, key } of MAPS)
    for (const [name, value] of report[key])
      message.message(field, new MessageWriter().text(1, name).double(2, value));
  return message.finish();
}

/** The out-of-band service (gRFC A51): a stream of reports at an interval. */
export const STREAM_CORE_METRICS = '/xds.service.orca.v3.OpenRcaService/StreamCoreMetrics';

const MAX_INTERVAL_MS = 24 * 3_600_000;

/** A request for such a stream (`OrcaLoadReportRequest`). @param intervalMs whole milliseconds, at most a day. */
export function loadStreamRequest(intervalMs: number): Buffer {
  const seconds = Math.floor(intervalMs / 1000);
  const nanos = (intervalMs - seconds * 1000) * 1_000_000;
  return new MessageWriter().message(1, new MessageWriter().number(1, seconds).number(2, nanos)).finish();
}

/**
 * The interval that such a request asks for, ms: 0 where it says none, or a negative one; at most a day. Undefined: the bytes are no
 * such message.
 */
export function readLoadStreamRequest(bytes: Buffer): number | undefined {
  try {
    let intervalMs = 0;
    for (const field of fieldsOf(bytes))
      if (field.number === 1 && field.type === 'bytes') intervalMs = readDuration(field.value);
    return Math.min(Math.max(intervalMs, 0), MAX_INTERVAL_MS);
  } catch {
    return undefined;
  }
}

/** `google.protobuf.Duration` in ms. */
function readDuration(bytes: Buffer): number {
  let ms = 0;
  for (const field of fieldsOf(bytes)) {
    if (field.type !== 'varint') continue;
    const value = Number(BigInt.asIntN(64, field.value));
    if (field.number === 1) ms += value * 1000;
    if (field.number === 2) ms += value / 1_000_000;
  }
  return ms;
}
