/**
 * Numbers of the known header names, for switches on integers instead of strings. Internal: never on the wire. 0 is any other
 * name; `outrider` is every name that starts with `outrider-`.
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
} as const;

/** One more than the largest token: the length of arrays indexed by token. */
export const TOKEN_COUNT = 34;

/** Every name with a token of its own. */
export const TOKEN_BY_NAME: ReadonlyMap<string, number> = new Map<string, number>([
  [':authority', Token.authority],
  [':method', Token.method],
  [':path', Token.path],
  [':scheme', Token.scheme],
  [':status', Token.status],
  ['content-type', Token.contentType],
  ['te', Token.te],
  ['grpc-timeout', Token.grpcTimeout],
  ['grpc-status', Token.grpcStatus],
  ['grpc-message', Token.grpcMessage],
  ['grpc-encoding', Token.grpcEncoding],
  ['grpc-accept-encoding', Token.grpcAcceptEncoding],
  ['user-agent', Token.userAgent],
  ['content-length', Token.contentLength],
  ['traceparent', Token.traceparent],
  ['tracestate', Token.tracestate],
  ['baggage', Token.baggage],
  ['authorization', Token.authorization],
  ['cookie', Token.cookie],
  ['connection', Token.connection],
  ['keep-alive', Token.keepAlive],
  ['proxy-connection', Token.proxyConnection],
  ['transfer-encoding', Token.transferEncoding],
  ['upgrade', Token.upgrade],
  ['host', Token.host],
  ['date', Token.date],
  ['grpc-previous-rpc-attempts', Token.grpcPreviousRpcAttempts],
  ['grpc-retry-pushback-ms', Token.grpcRetryPushbackMs],
  ['grpc-status-details-bin', Token.grpcStatusDetailsBin],
  ['x-request-id', Token.xRequestId],
  ['forwarded', Token.forwarded],
  ['x-forwarded-client-cert', Token.xForwardedClientCert],
]);

/** The token of a name: lower case as on the wire; a name in another case is `other`. */
export function tokenOf(name: string): number {
  return TOKEN_BY_NAME.get(name) ?? (name.startsWith('outrider-') ? Token.outrider : Token.other);
}
