import type { ModelLayout } from '../core/routing/method.js';
import { metadataValue } from '../http2/header-view.js';
import type { HeaderBlock } from '../http2/hpack/header-list.js';
import { canInflate, inflateWhole, MAX_INFLATED_BYTES } from '../relay/inflate-prefix.js';
import { NameReader, Naming, type ReadingScope } from '../relay/named-model/model-name.js';
import { NO_ROOM, notEncoded, otherEncoding, problemIn, TOO_LONG, UNCLEAR } from './name-problems.js';

/** Bytes of room that a message takes which comes in several reads; a stream takes it once. */
const ROOM_BYTES = MAX_INFLATED_BYTES;

/** What such messages are read with. */
export interface CompressedMessagesDeps {
  /** The headers of the call. */
  readonly block: HeaderBlock;
  readonly scope: ReadingScope;
  readonly layout: ModelLayout;
  /** Takes so many bytes of the memory budget until the end of the call. False: there is no room. */
  readonly reserve: (bytes: number) => boolean;
}

/**
 * Reads the names in the compressed messages of a stream after its first one, each before its last byte passes. A message is inflated
 * once and whole, as it could name another model at its end: where it is all in one read, as it lies there, else from a copy. One that has
 * more than 64 KiB, before or after, is not read.
 */
export class CompressedMessages {
  naming: Naming = Naming.absent;
  name = '';
  version = '';
  /** Why the message cannot be read, as the end of a sentence; empty: it can. */
  problem = '';
  private copy: Buffer | null = null;
  /** Bytes of the present message so far. */
  private bytes = 0;
  private isJudged = false;

  constructor(private readonly deps: CompressedMessagesDeps) {}

  /** Takes the next bytes of a message of `length` bytes. True: it has just been read, or certainly cannot be. */
  add(buffer: Buffer, start: number, end: number, length: number): boolean {
    const before = this.bytes;
    const wasJudged = this.isJudged;
    this.bytes += end - start;
    const isWhole = this.bytes === length;
    if (!wasJudged) this.isJudged = this.judge(buffer, start, end, before, length);
    const isRead = this.isJudged && !wasJudged;
    if (isWhole) {
      this.bytes = 0;
      this.isJudged = false;
    }
    return isRead;
  }

  private judge(buffer: Buffer, start: number, end: number, before: number, length: number): boolean {
    const encoding = metadataValue(this.deps.block, 'grpc-encoding') ?? 'identity';
    if (!canInflate(encoding)) return this.fail(otherEncoding(encoding));
    if (length > MAX_INFLATED_BYTES) return this.fail(TOO_LONG);
    if (end - start === length) return this.read(encoding, buffer.subarray(start, end));
    if (this.copy === null) {
      if (!this.deps.reserve(ROOM_BYTES)) return this.fail(NO_ROOM);
      this.copy = Buffer.allocUnsafeSlow(ROOM_BYTES);
    }
    buffer.copy(this.copy, before, start, end);
    return this.bytes === length && this.read(encoding, this.copy.subarray(0, length));
  }

  private read(encoding: string, bytes: Buffer): true {
    const message = inflateWhole(encoding, bytes);
    if (message === 'long') return this.fail(TOO_LONG);
    if (message === 'broken') return this.fail(notEncoded(encoding));
    const reader = new NameReader(this.deps.scope, this.deps.layout);
    reader.feedMessage(message, true);
    reader.end();
    this.naming = reader.naming;
    this.name = reader.name;
    this.version = reader.version;
    this.problem = reader.naming === Naming.twice ? UNCLEAR[this.deps.scope] : problemIn(reader.naming);
    return true;
  }

  private fail(problem: string): true {
    this.naming = Naming.tooLate;
    this.name = '';
    this.version = '';
    this.problem = problem;
    return true;
  }
}
