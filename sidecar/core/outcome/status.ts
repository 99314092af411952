/**
 * gRPC status codes: numbers, names, and what HTTP alone says when a peer sent no `grpc-status`.
 * Source: grpc doc/statuscodes.md, doc/http-grpc-status-mapping.md, doc/PROTOCOL-HTTP2.md "Errors".
 */

export const Status = {
  OK: 0,
  CANCELLED: 1,
  UNKNOWN: 2,
  INVALID_ARGUMENT: 3,
  DEADLINE_EXCEEDED: 4,
  NOT_FOUND: 5,
  ALREADY_EXISTS: 6,
  PERMISSION_DENIED: 7,
  RESOURCE_EXHAUSTED: 8,
  FAILED_PRECONDITION: 9,
  ABORTED: 10,
  OUT_OF_RANGE: 11,
  UNIMPLEMENTED: 12,
  INTERNAL: 13,
  UNAVAILABLE: 14,
  DATA_LOSS: 15,
  UNAUTHENTICATED: 16,
} as const;

/** One of the seventeen codes. */
export type Status = (typeof Status)[keyof typeof Status];

/** Statuses that are an error of the server rather than of its caller (OpenTelemetry's semantic conventions for gRPC). */
export const SERVER_ERRORS: ReadonlySet<number> = new Set<number>([
  Status.UNKNOWN,
  Status.DEADLINE_EXCEEDED,
  Status.UNIMPLEMENTED,
  Status.INTERNAL,
  Status.UNAVAILABLE,
  Status.DATA_LOSS,
]);

const NAMES = Object.keys(Status) as readonly (keyof typeof Status)[];

/** The name of a code, or `other` for a number gRPC does not define: fit to be a metric label. */
export function statusName(code: number): string {
  return NAMES[code] ?? 'other';
}

/** The code for a name in any case (`UNAVAILABLE`, `deadline-exceeded`) or a number (`14`) in a file; undefined when it is neither. */
export function parseStatus(text: string): Status | undefined {
  const trimmed = text.trim();
  if (/^\d{1,2}$/.test(trimmed))
    return Number(trimmed) < NAMES.length ? (Number(trimmed) as Status) : undefined;
  const name = trimmed.toUpperCase().replaceAll('-', '_');
  return Object.hasOwn(Status, name) ? Status[name as keyof typeof Status] : undefined;
}

const { UNAVAILABLE, INTERNAL, UNKNOWN, PERMISSION_DENIED } = Status;
const BY_HTTP: Readonly<Record<number, Status>> = {
  ...{ 400: INTERNAL, 401: Status.UNAUTHENTICATED, 403: PERMISSION_DENIED },
  ...{ 404: Status.UNIMPLEMENTED, 429: UNAVAILABLE, 502: UNAVAILABLE, 503: UNAVAILABLE, 504: UNAVAILABLE },
};

/** What an answer without `grpc-status` means. 200 is UNKNOWN: a truly successful answer says so itself. */
export function statusFromHttp(httpStatus: number): Status {
  return BY_HTTP[httpStatus] ?? UNKNOWN;
}

/** By error code of RFC 9113 section 7; the others up to 0xa (CONNECT_ERROR) are INTERNAL. */
const BY_RESET: Readonly<Record<number, Status>> = {
  5: UNKNOWN, // STREAM_CLOSED
  7: UNAVAILABLE, // REFUSED_STREAM
  8: Status.CANCELLED, // CANCEL
  11: Status.RESOURCE_EXHAUSTED, // ENHANCE_YOUR_CALM
  12: PERMISSION_DENIED, // INADEQUATE_SECURITY
};

/** What a peer's RST_STREAM with this HTTP/2 error code means. Codes without a mapping are UNKNOWN. */
export function statusFromReset(errorCode: number): Status {
  return BY_RESET[errorCode] ?? (errorCode >= 0 && errorCode <= 0xa ? INTERNAL : UNKNOWN);
}
