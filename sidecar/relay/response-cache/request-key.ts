import * as crypto from 'node:crypto';
import { ByteHash, mix } from '../../http2/byte-ops.js';
import { headerViewOf } from '../../http2/header-view.js';
import type { HeaderField } from '../../http2/hpack/field.js';
import type { HeaderBlock, StableList } from '../../http2/hpack/header-list.js';
import { Token } from '../../http2/hpack/tokens.js';
import type { ChunkList } from '../../transport/chunk-list.js';

/** A call, as far as its request goes. */
export interface CachedRequest {
  /** The headers as they came. */
  readonly original: HeaderBlock;
  /** All of the body. */
  readonly buffered: ChunkList | null;
}

/** Requests up to this size are stored whole. */
export const WHOLE_BYTES = 4096;

/**
 * Metadata of tracing and timing: it differs from call to call, and no response depends on it. W3C Trace Context and
 * Baggage, B3, OpenCensus, Jaeger, AWS X-Ray, Google Cloud, Datadog, SkyWalking, Sentry, Elastic, New Relic, Envoy's
 * time limits and counts of attempts, and the usual names of request ids. gRPC's own fields are told by their tokens.
 */
const TRACING_AND_TIMING: ReadonlySet<string> = new Set([
  ...['b3', 'x-b3-traceid', 'x-b3-spanid', 'x-b3-parentspanid', 'x-b3-sampled', 'x-b3-flags'],
  ...['grpc-trace-bin', 'grpc-tags-bin', 'uber-trace-id', 'x-cloud-trace-context', 'x-amzn-trace-id'],
  ...['x-datadog-trace-id', 'x-datadog-parent-id', 'x-datadog-sampling-priority', 'x-datadog-origin'],
  ...['x-datadog-tags', 'x-ot-span-context', 'sw8', 'sw8-correlation', 'sw8-x', 'sentry-trace', 'newrelic'],
  ...['elastic-apm-traceparent', 'x-client-trace-id', 'x-trace-id', 'x-span-id', 'x-amzn-requestid'],
  ...['request-id', 'correlation-id', 'x-correlation-id', 'x-request-start', 'x-envoy-attempt-count'],
  ...['x-envoy-expected-rq-timeout-ms', 'x-envoy-upstream-rq-timeout-ms'],
  'x-envoy-upstream-rq-per-try-timeout-ms',
]);

/** How bytes are encoded: a stored response fits only the same encoding. */
const CODING: ReadonlySet<number> = new Set<number>([
  Token.contentType,
  Token.grpcEncoding,
  Token.grpcAcceptEncoding,
]);

/** Whether a response may depend on a field by default. */
function matters({ token, name, info }: HeaderField): boolean {
  switch (token) {
    // What the endpoint does not see, what follows from the body, and what says only which client it is.
    case Token.outrider:
    case Token.outriderQueueMs:
    case Token.outriderDeadline:
    case Token.outriderEngineModel:
    case Token.contentLength:
    case Token.te:
    case Token.userAgent:
    // Timing and tracing.
    case Token.grpcTimeout:
    case Token.grpcPreviousRpcAttempts:
    case Token.date:
    case Token.traceparent:
    case Token.tracestate:
    case Token.baggage:
    case Token.xRequestId:
      return false;
    case Token.other:
      return !info.pseudo && !TRACING_AND_TIMING.has(name);
    default:
      return !info.pseudo;
  }
}

/** What a list of headers comes to, with the path. */
interface ListKey {
  readonly text: string;
  readonly hash: number;
}

/**
 * What identifies a request: its method, the metadata that matters and every byte of it. Small requests are compared
 * byte by byte, and the hash only finds them; for large ones, and for credentials, stands a digest that cannot be
 * forged: a caller that found two requests with the same key would get the response to the other one. One object serves
 * all requests, one at a time.
 */
export class RequestKey {
  /** All of it that is not in `body`. */
  text = '';
  /** Compared byte by byte; null: there is none, or `text` stands for it. */
  body: ChunkList | null = null;
  hash = 0;
  private readonly vary: ReadonlySet<string> | null;
  /** Most calls in a row have the same list of headers, and there are few lists. */
  private lastList: StableList | null = null;
  private lastKey: ListKey = { text: '', hash: 0 };
  private readonly lists = new WeakMap<StableList, ListKey>();

  /** @param vary names of the metadata that count beside how bytes are coded; absent: all but tracing and timing. */
  constructor(vary?: readonly string[]) {
    this.vary = vary === undefined ? null : new Set(vary);
  }

  read({ original, buffered }: CachedRequest): void {
    const { text, hash } = this.headersOf(original);
    this.text = text;
    this.hash = hash;
    this.body = buffered;
    if (buffered === null) return;
    if (buffered.bytes <= WHOLE_BYTES) {
      this.hash = hashOfChunks(buffered, this.hash);
      return;
    }
    this.body = null;
    const digest = digestOf(buffered);
    this.text += `\0${digest}`;
    this.hash = hashOfText(digest, this.hash);
  }

  private headersOf(block: HeaderBlock): ListKey {
    const { stable, extras } = block;
    for (let i = 0; i < extras.length; i++) {
      const field = extras[i]!;
      // The path of a call may be too long for a list that is kept.
      if (field.token === Token.path || this.counts(field))
        return this.make(block, [...stable.toFields(), ...extras]);
    }
    if (stable === this.lastList) return this.lastKey;
    let key = this.lists.get(stable);
    if (key === undefined) {
      key = this.make(block, stable.toFields());
      this.lists.set(stable, key);
    }
    this.lastList = stable;
    this.lastKey = key;
    return key;
  }

  private make(block: HeaderBlock, fields: readonly HeaderField[]): ListKey {
    const { path } = headerViewOf(block);
    const metadata = serialized(fields.filter((field) => this.counts(field)));
    const text = metadata === '' ? path : `${path}\0${sha256(metadata)}`;
    return { text, hash: hashOfText(text, 0) };
  }

  private counts(field: HeaderField): boolean {
    const { vary } = this;
    return vary === null ? matters(field) : CODING.has(field.token) || vary.has(field.name);
  }
}

/**
 * The same text for the same metadata, and for no other: in the order of names, for whether a field comes with the list
 * or beside it changes from call to call; values of one name in their own order; each with its length.
 */
function serialized(fields: HeaderField[]): string {
  // Stable since ECMAScript 2019.
  fields.sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
  let text = '';
  for (const { name, value } of fields) text += `${name}:${value.length}:${value}`;
  return text;
}

/** 32 bytes, one char each: no credential is stored. */
function sha256(text: string): string {
  return crypto.createHash('sha256').update(text, 'latin1').digest('binary');
}

/** Of this process only, and never shown, as are the digests: without it none can be foreseen. */
const SECRET = crypto.randomBytes(16);
/** Always the same, as digests must be. That is forbidden where they can be seen, for they would give the secret away. */
const NONCE = Buffer.alloc(12);

/**
 * GMAC (NIST SP 800-38D): a universal hash with a secret, so that no caller can make up two requests with one digest, at a
 * quarter of what SHA-256 costs for an image.
 */
function digestOf(chunks: ChunkList): string {
  const mac = crypto.createCipheriv('aes-128-gcm', SECRET, NONCE);
  for (let i = 0; i < chunks.count; i++) {
    const { buffer, start, end } = chunks.at(i);
    mac.setAAD(buffer.subarray(start, end));
  }
  mac.final();
  return `${chunks.bytes} ${mac.getAuthTag().toString('latin1')}`;
}

/** Of a request to an upstream, by these bytes of it: not to be made up, and to be shown by `shownFingerprint` only. */
export function fingerprintOf(upstream: string, path: string, pieces: readonly Buffer[]): string {
  const mac = crypto.createCipheriv('aes-128-gcm', SECRET, NONCE);
  mac.setAAD(Buffer.from(`${upstream}\0${path}\0`, 'latin1'));
  for (const piece of pieces) mac.setAAD(piece);
  mac.final();
  return mac.getAuthTag().toString('latin1');
}

/** 16 hexadecimal digits that give nothing away. */
export function shownFingerprint(fingerprint: string): string {
  return crypto.createHmac('sha256', SECRET).update(fingerprint, 'latin1').digest('hex').slice(0, 16);
}

function hashOfText(text: string, seed: number): number {
  let hash = mix(seed, text.length);
  for (let i = 0; i < text.length; i++) hash = mix(hash, text.charCodeAt(i));
  return hash;
}

const bytes = new ByteHash();

function hashOfChunks(chunks: ChunkList, seed: number): number {
  bytes.begin(mix(seed, chunks.bytes));
  for (let i = 0; i < chunks.count; i++) {
    const { buffer, start, end } = chunks.at(i);
    bytes.add(buffer, start, end);
  }
  return bytes.end();
}
