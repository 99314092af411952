import type { Attempt } from '../attempt.js';
import type { StoredResponse } from '../response.js';
import { type CachedRequest, RequestKey } from './request-key.js';
import { ResponseRing } from './ring-buffer.js';

/** Bounds of a cache. Ages in ms. */
export interface ResponseCacheLimits {
  readonly maxAgeMs: number;
  readonly maxBytes: number;
  /** Names of the metadata that tell requests apart; absent: all but tracing and timing. */
  readonly vary?: readonly string[];
}

/**
 * The last successful responses of a route, by request. Bounded in bytes and in age; the oldest make room. A response
 * larger than what is held of a unary one is not stored.
 */
export class ResponseCache {
  private ring: ResponseRing;
  private key: RequestKey;

  constructor(private limits: ResponseCacheLimits) {
    this.ring = ringOf(limits);
    this.key = new RequestKey(limits.vary);
  }

  get size(): number {
    return this.ring.size;
  }

  get bytes(): number {
    return this.ring.bytes;
  }

  /** With other bounds, or where other metadata tells requests apart, it begins anew. */
  configure(limits: ResponseCacheLimits): void {
    const { maxAgeMs, maxBytes, vary } = this.limits;
    this.limits = limits;
    const isSame = limits.maxBytes === maxBytes && limits.maxAgeMs === maxAgeMs;
    if (isSame && limits.vary?.join() === vary?.join()) return;
    this.ring = ringOf(limits);
    this.key = new RequestKey(limits.vary);
  }

  /** Stores a copy of what the attempt holds of its response, which must be all of it. */
  store(asked: CachedRequest, { head, trailers, heldResponse }: Attempt, nowMs: number): void {
    if (head === null || trailers === null) return;
    this.key.read(asked);
    this.ring.store(this.key, { head, trailers, body: heldResponse }, nowMs);
  }

  /** The response to the same request; undefined where there is none that is young enough. */
  find(asked: CachedRequest, nowMs: number): StoredResponse | undefined {
    this.key.read(asked);
    const entry = this.ring.find(this.key);
    if (entry === undefined) return undefined;
    if (nowMs - entry.atMs > this.limits.maxAgeMs) {
      this.ring.drop(entry);
      return undefined;
    }
    return { head: entry.head!, trailers: entry.trailers!, body: entry.body };
  }
}

/** Past half of its life a response makes room for any other. */
function ringOf({ maxAgeMs, maxBytes }: ResponseCacheLimits): ResponseRing {
  return new ResponseRing(maxBytes, maxAgeMs / 2);
}
