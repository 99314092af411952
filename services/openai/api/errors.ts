/** Errors in OpenAI's form, and what each gRPC status is there. */

export interface ErrorBody {
  readonly error: {
    readonly message: string;
    readonly type: string;
    readonly param: string | null;
    readonly code: string | null;
  };
}

export interface ApiErrorOptions {
  readonly status: number;
  readonly type: string;
  readonly param?: string | undefined;
  readonly code?: string | undefined;
  readonly headers?: Readonly<Record<string, string>>;
}

/** A failure that the client is told. */
export class ApiError extends Error {
  override readonly name = 'ApiError';
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: ErrorBody;

  constructor(message: string, { status, type, param, code, headers = {} }: ApiErrorOptions) {
    super(message);
    this.status = status;
    this.headers = headers;
    this.body = { error: { message, type, param: param ?? null, code: code ?? null } };
  }
}

/** Status 400. `param`: the field of the request that is wrong. */
export const badRequest = (message: string, param?: string, code?: string): ApiError =>
  new ApiError(message, { status: 400, type: 'invalid_request_error', param, code });

/** Status 503, with the time after which a client may try again. */
export const unavailable = (message: string, code: string): ApiError =>
  new ApiError(message, {
    status: 503,
    type: 'service_unavailable_error',
    code,
    headers: { 'retry-after': '1' },
  });

/** The end of a gRPC call that failed. */
export interface RpcFailure {
  /** Number of the gRPC status. */
  readonly code: number;
  readonly details: string;
  /** The first value of a trailer. */
  trailer(key: string): string | undefined;
}

interface HttpMeaning {
  readonly status: number;
  readonly type: string;
}

const INTERNAL: HttpMeaning = { status: 500, type: 'server_error' };

/** gRPC statuses by number (https://grpc.io/docs/guides/status-codes/); others are server errors. */
const MEANING: Readonly<Record<number, HttpMeaning>> = {
  3: { status: 400, type: 'invalid_request_error' },
  4: { status: 504, type: 'timeout_error' },
  5: { status: 404, type: 'not_found_error' },
  7: { status: 403, type: 'permission_error' },
  8: { status: 429, type: 'rate_limit_error' },
  9: { status: 400, type: 'invalid_request_error' },
  10: { status: 409, type: 'conflict_error' },
  11: { status: 400, type: 'invalid_request_error' },
  12: { status: 501, type: 'not_supported_error' },
  14: { status: 503, type: 'service_unavailable_error' },
  16: { status: 401, type: 'authentication_error' },
};

/**
 * A gRPC failure in OpenAI's form. `code` is the reason that a sidecar gave. `grpc-retry-pushback-ms` becomes
 * `Retry-After` and the exact `retry-after-ms`; a negative one forbids a retry, which OpenAI's clients read in
 * `x-should-retry`.
 */
export function fromRpc(failure: RpcFailure): ApiError {
  const { status, type } = MEANING[failure.code] ?? INTERNAL;
  return new ApiError(
    failure.details === '' ? `The engine failed with status ${failure.code}.` : failure.details,
    {
      status,
      type,
      code: failure.trailer('outrider-reason'),
      headers: retryHeaders(failure.trailer('grpc-retry-pushback-ms')),
    },
  );
}

function retryHeaders(pushback: string | undefined): Record<string, string> {
  if (pushback === undefined) return {};
  // By gRFC A6 everything but a number of milliseconds forbids a retry.
  if (!/^\d{1,9}$/.test(pushback)) return { 'x-should-retry': 'false' };
  const milliseconds = Number(pushback);
  return { 'retry-after': String(Math.ceil(milliseconds / 1000)), 'retry-after-ms': String(milliseconds) };
}
