/**
 * The last good answers of a route, by what was asked. Bounded in octets and in age; what has not been used for longest
 * makes room. An answer that grew beyond what is held back of a unary answer is not kept.
 */

import { createHash } from 'node:crypto';
import type { HeaderBlock } from '../http2/hpack/header-list.js';
import type { Attempt } from './attempt.js';
import type { KeptAnswer } from './call.js';
import type { Pieces } from './pieces.js';

export interface LastGoodLimits {
  readonly maxAgeMs: number;
  readonly maxBytes: number;
}

/** What an entry costs beside its octets. */
const OVERHEAD_BYTES = 512;

/**
 * Metadata that an answer may depend on beside the request: who asks, and how octets are coded. Other metadata says
 * nothing about it.
 */
const KEY_METADATA: ReadonlySet<string> = new Set(['authorization', 'grpc-accept-encoding', 'grpc-encoding']);

interface Entry extends KeptAnswer {
  readonly bytes: number;
  readonly atMs: number;
}

export class LastGood {
  /** Least recently used first. */
  private readonly entries = new Map<string, Entry>();
  bytes = 0;

  constructor(private limits: LastGoodLimits) {}

  get size(): number {
    return this.entries.size;
  }

  configure(limits: LastGoodLimits): void {
    this.limits = limits;
    this.makeRoom(0);
  }

  /** Keeps a copy of what the attempt has of its answer, which must be all of it. */
  store(key: string, attempt: Attempt, nowMs: number): void {
    const { head, trailers } = attempt;
    if (head === null || trailers === null) return;
    const { kept } = attempt;
    const bytes = OVERHEAD_BYTES + head.bytes + trailers.bytes + (kept?.bytes ?? 0);
    this.delete(key);
    if (bytes > this.limits.maxBytes) return;
    this.makeRoom(bytes);
    this.entries.set(key, { head, trailers, body: copyOf(kept), bytes, atMs: nowMs });
    this.bytes += bytes;
  }

  /** The answer to the same request; undefined when there is none that is young enough. */
  find(key: string, nowMs: number): KeptAnswer | undefined {
    const entry = this.entries.get(key);
    if (entry === undefined) return undefined;
    if (nowMs - entry.atMs > this.limits.maxAgeMs) {
      this.delete(key);
      return undefined;
    }
    this.entries.delete(key);
    this.entries.set(key, entry);
    return entry;
  }

  private makeRoom(bytes: number): void {
    for (const key of this.entries.keys()) {
      if (this.bytes + bytes <= this.limits.maxBytes) return;
      this.delete(key);
    }
  }

  private delete(key: string): void {
    const entry = this.entries.get(key);
    if (entry === undefined) return;
    this.bytes -= entry.bytes;
    this.entries.delete(key);
  }
}

/**
 * What a request is known by: its method, the metadata that matters and every octet of it. A real digest: whoever found
 * two requests with the same key would be given the answer to the other one.
 */
export function requestKey(path: string, block: HeaderBlock, body: Pieces | null): string {
  const hash = createHash('sha256');
  let head = path;
  for (const field of block.stable.toFields())
    if (KEY_METADATA.has(field.name)) head += `\0${field.name}\0${field.value}`;
  for (const field of block.extras)
    if (KEY_METADATA.has(field.name)) head += `\0${field.name}\0${field.value}`;
  hash.update(`${head.length} ${head}`, 'latin1');
  for (let i = 0; body !== null && i < body.count; i++) {
    const { buffer, start, end } = body.at(i);
    hash.update(buffer.subarray(start, end));
  }
  return hash.digest('binary');
}

const NOTHING = Buffer.alloc(0);

/** Slices would pin the reads they came from. */
function copyOf(pieces: Pieces | null): Buffer {
  if (pieces === null || pieces.bytes === 0) return NOTHING;
  const copy = Buffer.allocUnsafeSlow(pieces.bytes);
  let at = 0;
  for (let i = 0; i < pieces.count; i++) {
    const { buffer, start, end } = pieces.at(i);
    at += buffer.copy(copy, at, start, end);
  }
  return copy;
}
