import type { ModelGrant } from '../core/authorization/model-grant.js';
import { ModelReplyReasons } from '../core/outcome/local-reply-reason.js';
import { metadataValue } from '../http2/header-view.js';
import type { HeaderBlock } from '../http2/hpack/header-list.js';
import type { Stream } from '../http2/stream.js';
import type { CallHandler } from '../relay/call.js';
import { canInflate, inflatedPrefixes, MAX_INFLATED_BYTES } from '../relay/inflate-prefix.js';
import { type LocalReply, makeLocalReply } from '../relay/local-reply.js';
import { MAX_SEARCHED_BYTES, NameReader, Naming, type ReadingScope } from '../relay/model-name.js';
import { prefixOf } from '../relay/request-prefix.js';
import { sendLocalReply } from '../relay/response.js';
import type { DataPlaneContext } from '../transport/context.js';
import type { Session } from '../transport/session.js';
import { InboundCall } from './call.js';
import type { NamedMethod } from './model-methods.js';

/** The handler of such calls. */
export interface ModelRoutedHandler extends CallHandler {
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

const PREFIX_BYTES = 5;

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
  /** What follows the first name is read as well, as it may name another model. Not where the first message is compressed. */
  private readsOn: boolean;
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
  }

  /** Its first message has been read, or certainly cannot be. */
  get isModelKnown(): boolean {
    return this.isRead;
  }

  override onData(stream: Stream, buffer: Buffer, start: number, end: number, ended: boolean): void {
    if (this.isFinished) return;
    const at = this.first === Naming.reading ? this.readFirst(buffer, start, end) : start;
    if (this.reader.naming === Naming.twice) return this.unclear();
    if (this.readsOn && !this.namesSameModel(buffer, at, end)) return;
    super.onData(stream, buffer, start, end, ended);
    this.readModel();
  }

  private readFirst(buffer: Buffer, start: number, end: number): number {
    const { reader } = this;
    const at = reader.feed(buffer, start, end);
    this.first = reader.naming;
    if (this.first === Naming.compressed) this.readsOn = false;
    else this.setModel(reader);
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
      if (!this.readCompressed()) return false;
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

  /** Reads a compressed first message. False: what has come of it is not enough yet. */
  private readCompressed(): boolean {
    const { buffered, reader } = this;
    if (this.grant !== null && this.method.isStream) {
      this.problem = 'a stream of compressed messages may name any model in them';
      return true;
    }
    const bytes = Math.min(PREFIX_BYTES + reader.length, PREFIX_BYTES + MAX_INFLATED_BYTES);
    const has = buffered === null ? 0 : buffered.bytes;
    if (has < bytes && !this.requestEnded) return false;
    const encoding = metadataValue(this.block, 'grpc-encoding') ?? 'identity';
    if (!canInflate(encoding)) {
      this.problem = `the message is compressed as '${encoding.slice(0, 40)}'; gzip and deflate can be read`;
      return true;
    }
    const head = buffered === null ? EMPTY : prefixOf(buffered, bytes).subarray(PREFIX_BYTES);
    const isAll = head.length === reader.length;
    const inner = new NameReader(this.scope, this.method.layout);
    let isHead = false;
    let isRead = false;
    for (const { octets, isWhole } of inflatedPrefixes(encoding, head, isAll)) {
      isHead = true;
      inner.feedMessage(octets, isWhole);
      isRead = isWhole;
      if (inner.naming !== Naming.reading && (this.scope === 'beginning' || inner.naming !== Naming.found))
        break;
    }
    inner.end();
    if (!isHead) this.malformed(`the octets are not compressed as '${encoding}'`);
    else if (inner.naming === Naming.reading) this.problem = TOO_LATE;
    else if (this.scope !== 'beginning' && !isRead && inner.naming === Naming.found) this.problem = TOO_LONG;
    else this.setModel(inner);
    return true;
  }

  /** Each version may be a process of its own; what names none goes where the stream went. */
  private isSameModel({ name, version }: NameReader): boolean {
    if (name !== this.model) return false;
    const served = this.backend?.version ?? '';
    return version === '' || served === '' || version === served;
  }

  /** Whether a message that has been read so far may pass; one that is not read passes where its caller may call any model. */
  private mayPass(reader: NameReader): boolean {
    const { naming } = reader;
    if (naming === Naming.reading || !this.isBound) return true;
    if (this.grant !== null) return naming === Naming.found && this.isSameModel(reader);
    return naming !== Naming.found || reader.name === '' || this.isSameModel(reader);
  }

  private otherModel({ name, version }: NameReader): LocalReply {
    const names = { model: titleOf(this.model, this.version), other: titleOf(name, version) };
    return makeLocalReply(ModelReplyReasons.otherModel, names);
  }

  /**
   * The reply where a stream that may name several models goes on with one that its caller has called too often. Messages in a
   * row that cannot be read are one move, as if all were for the same model.
   */
  private refusalOfMove({ naming, name, version }: NameReader): LocalReply | null {
    if (this.isBound || !this.method.isStream) return null;
    const problem = problemIn(naming);
    if (problem === '' && naming !== Naming.found) return null;
    const before = this.latest ?? this;
    if (problem !== '' && before.problem !== '') return null;
    if (problem === before.problem && name === before.model && version === before.version) return null;
    this.latest = { model: name, version, problem };
    return this.modelHandler.onModelMoved(this, this.latest);
  }

  /** Whether these octets name no other model than the first message did. A compressed message is not read. */
  private namesSameModel(buffer: Buffer, start: number, end: number): boolean {
    const { reader } = this;
    for (let at = start; at < end; ) {
      at = reader.feed(buffer, at, end);
      if (reader.naming === Naming.twice) {
        this.unclear();
        return false;
      }
      const refusal = this.mayPass(reader) ? this.refusalOfMove(reader) : this.otherModel(reader);
      if (refusal === null) continue;
      sendLocalReply(this, refusal);
      return false;
    }
    return true;
  }
}

/** Why a message of a stream could be for any model; empty: it names one or none, or is not judged by this. */
function problemIn(naming: Naming): string {
  if (naming === Naming.malformed) return NO_MESSAGE;
  return naming === Naming.tooLate ? TOO_LATE : '';
}

function titleOf(model: string, version: string): string {
  return version === '' ? model : `${model} version ${version}`;
}

const EMPTY = Buffer.alloc(0);
const NO_MESSAGE = 'the octets are no message';
const TWICE = 'the message names more than one model, or goes on with what is no message';
const UNCLEAR: Readonly<Record<ReadingScope, string>> = {
  beginning: TWICE,
  whole: TWICE,
  versions:
    'the message names more than one model, has a version after other fields, or goes on with what is no message',
};
const TOO_LONG = `the compressed message has more than ${MAX_INFLATED_BYTES} octets, and may name another model further on`;
const TOO_LATE = `it is not within the first ${MAX_SEARCHED_BYTES} octets of the message`;
