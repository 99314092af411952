/**
 * Load reports in metadata: `endpoint-load-metrics-bin` (gRFC A51), and Envoy's `endpoint-load-metrics`, whose value begins with
 * `BIN `, `JSON ` or `TEXT `.
 */

import {
  type LoadReport,
  MAPS,
  MAX_REPORT_BYTES,
  type OnReportFault,
  ReportBuilder,
  readLoadReport,
  SCALARS,
  writeLoadReport,
} from './orca.js';

/** Trailer of the binary form, in base64 as every `-bin` key. */
export const BINARY_REPORT = 'endpoint-load-metrics-bin';
/** Trailer of the forms that Envoy takes beside it. */
export const TEXT_REPORT = 'endpoint-load-metrics';

/** Longest value that is read, characters: of a report of `MAX_REPORT_BYTES` in base64. */
const MAX_VALUE_LENGTH = Math.ceil(MAX_REPORT_BYTES / 3) * 4;
const BASE64 = /^[A-Za-z0-9+/]*={0,2}$/;

/** The value of `endpoint-load-metrics-bin`. */
export function writeReportValue(report: LoadReport): string {
  return writeLoadReport(report).toString('base64').replace(/=+$/, '');
}

/**
 * The report among the fields of trailers. Undefined: there is none that can be read. Of two of one form the first counts, of two forms
 * the binary one; what else cannot be is left out and told to `onFault`.
 */
export function readReport(
  fields: readonly { readonly name: string; readonly value: string }[],
  onFault: OnReportFault,
): LoadReport | undefined {
  const binary = fields.filter(({ name }) => name === BINARY_REPORT);
  const text = fields.filter(({ name }) => name === TEXT_REPORT);
  if (binary.length > 0 && text.length > 0) onFault('two-formats');
  if (Math.max(binary.length, text.length) > 1) onFault('repeated');
  const [first] = binary;
  if (first !== undefined) return readReportValue(first.value, onFault);
  return text[0] === undefined ? undefined : readReportText(text[0].value, onFault);
}

/** The report in the value of `endpoint-load-metrics-bin`. Undefined: there is none that can be read. */
export function readReportValue(value: string, onFault: OnReportFault): LoadReport | undefined {
  if (value.length > MAX_VALUE_LENGTH) return refused('too-long', onFault);
  // Values of one key that stands there twice may have been joined.
  if (value.includes(',')) return refused('repeated', onFault);
  if (!BASE64.test(value)) return refused('unreadable', onFault);
  return readLoadReport(Buffer.from(value, 'base64'), onFault);
}

/** The report in the value of `endpoint-load-metrics`. Undefined: there is none that can be read. */
export function readReportText(value: string, onFault: OnReportFault): LoadReport | undefined {
  if (value.length > MAX_VALUE_LENGTH) return refused('too-long', onFault);
  const [format = ''] = value.split(' ', 1);
  const body = value.slice(format.length + 1);
  if (format === 'BIN') return readReportValue(body, onFault);
  if (format === 'JSON') return readJson(body, onFault);
  return format === 'TEXT' ? readPairs(body, onFault) : refused('unreadable', onFault);
}

function refused(fault: Parameters<OnReportFault>[0], onFault: OnReportFault): undefined {
  onFault(fault);
  return undefined;
}

/** The JSON form of the message: names as in the proto or in lowerCamelCase, numbers perhaps as text. */
function readJson(text: string, onFault: OnReportFault): LoadReport | undefined {
  let said: unknown;
  try {
    said = JSON.parse(text);
  } catch {
    return refused('unreadable', onFault);
  }
  if (typeof said !== 'object' || said === null || Array.isArray(said)) return refused('unreadable', onFault);
  const builder = new ReportBuilder(onFault);
  for (const [name, value] of Object.entries(said)) {
    const snake = name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
    const scalar = SCALARS.find((each) => each.name === snake);
    if (scalar !== undefined) builder.scalar(scalar, numberIn(value));
    const map = MAPS.find((each) => each.name === snake);
    if (map === undefined) continue;
    if (typeof value !== 'object' || value === null) onFault('unreadable');
    else for (const [key, each] of Object.entries(value)) builder.named(map, key, numberIn(each));
  }
  return builder.report;
}

/** `name=value`, separated by commas; the names of maps come before the entry's: `named_metrics.queue=3`. */
function readPairs(text: string, onFault: OnReportFault): LoadReport | undefined {
  const builder = new ReportBuilder(onFault);
  for (const pair of text.split(',')) {
    const at = pair.indexOf('=');
    if (at < 1) {
      onFault('unreadable');
      continue;
    }
    const name = pair.slice(0, at).trim();
    const value = numberIn(pair.slice(at + 1).trim());
    const scalar = SCALARS.find((each) => each.name === name);
    if (scalar !== undefined) builder.scalar(scalar, value);
    const map = MAPS.find((each) => name.startsWith(`${each.name}.`));
    if (map !== undefined) builder.named(map, name.slice(map.name.length + 1), value);
  }
  return builder.report;
}

/** A number, or one as text; NaN where there is none. */
function numberIn(value: unknown): number {
  if (typeof value === 'number') return value;
  return typeof value === 'string' && value !== '' ? Number(value) : Number.NaN;
}
