import { Token, tokenOf } from './tokens.js';

/** How often the values of a name repeat: decides between the stable list and the extras of a block. */
export const Volatility = {
  /** stable from the first time */
  stable: 0,
  /** stable once the same field has been seen twice */
  earned: 1,
  /** varies from call to call: always an extra, never in the field cache */
  varying: 2,
} as const;

/** Why a field makes its message malformed (RFC 9113 8.1.1); 0 is a good field. */
export const FieldError = {
  ok: 0,
  /** empty, upper case, or a byte that no header name may hold (RFC 9113 8.2.1, RFC 9110 5.1) */
  name: 1,
  /** NUL, CR or LF in the value (RFC 9113 8.2.1) */
  value: 2,
  /** SP or HTAB at either end of the value (RFC 9113 8.2.1) */
  whitespace: 3,
  /** a name that speaks about an HTTP/1 connection (RFC 9113 8.2.2) */
  connection: 4,
  /** `te` other than "trailers" (RFC 9113 8.2.2) */
  te: 5,
  /** a pseudo-header that RFC 9113 8.3 does not define */
  pseudo: 6,
} as const;

/** Names longer than this are not cached, bytes. */
export const MAX_CACHED_NAME_BYTES = 64;

/** A name with so many different values becomes `varying`: metadata such as user ids must not fill the trie. */
export const MAX_STABLE_VALUES = 64;

const VARYING: ReadonlySet<number> = new Set<number>([
  Token.grpcTimeout,
  Token.grpcMessage, // an empty one is stable: see HeaderField
  Token.traceparent,
  Token.tracestate,
  Token.baggage,
  Token.authorization,
  Token.cookie,
  Token.contentLength,
  Token.date,
  Token.grpcPreviousRpcAttempts,
  Token.grpcRetryPushbackMs,
  Token.grpcStatusDetailsBin,
  Token.xRequestId,
  Token.endpointLoadMetricsBin,
  Token.endpointLoadMetrics,
  Token.outriderQueueMs,
  Token.outriderDeadline,
  Token.outriderEngineModel,
]);

const VARYING_NAMES: ReadonlySet<string> = new Set([
  'set-cookie',
  'proxy-authorization',
  'x-b3-traceid',
  'x-b3-spanid',
]);

/** Names sent with nearly every call, not in the static table, and without secrets. */
const WORTH_INDEXING: ReadonlySet<number> = new Set<number>([
  Token.grpcTimeout,
  Token.traceparent,
  Token.tracestate,
  Token.grpcPreviousRpcAttempts,
  Token.xRequestId,
  Token.outriderQueueMs,
  Token.outriderDeadline,
  Token.outriderEngineModel,
]);

const CONNECTION: ReadonlySet<number> = new Set<number>([
  Token.connection,
  Token.keepAlive,
  Token.proxyConnection,
  Token.transferEncoding,
  Token.upgrade,
]);

let lastId = 0;

/** A header name with what is derived from it once: its token, whether RFC 9113 section 8.2 allows it, and how often its values repeat. */
export class Name {
  readonly token: number;
  readonly pseudo: boolean;
  readonly error: number;
  /** Its values are base64 (gRPC over HTTP/2, "Binary-Header"). */
  readonly isBinary: boolean;
  /** Whether a table entry at the peer pays for the name alone. */
  readonly worthIndexing: boolean;
  /** Tells two Name objects apart in cache keys. */
  readonly id: number;
  /** First entry of the static table with this name, 0 if none. Set once by static-table.ts. */
  staticIndex = 0;
  /** Length-prefixed literal, made by the encoder when first needed. */
  literal: Uint8Array | null = null;
  /** A `Volatility`; changed by `claimStableValue` and `forget` alone. */
  volatility: number;
  #stableValues = 0;

  constructor(readonly text: string) {
    if (/[^\0-\xff]/.test(text)) throw new RangeError('a header name holds bytes only');
    this.token = tokenOf(text);
    this.pseudo = text.charCodeAt(0) === 0x3a;
    this.error = nameFault(text, this.token);
    this.isBinary = text.endsWith('-bin');
    this.worthIndexing = WORTH_INDEXING.has(this.token);
    this.id = ++lastId;
    this.volatility = volatilityOf(text, this.token, this.error);
  }

  /** Whether one more field of this name may become stable. When there are too many, the name varies from then on. */
  claimStableValue(): boolean {
    if (this.#stableValues === MAX_STABLE_VALUES) this.volatility = Volatility.varying;
    else this.#stableValues++;
    return this.volatility === Volatility.earned;
  }

  /** As if no value of it had been seen. */
  forget(): void {
    this.volatility = volatilityOf(this.text, this.token, this.error);
    this.#stableValues = 0;
  }
}

/** Names that callers choose the values of. */
const EARNED: ReadonlySet<number> = new Set<number>([
  Token.other,
  Token.outrider,
  Token.forwarded,
  Token.xForwardedClientCert,
]);

function volatilityOf(text: string, token: number, fault: number): number {
  if (text.length > MAX_CACHED_NAME_BYTES || fault !== FieldError.ok) return Volatility.varying;
  if (VARYING.has(token) || VARYING_NAMES.has(text)) return Volatility.varying;
  if (EARNED.has(token)) return Volatility.earned;
  return Volatility.stable;
}

function nameFault(text: string, token: number): number {
  if (text.charCodeAt(0) === 0x3a) return token === Token.other ? FieldError.pseudo : FieldError.ok;
  if (CONNECTION.has(token)) return FieldError.connection;
  return /^[a-z0-9!#$%&'*+\-.^_`|~]+$/.test(text) ? FieldError.ok : FieldError.name;
}

const known = new Map<string, Name>();

/** The permanent Name of `text`; only for the fixed sets of this package (tokens, static table). */
export function internName(text: string): Name {
  const name = nameOf(text);
  known.set(text, name);
  return name;
}

/** The permanent Name if `text` is one of the fixed sets, else a new one. */
export function nameOf(text: string): Name {
  return known.get(text) ?? new Name(text);
}

const RECENT_NAMES = 256;
const recent = new Map<string, Name>();

/** nameOf() for names that come from our own code and so come again; bounded all the same. */
export function recentName(text: string): Name {
  const found = recent.get(text);
  if (found !== undefined) return found;
  const name = nameOf(text);
  if (recent.size >= RECENT_NAMES) recent.clear();
  if (text.length <= MAX_CACHED_NAME_BYTES) recent.set(text, name);
  return name;
}

/** As in a process that begins: of the fixed names no value has been seen, and no other is known. */
export function forgetNames(): void {
  lastId = 0;
  for (const name of known.values()) {
    name.forget();
    lastId = Math.max(lastId, name.id);
  }
  recent.clear();
}
