/** Requests to a collector of traces as plain objects, by the reader of messages that the sidecar uses for other protocols. */
import { attributesOf, fixed, messages, numberOf, textOf } from './otlp-fields.js';

/** A span as a collector sees it. Times are nanoseconds since 1970. */
export interface ReadSpan {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentId: string;
  readonly state: string;
  readonly flags: number;
  readonly name: string;
  readonly kind: number;
  readonly start: bigint;
  readonly end: bigint;
  readonly attributes: Readonly<Record<string, string | number | boolean>>;
  /** Message of a status that is an error; undefined: it is not. */
  readonly error: string | undefined;
}

/** All spans of an ExportTraceServiceRequest, and the attributes of its one resource. */
export function readRequest(body: Buffer) {
  const [resourceSpans, ...others] = messages(body, 1);
  if (resourceSpans === undefined || others.length > 0) throw new Error('not one resource');
  const resource = messages(resourceSpans, 1).flatMap((each) => messages(each, 1));
  const scopeSpans = messages(resourceSpans, 2);
  return {
    resource: attributesOf(resource),
    scopes: scopeSpans.flatMap((each) => messages(each, 1)).map((scope) => textOf(scope, 1)),
    spans: scopeSpans.flatMap((each) => readSpans(each)),
  };
}

/** The spans of a ScopeSpans. */
export function readSpans(scopeSpans: Buffer): ReadSpan[] {
  return messages(scopeSpans, 2).map(readSpan);
}

function readSpan(span: Buffer): ReadSpan {
  const [status] = messages(span, 15);
  const code = status === undefined ? 0 : numberOf(status, 3);
  return {
    traceId: hexOf(span, 1),
    spanId: hexOf(span, 2),
    state: textOf(span, 3),
    parentId: hexOf(span, 4),
    name: textOf(span, 5),
    kind: numberOf(span, 6),
    start: fixed(span, 7)?.readBigUInt64LE() ?? 0n,
    end: fixed(span, 8)?.readBigUInt64LE() ?? 0n,
    attributes: attributesOf(messages(span, 9)),
    flags: fixed(span, 16)?.readUInt32LE() ?? 0,
    error: code === 2 && status !== undefined ? textOf(status, 2) : undefined,
  };
}

function hexOf(message: Buffer, number: number): string {
  return messages(message, number)[0]?.toString('hex') ?? '';
}
