/**
 * A call of a peer to one of several models: its messages are looked at as they pass, for the first names the model
 * it is for. Where there is one model only, no call is one of these.
 */

import { metadataValue } from '../http2/header-view.js';
import type { HeaderBlock } from '../http2/hpack/header-list.js';
import type { Stream } from '../http2/stream.js';
import type { CallHandler } from '../relay/call.js';
import { canInflate, inflatedPrefixes, MAX_INFLATED_BYTES } from '../relay/inflate-prefix.js';
import { MAX_SEARCHED_BYTES, NameReader, Naming } from '../relay/model-name.js';
import type { ChunkList } from '../transport/chunk-list.js';
import type { DataPlaneContext } from '../transport/context.js';
import type { Session } from '../transport/session.js';
import { InboundCall } from './call.js';
import type { NamedMethod } from './model-methods.js';

/** The story of such calls. */
export interface ModelRoutedHandler extends CallHandler {
  /** Its first message can be read now, or is over. */
  onModelRead(call: ModelRoutedCall): void;
  /** A later message of a stream names `other` than the first did. */
  onOtherModel(call: ModelRoutedCall, other: string): void;
}

const PREFIX_BYTES = 5;

export class ModelRoutedCall extends InboundCall {
  private readonly reader = new NameReader();
  /** The story wants to hear of its name. */
  isAwaited = false;
  private isRead = false;
  /** Later messages may name another model; where the first is compressed, nothing is looked into. */
  private isWatched: boolean;
  /** What the first message says; `problem`: why it cannot be read, in the words after "cannot be read:". */
  model = '';
  problem = '';
  /** It is the caller's, and no other sidecar or server could do better. */
  isMalformed = false;

  constructor(
    context: DataPlaneContext,
    private readonly namedStory: ModelRoutedHandler,
    session: Session,
    stream: Stream,
    block: HeaderBlock,
    ended: boolean,
    readonly method: NamedMethod,
  ) {
    super(context, namedStory, session, stream, block, ended);
    this.isWatched = method.isStream;
  }

  override onData(stream: Stream, buffer: Buffer, start: number, end: number, ended: boolean): void {
    if (this.isFinished) return;
    const isFirst = !this.isRead && this.reader.naming === Naming.reading;
    const at = isFirst ? this.readFirst(buffer, start, end) : start;
    if (this.isWatched && !this.isTrue(buffer, at, end)) return;
    super.onData(stream, buffer, start, end, ended);
    this.readName();
  }

  private readFirst(buffer: Buffer, start: number, end: number): number {
    const { reader } = this;
    const at = reader.feed(buffer, start, end);
    if (reader.naming === Naming.compressed) this.isWatched = false;
    else this.model = reader.name;
    return at;
  }

  override onTrailers(): void {
    super.onTrailers();
    this.readName();
  }

  /** Whether the model that it is for is known, or certainly cannot be; then the story hears of it, once. */
  readName(): boolean {
    if (this.isRead || this.isFinished || !this.isAwaited) return this.isRead;
    const { reader } = this;
    if (reader.naming === Naming.compressed) {
      if (!this.readCompressed()) return false;
    } else if (reader.naming === Naming.reading) {
      if (!this.requestEnded) return false;
      this.malformed(reader.isEmpty ? 'there is no message' : 'the message is cut off');
    } else this.take(reader);
    this.isRead = true;
    this.namedStory.onModelRead(this);
    return true;
  }

  private take({ naming, name }: NameReader): void {
    this.model = name;
    if (naming === Naming.malformed) this.malformed('the octets are no message');
    else if (naming === Naming.tooLate) this.problem = TOO_LATE;
  }

  private malformed(problem: string): void {
    this.problem = problem;
    this.isMalformed = true;
  }

  /** False: what has come of it is not enough yet. */
  private readCompressed(): boolean {
    const { buffered, reader } = this;
    const bytes = Math.min(PREFIX_BYTES + reader.length, PREFIX_BYTES + MAX_INFLATED_BYTES);
    const has = buffered === null ? 0 : buffered.bytes;
    if (has < bytes && !this.requestEnded) return false;
    const encoding = metadataValue(this.block, 'grpc-encoding') ?? 'identity';
    if (!canInflate(encoding)) {
      this.problem = `the message is compressed as '${encoding.slice(0, 40)}'; gzip and deflate can be read`;
      return true;
    }
    const head = buffered === null ? EMPTY : firstOf(buffered, bytes).subarray(PREFIX_BYTES);
    const isAll = head.length === reader.length;
    const inner = new NameReader();
    let isHead = false;
    for (const { octets, isWhole } of inflatedPrefixes(encoding, head, isAll)) {
      isHead = true;
      inner.feedMessage(octets, isWhole);
      if (inner.naming !== Naming.reading) break;
    }
    if (!isHead) this.malformed(`the octets are not compressed as '${encoding}'`);
    else if (inner.naming === Naming.reading) this.problem = TOO_LATE;
    else this.take(inner);
    return true;
  }

  /** Whether these octets name no other model than the first message did. A compressed message is not looked into. */
  private isTrue(buffer: Buffer, start: number, end: number): boolean {
    const { reader } = this;
    for (let at = start; at < end; ) {
      at = reader.feed(buffer, at, end);
      if (reader.naming !== Naming.found || reader.name === this.model || reader.name === '') continue;
      this.namedStory.onOtherModel(this, reader.name);
      return false;
    }
    return true;
  }
}

const EMPTY = Buffer.alloc(0);
const TOO_LATE = `it is not within the first ${MAX_SEARCHED_BYTES} octets of the message`;

/** The first `bytes` octets, or as many as there are. */
function firstOf(kept: ChunkList, bytes: number): Buffer {
  const parts: Buffer[] = [];
  let left = bytes;
  for (let i = 0; i < kept.count && left > 0; i++) {
    const { buffer, start, end } = kept.at(i);
    const part = buffer.subarray(start, Math.min(end, start + left));
    parts.push(part);
    left -= part.length;
  }
  return parts.length === 1 ? parts[0]! : Buffer.concat(parts);
}
