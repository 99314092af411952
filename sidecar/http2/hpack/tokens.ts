/**
 * Numbers of the known header names, for switches on integers instead of strings. Internal: never on the wire. 0 is any other
 * name; `outrider` is every other name that starts with `outrider-`, or would for a server that takes other characters for a hyphen.
 */
export const Token = {
  other: 0,
  authority: 1,
  method: 2,
  path: 3,
  scheme: 4,
  status: 5,
  contentType: 6,
  te: 7,
  grpcTimeout: 8,
  grpcStatus: 9,
  grpcMessage: 10,
  grpcEncoding: 11,
  grpcAcceptEncoding: 12,
  userAgent: 13,
  contentLength: 14,
  traceparent: 15,
  tracestate: 16,
  baggage: 17,
  authorization: 18,
  cookie: 19,
  connection: 20,
  keepAlive: 21,
  proxyConnection: 22,
  transferEncoding: 23,
  upgrade: 24,
  host: 25,
  date: 26,
  grpcPreviousRpcAttempts: 27,
  grpcRetryPushbackMs: 28,
  grpcStatusDetailsBin: 29,
  xRequestId: 30,
  outrider: 31,
  forwarded: 32,
  xForwardedClientCert: 33,
  endpointLoadMetricsBin: 34,
  endpointLoadMetrics: 35,
  outriderQueueMs: 36,
  outriderDeadline: 37,
  outriderEngineModel: 38,
} as const;

const PSEUDO: readonly string[] = ['authority', 'method', 'path', 'scheme', 'status'];
const NO_NAMES: readonly string[] = ['other', 'outrider'];

/** Every name with a token of its own, made from the key of the token: `grpcTimeout` is `grpc-timeout`. */
export const TOKEN_BY_NAME: ReadonlyMap<string, number> = new Map(
  Object.entries(Token)
    .filter(([key]) => !NO_NAMES.includes(key))
    .map(([key, token]) => [headerName(key), token]),
);

function headerName(key: string): string {
  return PSEUDO.includes(key) ? `:${key}` : key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

/**
 * Names that peers may not say, also as CGI and WSGI read them: there a hyphen and an underscore are the same character
 * (`HTTP_OUTRIDER_CALLER`, RFC 3875 section 4.1.18), and in some servers every one that is no letter or digit.
 */
const RESERVED: readonly (readonly [pattern: RegExp, token: number])[] = [
  [/^outrider[^a-z0-9]/, Token.outrider],
  [/^x[^a-z0-9]forwarded[^a-z0-9]client[^a-z0-9]cert$/, Token.xForwardedClientCert],
];

/** The token of a name: lower case as on the wire; a name in another case is `other`. */
export function tokenOf(name: string): number {
  const known = TOKEN_BY_NAME.get(name);
  if (known !== undefined) return known;
  for (const [pattern, token] of RESERVED) if (pattern.test(name)) return token;
  return Token.other;
}

/** Whether a token is that of a name of our own, which callers may not say. */
export function isOwnToken(token: number): boolean {
  return token === Token.outrider || (token >= Token.outriderQueueMs && token <= Token.outriderEngineModel);
}
