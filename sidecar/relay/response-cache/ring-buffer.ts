import { Doorkeeper } from '../../core/stats/doorkeeper.js';
import { areSameBytes, copyBytes } from '../../http2/byte-ops.js';
import { ENTRY_OVERHEAD } from '../../http2/hpack/field.js';
import type { HeaderBlock } from '../../http2/hpack/header-list.js';
import type { ChunkList } from '../../transport/chunk-list.js';
import type { RequestKey } from './request-key.js';

/** A response as it came, all of it. */
export interface FreshResponse {
  readonly head: HeaderBlock;
  readonly trailers: HeaderBlock;
  readonly body: ChunkList | null;
}

/** What an entry costs beside its bytes. */
export const ENTRY_BYTES = 192;
/** Of all there may be, what entries may take; the bytes have the rest. */
const SHARE_OF_ENTRIES = 0.25;
/** No more, however much there may be: entries lie in the heap. */
const MAX_ENTRIES = 2 ** 18;
const BLOCK_BYTES = 1024 * 1024;
/** So many of the same bucket are looked at, so that requests made up for one hash gain nothing. */
const MAX_LOOKS = 16;

/** One stored response and its request. */
export class Entry {
  text = '';
  hash = 0;
  head: HeaderBlock | null = null;
  trailers: HeaderBlock | null = null;
  atMs = 0;
  /** Where its bytes are: first those of the request, then those of the response. */
  block!: Buffer;
  start = 0;
  requestBytes = 0;
  bodyBytes = 0;
  /** Bytes side by side that are its own. */
  bytes = 0;
  /** Where it begins, counted on from the first byte ever written; and all that it takes there. */
  position = 0;
  room = 0;
  /** How many there were before it. */
  number = 0;
  /** Others of its bucket. Null and null, and not the first: it is out of it. */
  before: Entry | null = null;
  after: Entry | null = null;
  isLive = false;
  /** The next younger one, or the next that is free. */
  next: Entry | null = null;

  get body(): Buffer {
    const from = this.start + this.requestBytes;
    return Buffer.from(this.block.subarray(from, from + this.bodyBytes));
  }
}

/**
 * Responses by request, in the order of their arrival: new ones are written behind the last one, and the oldest make
 * room; while those are young, only for what has been requested before. All bytes lie in large blocks that are
 * overwritten, and what is known of a response in objects that are used again, so that storing the response of every
 * call leaves nothing to collect.
 */
export class ResponseRing {
  /** Entries that can be found, and what they hold. */
  size = 0;
  bytes = 0;
  private readonly capacity: number;
  private readonly blockBytes: number;
  private readonly blocks: Buffer[] = [];
  private readonly maxEntries: number;
  private readonly buckets: (Entry | null)[];
  private head = 0;
  private oldest: Entry | null = null;
  private newest: Entry | null = null;
  private entries = 0;
  private number = 0;
  private free: Entry | null = null;
  private readonly doorkeeper: Doorkeeper;

  /** @param youngMs how old a response may be without going first. */
  constructor(
    readonly maxBytes: number,
    readonly youngMs: number,
  ) {
    this.maxEntries = Math.min(Math.floor((maxBytes * SHARE_OF_ENTRIES) / ENTRY_BYTES), MAX_ENTRIES);
    const bytes = maxBytes - this.maxEntries * ENTRY_BYTES;
    this.blockBytes = Math.min(BLOCK_BYTES, bytes);
    this.capacity = bytes - (bytes % this.blockBytes);
    this.doorkeeper = new Doorkeeper(this.maxEntries);
    const wanted = Math.max(2, this.maxEntries);
    // Two to four for each: nearly every look finds what it looks for, or nothing.
    this.buckets = new Array<Entry | null>(2 ** (33 - Math.clz32(wanted))).fill(null);
  }

  find(key: RequestKey): Entry | undefined {
    let entry = this.buckets[key.hash & (this.buckets.length - 1)] ?? null;
    for (let looks = 0; entry !== null && looks < MAX_LOOKS; looks++) {
      if (entry.hash === key.hash && entry.text === key.text && isSame(entry, key.body)) return entry;
      entry = entry.after;
    }
    return undefined;
  }

  /** Stores a copy; an older response to the same request is dropped. */
  store(key: RequestKey, answered: FreshResponse, nowMs: number): void {
    const before = this.find(key);
    const bodyBytes = answered.body?.bytes ?? 0;
    const askedBytes = key.body?.bytes ?? 0;
    // What is written beside the blocks is counted as if it lay in them.
    const bytes = askedBytes + bodyBytes;
    const room = bytes + overheadOf(key, answered);
    if (before !== undefined) {
      if (bytes <= before.bytes && room <= before.room && this.isYoung(before))
        return write(before, answered, bodyBytes, nowMs);
      this.drop(before);
    }
    if (room > this.blockBytes || this.maxEntries === 0) return;
    if (before === undefined && !this.isWorthStoring(key, room, nowMs)) return;
    const entry = this.append(bytes, room);
    entry.text = key.text;
    entry.hash = key.hash;
    entry.requestBytes = askedBytes;
    if (key.body !== null) copy(key.body, entry.block, entry.start);
    this.enter(entry);
    write(entry, answered, bodyBytes, nowMs);
  }

  /** It is not found any more. Its bytes are free when it is the oldest. */
  drop(entry: Entry): void {
    if (!entry.isLive) return;
    entry.isLive = false;
    const { before, after } = entry;
    if (before === null) this.buckets[entry.hash & (this.buckets.length - 1)] = after;
    else before.after = after;
    if (after !== null) after.before = before;
    entry.before = null;
    entry.after = null;
    entry.head = null;
    entry.trailers = null;
    entry.text = '';
    this.size--;
    this.bytes -= entry.room + ENTRY_BYTES;
  }

  /** It is not among those that go soon. */
  private isYoung({ position, number }: Entry): boolean {
    return this.head - position <= this.capacity / 2 && this.number - number <= this.maxEntries / 2;
  }

  /** A request that is seen once, when all is full, would only drive out one that may be seen again. */
  private isWorthStoring({ hash }: RequestKey, room: number, nowMs: number): boolean {
    const { oldest } = this;
    if (oldest === null || !oldest.isLive || !this.isOverwritten(oldest, room)) return true;
    return this.doorkeeper.again(hash) || nowMs - oldest.atMs > this.youngMs;
  }

  /** Room for `bytes` side by side, and for `room` in all. */
  private append(bytes: number, room: number): Entry {
    const { blockBytes, capacity } = this;
    let offset = this.head % blockBytes;
    if (offset + bytes > blockBytes) {
      this.head += blockBytes - offset;
      offset = 0;
    }
    while (this.oldest !== null && this.isOverwritten(this.oldest, room)) this.evict(this.oldest);
    const entry = this.take();
    entry.position = this.head;
    entry.number = this.number++;
    entry.bytes = bytes;
    entry.room = room;
    entry.start = offset;
    const block = ((this.head % capacity) - offset) / blockBytes;
    this.blocks[block] ??= Buffer.allocUnsafeSlow(blockBytes);
    entry.block = this.blocks[block];
    this.head += room;
    return entry;
  }

  private isOverwritten({ position }: Entry, room: number): boolean {
    return this.entries >= this.maxEntries || this.head + room - position > this.capacity;
  }

  private take(): Entry {
    const entry = this.free ?? new Entry();
    this.free = entry.next;
    entry.next = null;
    if (this.newest === null) this.oldest = entry;
    else this.newest.next = entry;
    this.newest = entry;
    this.entries++;
    return entry;
  }

  private evict(entry: Entry): void {
    this.drop(entry);
    this.oldest = entry.next;
    if (this.oldest === null) this.newest = null;
    entry.next = this.free;
    this.free = entry;
    this.entries--;
  }

  private enter(entry: Entry): void {
    const bucket = entry.hash & (this.buckets.length - 1);
    const first = this.buckets[bucket] ?? null;
    entry.after = first;
    if (first !== null) first.before = entry;
    this.buckets[bucket] = entry;
    entry.isLive = true;
    this.size++;
    this.bytes += entry.room + ENTRY_BYTES;
  }
}

function write(
  entry: Entry,
  { head, trailers, body }: FreshResponse,
  bodyBytes: number,
  nowMs: number,
): void {
  entry.head = head;
  entry.trailers = trailers;
  entry.atMs = nowMs;
  entry.bodyBytes = bodyBytes;
  if (body !== null) copy(body, entry.block, entry.start + entry.requestBytes);
}

/** Texts and fields that only this entry holds; lists of fields that repeat are shared. */
function overheadOf({ text }: RequestKey, { head, trailers }: FreshResponse): number {
  let bytes = text.length;
  for (const { size } of head.extras) bytes += size + ENTRY_OVERHEAD;
  for (const { size } of trailers.extras) bytes += size + ENTRY_OVERHEAD;
  return bytes;
}

function isSame({ block, start, requestBytes }: Entry, chunks: ChunkList | null): boolean {
  if (chunks === null) return requestBytes === 0;
  if (chunks.bytes !== requestBytes) return false;
  let at = start;
  for (let i = 0; i < chunks.count; i++) {
    const { buffer, start: from, end } = chunks.at(i);
    if (!areSameBytes(buffer, from, end, block, at)) return false;
    at += end - from;
  }
  return true;
}

function copy(chunks: ChunkList, target: Buffer, start: number): void {
  let at = start;
  for (let i = 0; i < chunks.count; i++) {
    const { buffer, start: from, end } = chunks.at(i);
    copyBytes(buffer, from, end, target, at);
    at += end - from;
  }
}
