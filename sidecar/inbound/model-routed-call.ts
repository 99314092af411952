import { PREFIX_BYTES } from '../codec/grpc-message.js';
import type { ModelGrant } from '../core/authorization/model-grant.js';
import { ModelReplyReasons } from '../core/outcome/local-reply-reason.js';
import { metadataValue } from '../http2/header-view.js';
import type { HeaderBlock } from '../http2/hpack/header-list.js';
import type { OwnedBuffer } from '../http2/owned-buffer.js';
import type { Stream } from '../http2/stream.js';
import type { CallDecisions, ResponseEvents, SilenceEvents } from '../relay/call.js';
import {
  canInflate,
  INFLATION_FRAMES,
  inflatedPrefixes,
  MAX_INFLATED_BYTES,
} from '../relay/inflate-prefix.js';
import { type LocalReply, makeLocalReply } from '../relay/local-reply.js';
import { NameReader, Naming, type ReadingScope } from '../relay/named-model/model-name.js';
import { reserveWideWindow } from '../relay/request-buffer.js';
import { prefixOf } from '../relay/request-prefix.js';
import { sendLocalReply } from '../relay/response.js';
import type { DataPlaneContext } from '../transport/context.js';
import type { Session } from '../transport/session.js';
import { InboundCall } from './call.js';
import { CompressedMessages } from './compressed-messages.js';
import type { NamedMethod } from './model-methods.js';
import {
  NO_MESSAGE,
  notEncoded,
  otherEncoding,
  problemIn,
  TOO_LATE,
  TOO_LONG,
  UNCLEAR,
} from './name-problems.js';

/** The handler of such calls. */
export interface ModelRoutedHandler extends CallDecisions, ResponseEvents, SilenceEvents {
  /** The first message has been read as far as it could be: `model` or `problem` is set. Called once, after `awaitModel`. */
  onModelRead(call: InboundCall): void;
  /** A later message of a stream names another model or version than the one before it, or may as it cannot be read; the stream as such permits that. Null: it goes on. */
  onModelMoved(call: ModelRoutedCall, to: NamedModel): LocalReply | null;
  /** A message names a model twice, or goes on with what is no message: `problem` is set. The rest of it must not pass. */
  onModelUnclear(call: ModelRoutedCall): void;
}

/** What a message names. */
export interface NamedModel {
  readonly model: string;
  /** Empty: none. */
  readonly version: string;
  /** Why the message cannot be read, as the end of a sentence, so that it may be for any model; empty: it can. */
  readonly problem: string;
}

/** What has been read of a message. */
type ReadName = Pick<NameReader, 'naming' | 'name' | 'version'>;

/** What is asked of the messages of a call beyond the first name. */
export interface NamedCallOptions {
  readonly method: NamedMethod;
  /** All messages of a stream must name the same model; else they may name others, as the server has them all. */
  readonly isBound: boolean;
  /** The models that the caller may name; null: any. Of a stream every message is held to it, also what cannot be read. */
  readonly grant: ModelGrant | null;
  /** How far its messages are read: beyond the beginning where a second name, or a later version, would lead past a limit or an intention. */
  readonly scope: ReadingScope;
}

/**
 * A call of a peer whose model makes a difference. Its messages are read as they pass, for the first names the model that it
 * is for, and those of a stream must all name the same where each model has its process, or the caller may not call all.
 */
export class ModelRoutedCall extends InboundCall {
  private readonly reader: NameReader;
  /** What was read of the first message; the reader goes on with later ones. */
  private first: Naming = Naming.reading;
  private readonly scope: ReadingScope;
  /** The handler waits for the model. */
  private isAwaited = false;
  private isRead = false;
  /** What follows the first name is read as well, as it may name another model. */
  private readsOn: boolean;
  /** The first message is compressed, and its end has not passed. */
  private isInCompressed = false;
  /** Reads those after the first one. Null: the process of the model has no other, so that they need not be read. */
  private readonly compressed: CompressedMessages | null;
  /** Later messages have to name the same model. */
  private readonly isBound: boolean;
  /** The name in the first message; empty: it has none. */
  model = '';
  /** The version in it; empty: the one that the sidecar chooses. */
  version = '';
  /** What the last message named that has been read; null: it is the first one's. */
  private latest: NamedModel | null = null;
  /** Why the first message cannot be read, as the end of a sentence; empty: it can. */
  problem = '';
  /** The caller's message is at fault, so that no other sidecar or server could read it. */
  isMalformed = false;
  readonly method: NamedMethod;
  readonly grant: ModelGrant | null;

  constructor(
    context: DataPlaneContext,
    private readonly modelHandler: ModelRoutedHandler,
    session: Session,
    stream: Stream,
    block: HeaderBlock,
    ended: boolean,
    { method, isBound, grant, scope }: NamedCallOptions,
  ) {
    super(context, modelHandler, session, stream, block, ended);
    this.method = method;
    this.grant = grant;
    this.scope = scope;
    this.reader = new NameReader(scope, method.layout);
    this.isBound = method.isStream && isBound;
    this.readsOn = this.isBound || scope !== 'beginning';
    const isRead = method.isStream && this.readsOn && (grant !== null || !isBound);
    this.compressed = isRead
      ? new CompressedMessages({
          block,
          scope,
          layout: method.layout,
          reserve: (bytes) => reserveWideWindow(this, bytes),
        })
      : null;
  }

  /** Its first message has been read, or certainly cannot be. */
  get isModelKnown(): boolean {
    return this.isRead;
  }

  override onData(stream: Stream, buffer: OwnedBuffer, start: number, end: number, ended: boolean): void {
    if (this.isFinished) return;
    let at = this.first === Naming.reading ? this.readFirst(buffer, start, end) : start;
    if (this.isInCompressed) at = this.passFirst(buffer, start, at, end);
    if (this.reader.naming === Naming.twice) return this.unclear();
    if (this.readsOn && !this.namesSameModel(buffer, at, end)) return;
    super.onData(stream, buffer, start, end, ended);
    this.readModel();
  }

  /** Passes the compressed first message, which is read at its end at the latest: the next one is compared with it. */
  private passFirst(buffer: Buffer, start: number, from: number, end: number): number {
    const at = this.reader.pass(buffer, from, end);
    this.isInCompressed = this.reader.isWithin;
    if (!this.isInCompressed && this.first === Naming.compressed)
      this.readCompressed(buffer.subarray(start, at));
    return at;
  }

  private readFirst(buffer: Buffer, start: number, end: number): number {
    const { reader } = this;
    const at = reader.feed(buffer, start, end);
    this.first = reader.naming;
    if (this.first !== Naming.compressed) this.setModel(reader);
    else if (this.compressed === null) this.readsOn = false;
    else this.isInCompressed = true;
    return at;
  }

  override onTrailers(): void {
    super.onTrailers();
    this.readModel();
  }

  /** From now on the handler is told of the model, at once where it is known. */
  awaitModel(): void {
    this.isAwaited = true;
    this.readModel();
  }

  /** Whether the first message has been read, or certainly cannot be; the handler is told of that once. */
  readModel(): boolean {
    if (this.isRead || this.isFinished || !this.isAwaited) return this.isRead;
    if (this.first === Naming.compressed) {
      if (!this.readCompressed(EMPTY)) return false;
    } else if (this.first === Naming.reading) {
      if (!this.requestEnded) return false;
      this.malformed(this.reader.isEmpty ? 'there is no message' : 'the message is cut off');
    }
    this.isRead = true;
    this.modelHandler.onModelRead(this);
    return true;
  }

  private setModel({ naming, name, version }: NameReader): void {
    this.model = name;
    this.version = version;
    if (naming === Naming.malformed) this.malformed(NO_MESSAGE);
    else if (naming === Naming.tooLate) this.problem = TOO_LATE;
    else if (naming === Naming.twice) this.malformed(UNCLEAR[this.scope]);
  }

  private malformed(problem: string): void {
    this.problem = problem;
    this.isMalformed = true;
  }

  private unclear(): void {
    this.malformed(UNCLEAR[this.scope]);
    this.modelHandler.onModelUnclear(this);
  }

  /** Reads a compressed first message, of which the bytes in `more` are not buffered yet. False: what has come of it is not enough. */
  private readCompressed(more: Buffer): boolean {
    const { buffered, reader } = this;
    const bytes = Math.min(PREFIX_BYTES + reader.length, PREFIX_BYTES + MAX_INFLATED_BYTES);
    const has = (buffered === null ? 0 : buffered.bytes) + more.length;
    if (has < bytes && !this.requestEnded) return false;
    this.first = Naming.found;
    const encoding = metadataValue(this.block, 'grpc-encoding') ?? 'identity';
    if (!canInflate(encoding)) {
      this.problem = otherEncoding(encoding);
      return true;
    }
    const before = buffered === null ? EMPTY : prefixOf(buffered, bytes);
    const all = more.length === 0 ? before : Buffer.concat([before, more.subarray(0, bytes - before.length)]);
    const head = all.subarray(PREFIX_BYTES);
    const isAll = head.length === reader.length;
    const inner = new NameReader(this.scope, this.method.layout);
    let isHead = false;
    let isRead = false;
    for (const { bytes, isWhole } of inflatedPrefixes(encoding, head, isAll)) {
      isHead = true;
      this.session.connection.charge(INFLATION_FRAMES);
      inner.feedMessage(bytes, isWhole);
      isRead = isWhole;
      if (inner.naming !== Naming.reading && (this.scope === 'beginning' || inner.naming !== Naming.found))
        break;
    }
    inner.end();
    if (!isHead) this.malformed(notEncoded(encoding));
    else if (inner.naming === Naming.reading) this.problem = TOO_LATE;
    else if (this.scope !== 'beginning' && !isRead && inner.naming === Naming.found) this.problem = TOO_LONG;
    else this.setModel(inner);
    return true;
  }

  /** Each version may be a process of its own; what names none goes where the stream went. */
  private isSameModel({ name, version }: ReadName): boolean {
    if (name !== this.model) return false;
    const served = this.backend?.version ?? '';
    return version === '' || served === '' || version === served;
  }

  /** Whether a message that has been read so far may pass; one that is not read passes where its caller may call any model. */
  private mayPass(reader: ReadName): boolean {
    const { naming } = reader;
    if (naming === Naming.reading || !this.isBound) return true;
    if (this.grant !== null) return naming === Naming.found && this.isSameModel(reader);
    return naming !== Naming.found || reader.name === '' || this.isSameModel(reader);
  }

  private otherModel({ name, version }: ReadName): LocalReply {
    const names = { model: titleOf(this.model, this.version), other: titleOf(name, version) };
    return makeLocalReply(ModelReplyReasons.otherModel, names);
  }

  /**
   * The reply where a stream that may name several models goes on with one that its caller has called too often. Messages in a
   * row that cannot be read are one move, as if all were for the same model.
   */
  private refusalOfMove({ naming, name, version }: ReadName, problem: string): LocalReply | null {
    if (this.isBound || !this.method.isStream) return null;
    if (problem === '' && naming !== Naming.found) return null;
    const before = this.latest ?? this;
    if (problem !== '' && before.problem !== '') return null;
    if (problem === before.problem && name === before.model && version === before.version) return null;
    this.latest = { model: name, version, problem };
    return this.modelHandler.onModelMoved(this, this.latest);
  }

  /** Whether these bytes name no other model than the first message did, or one that is within its limits. */
  private namesSameModel(buffer: Buffer, start: number, end: number): boolean {
    const { reader, compressed } = this;
    for (let at = start; at < end; ) {
      if (reader.naming !== Naming.compressed || !reader.isWithin) at = reader.feed(buffer, at, end);
      if (reader.naming !== Naming.compressed) {
        if (!this.mayGoOn(reader, problemIn(reader.naming))) return false;
        continue;
      }
      const from = at;
      at = reader.pass(buffer, from, end);
      const isRead = compressed?.add(buffer, from, at, reader.length) === true;
      if (isRead) this.session.connection.charge(INFLATION_FRAMES);
      if (isRead && !this.mayGoOn(compressed, compressed.problem)) return false;
    }
    return true;
  }

  /** Whether the stream goes on with a message that has been read so far; false: the call has its reply. */
  private mayGoOn(read: ReadName, problem: string): boolean {
    if (read.naming === Naming.twice) {
      this.unclear();
      return false;
    }
    if (problem !== '' && this.grant !== null) {
      this.problem = problem;
      this.modelHandler.onModelUnclear(this);
      return false;
    }
    const refusal = this.mayPass(read) ? this.refusalOfMove(read, problem) : this.otherModel(read);
    if (refusal === null) return true;
    sendLocalReply(this, refusal);
    return false;
  }
}

function titleOf(model: string, version: string): string {
  return version === '' ? model : `${model} version ${version}`;
}

const EMPTY = Buffer.alloc(0);
