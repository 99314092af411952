/**
 * The last good answers of a route, by what was asked. Bounded in octets and in age; what has not been used for longest
 * makes room. An answer that grew beyond what is held back of a unary answer is not kept.
 */

import * as crypto from 'node:crypto';
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

/** In a line by age of last use; the ends of the line stand beside it. */
interface Entry {
  readonly key: string;
  readonly head: HeaderBlock;
  readonly trailers: HeaderBlock;
  /** Small ones as text, Latin-1: a string is made sooner than a buffer, and pins nothing. */
  readonly body: string | Buffer;
  readonly bytes: number;
  readonly atMs: number;
  older: Entry | null;
  newer: Entry | null;
}

export class LastGood {
  private readonly entries = new Map<string, Entry>();
  /** A Map that always loses its first entry takes longer and longer to find it, so the order is kept beside it. */
  private oldest: Entry | null = null;
  private newest: Entry | null = null;
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
    const before = this.entries.get(key);
    if (before !== undefined) this.drop(before);
    if (bytes > this.limits.maxBytes) {
      this.entries.delete(key);
      return;
    }
    this.makeRoom(bytes);
    const entry = { key, head, trailers, body: copyOf(kept), bytes, atMs: nowMs, older: null, newer: null };
    this.entries.set(key, entry);
    this.bytes += bytes;
    this.append(entry);
  }

  /** The answer to the same request; undefined when there is none that is young enough. */
  find(key: string, nowMs: number): KeptAnswer | undefined {
    const entry = this.entries.get(key);
    if (entry === undefined) return undefined;
    if (nowMs - entry.atMs > this.limits.maxAgeMs) {
      this.delete(entry);
      return undefined;
    }
    this.unlink(entry);
    this.append(entry);
    const { head, body, trailers } = entry;
    return { head, trailers, body: typeof body === 'string' ? Buffer.from(body, 'latin1') : body };
  }

  private makeRoom(bytes: number): void {
    while (this.oldest !== null && this.bytes + bytes > this.limits.maxBytes) this.delete(this.oldest);
  }

  private delete(entry: Entry): void {
    this.drop(entry);
    this.entries.delete(entry.key);
  }

  private drop(entry: Entry): void {
    this.bytes -= entry.bytes;
    this.unlink(entry);
  }

  private append(entry: Entry): void {
    entry.older = this.newest;
    if (this.newest === null) this.oldest = entry;
    else this.newest.newer = entry;
    this.newest = entry;
  }

  private unlink(entry: Entry): void {
    const { older, newer } = entry;
    if (older === null) this.oldest = newer;
    else older.newer = newer;
    if (newer === null) this.newest = older;
    else newer.older = older;
    entry.older = null;
    entry.newer = null;
  }
}

/**
 * What a request is known by: its method, the metadata that matters and every octet of it. A real digest: whoever found
 * two requests with the same key would be given the answer to the other one.
 */
export function requestKey(path: string, block: HeaderBlock, body: Pieces | null): string {
  let head = path;
  for (const field of block.stable.toFields())
    if (KEY_METADATA.has(field.name)) head += `\0${field.name}\0${field.value}`;
  for (const field of block.extras)
    if (KEY_METADATA.has(field.name)) head += `\0${field.name}\0${field.value}`;
  return digest(`${head.length} ${head}`, body);
}

/** A request up to this size is gathered and digested at once, which costs less than piece by piece. */
const GATHERED_BYTES = 4096;
const gathered = Buffer.allocUnsafeSlow(GATHERED_BYTES);

/** Node 20.12 and newer. */
const digestAtOnce = (crypto as { readonly hash?: typeof crypto.hash }).hash;

function digest(head: string, body: Pieces | null): string {
  const bytes = head.length + (body?.bytes ?? 0);
  if (digestAtOnce === undefined || bytes > GATHERED_BYTES) return digestByPieces(head, body);
  let at = gathered.write(head, 'latin1');
  for (let i = 0; body !== null && i < body.count; i++) {
    const { buffer, start, end } = body.at(i);
    at += buffer.copy(gathered, at, start, end);
  }
  return digestAtOnce('sha256', gathered.subarray(0, at), 'binary');
}

function digestByPieces(head: string, body: Pieces | null): string {
  const hash = crypto.createHash('sha256');
  hash.update(head, 'latin1');
  for (let i = 0; body !== null && i < body.count; i++) {
    const { buffer, start, end } = body.at(i);
    hash.update(buffer.subarray(start, end));
  }
  return hash.digest('binary');
}

/** Answers below this size are kept as text. */
const TEXT_BYTES = 4096;

/** Slices would pin the reads they came from. */
function copyOf(pieces: Pieces | null): string | Buffer {
  if (pieces === null || pieces.bytes === 0) return '';
  if (pieces.bytes < TEXT_BYTES) return textOf(pieces);
  const copy = Buffer.allocUnsafeSlow(pieces.bytes);
  let at = 0;
  for (let i = 0; i < pieces.count; i++) {
    const { buffer, start, end } = pieces.at(i);
    at += buffer.copy(copy, at, start, end);
  }
  return copy;
}

function textOf(pieces: Pieces): string {
  if (pieces.count === 1) {
    const { buffer, start, end } = pieces.at(0);
    return buffer.toString('latin1', start, end);
  }
  let text = '';
  for (let i = 0; i < pieces.count; i++) {
    const { buffer, start, end } = pieces.at(i);
    text += buffer.toString('latin1', start, end);
  }
  return text;
}
