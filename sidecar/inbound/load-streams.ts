import { unframed } from '../codec/grpc-message.js';
import { readLoadStreamRequest, WATCHES_LOAD } from '../codec/orca.js';
import type { LoadReportConfig } from '../config/model.js';
import { LocalReplyReasons, ModelReplyReasons } from '../core/outcome/local-reply-reason.js';
import { ErrorCode } from '../http2/constants.js';
import { metadataValue } from '../http2/header-view.js';
import { makeField } from '../http2/hpack/field.js';
import { type HeaderBlock, StableList } from '../http2/hpack/header-list.js';
import { NO_FIELDS, type Stream, type StreamOwner } from '../http2/stream.js';
import {
  type LocalReply,
  makeLocalReply,
  messageField,
  replyHeaders,
  replyTrailers,
} from '../relay/local-reply.js';
import { WheelEntry } from '../runtime/time/timing-wheel.js';
import { ChunkList } from '../transport/chunk-list.js';
import type { DataPlaneContext } from '../transport/context.js';
import type { Session } from '../transport/session.js';
import { type Caller, serviceOf } from './caller.js';
import type { LoadReporter } from './load-reporter.js';

/** A change is told after this time at the earliest, ms. */
const CHANGE_MS = 250;
/** So often at least a stream is looked at, whether a report is due or not: a drain and changed intentions end it, ms. */
const LOOK_MS = 1_000;
/** Interval of a stream that asks for none, ms (gRFC A51). */
const DEFAULT_INTERVAL_MS = 30_000;
/** A caller cannot act on more than ten reports a second. */
const MIN_INTERVAL_MS = 100;
/** Of all callers together; one caller may have half of them. As many as there may be connections by default. */
const MAX_STREAMS = 1_024;
const MAX_REQUEST_BYTES = 4 * 1024;
/** In which a request has to be all here: a stream without one keeps the place of another. */
const REQUEST_MS = 10_000;

const HEAD = StableList.of([makeField(':status', '200'), makeField('content-type', 'application/grpc')]);

/** What the streams of reports need of the inbound side. */
export interface LoadStreamDeps {
  readonly context: DataPlaneContext;
  readonly reporter: LoadReporter;
  readonly service: string;
  /** The reply to a peer that may not ask; null: it may. */
  check(session: Session, block: HeaderBlock): LocalReply | null;
}

/** The out-of-band service of load reports (gRFC A51), beside the calls: its streams count as none, and are ended by a drain. */
export class LoadStreams {
  private readonly open = new Set<LoadStream>();
  /** How many of them each caller has, by service. */
  private readonly ofCallers = new Map<string, number>();
  refused = 0;

  constructor(
    public config: LoadReportConfig,
    readonly deps: LoadStreamDeps,
  ) {}

  get size(): number {
    return this.open.size;
  }

  /** A stream of a peer that asks for reports. */
  accept(session: Session, stream: Stream, block: HeaderBlock, ended: boolean): void {
    const each = new LoadStream(this, session, stream, block);
    const refusal = this.deps.check(session, block) ?? this.refusal(each.source);
    if (refusal !== null) return each.end(refusal);
    this.open.add(each);
    this.ofCallers.set(each.source, this.countOf(each.source) + 1);
    if (ended) each.begin();
    else each.awaitRequest();
  }

  /** One caller has half of them at most. That there are no more of them says nothing about the load here. */
  private refusal(source: string): LocalReply | null {
    const own = this.countOf(source);
    const isShareUsed = own >= MAX_STREAMS / 2;
    if (this.open.size < MAX_STREAMS && !isShareUsed) return null;
    this.refused++;
    const detail = isShareUsed
      ? `it has ${own} streams of load reports, the most that one caller may have`
      : `${this.open.size} streams of load reports are open, the most of all callers`;
    const { service } = this.deps;
    return makeLocalReply(LocalReplyReasons.tooManyStreams, { source, service, detail });
  }

  private countOf(source: string): number {
    return this.ofCallers.get(source) ?? 0;
  }

  leave(stream: LoadStream): void {
    if (!this.open.delete(stream)) return;
    const left = this.countOf(stream.source) - 1;
    if (left === 0) this.ofCallers.delete(stream.source);
    else this.ofCallers.set(stream.source, left);
  }
}

/** The stream of one peer. */
class LoadStream extends WheelEntry implements StreamOwner {
  private request = new ChunkList();
  private intervalMs = 0;
  /** The request has been read, and reports are sent. */
  private isBegun = false;
  /** Its end is written, or about to be. */
  private isOver = false;
  /** The peer is a sidecar that watches our load. */
  private readonly watches: boolean;
  /** The service that asks. */
  readonly source: string;
  private requestByMs = 0;
  private sentMs = 0;
  private sentCalls = 0;
  private sentLong = 0;
  private sentIdle = 0;

  constructor(
    private readonly streams: LoadStreams,
    private readonly session: Session,
    private readonly stream: Stream,
    private readonly block: HeaderBlock,
  ) {
    super();
    stream.owner = this;
    this.source = serviceOf(session.identity as Caller | null);
    this.watches = metadataValue(block, WATCHES_LOAD) !== undefined;
  }

  // ---- StreamOwner ----

  onHeaders(): void {}

  onData(stream: Stream, buffer: Buffer, start: number, end: number, ended: boolean): void {
    if (this.isOver || this.isBegun) return;
    this.session.connection.credit(stream, end - start, 0);
    this.request.add(buffer, start, end);
    if (this.request.bytes > MAX_REQUEST_BYTES) return this.unreadable('it is too long');
    if (ended) this.begin();
  }

  onTrailers(): void {
    if (!this.isOver) this.begin();
  }

  onEnding(): void {
    this.leave();
  }

  onSent(): void {}

  /** An exception in its handling ends the stream. */
  giveUp(): void {
    if (this.isOver) return;
    this.session.connection.reset(this.stream, ErrorCode.internalError);
    this.leave();
  }

  // ---- reports ----

  /** It comes after the headers. */
  awaitRequest(): void {
    const { context } = this.streams.deps;
    const now = context.clock.now();
    this.requestByMs = now + REQUEST_MS;
    context.wheel.add(this, now + LOOK_MS);
  }

  /** The request is complete. */
  begin(): void {
    if (this.isBegun) return;
    const message = unframed(this.request.whole());
    if (message === undefined) return this.unreadable('it is not one message without compression');
    const asked = readLoadStreamRequest(message);
    if (asked === undefined) return this.unreadable('it is no OrcaLoadReportRequest');
    this.isBegun = true;
    this.request = new ChunkList();
    this.intervalMs = Math.max(asked > 0 ? asked : DEFAULT_INTERVAL_MS, MIN_INTERVAL_MS);
    if (this.watches) this.session.isToldLoad = true;
    this.session.connection.sendHeaders(this.stream, HEAD, NO_FIELDS, false);
    this.send(this.streams.deps.context.clock.now());
    this.plan();
  }

  /** A report is due, or may be, or the request has not come yet. */
  fire(): void {
    const { context, check } = this.streams.deps;
    const now = context.clock.now();
    context.nowMs = now;
    if (this.session.isRetiring) {
      const { service } = this.streams.deps;
      return this.end(makeLocalReply(LocalReplyReasons.draining, { service }));
    }
    const refusal = check(this.session, this.block);
    if (refusal !== null) return this.end(refusal);
    if (!this.isBegun) {
      if (now >= this.requestByMs) return this.unreadable('it does not end');
      return context.wheel.add(this, now + LOOK_MS);
    }
    // A peer that does not read gets the next one.
    const isRead = this.stream.pendingBytes === 0;
    const isChanged = this.watches && this.isChangedAt(now);
    const isDue = now - this.sentMs >= this.intervalMs - 1 || isChanged;
    if (isRead && isDue) this.send(now);
    this.plan();
  }

  private isChangedAt(nowMs: number): boolean {
    const { reporter } = this.streams.deps;
    if (reporter.calls !== this.sentCalls || reporter.idleStreams !== this.sentIdle) return true;
    return reporter.longCallsAt(nowMs) !== this.sentLong;
  }

  private send(nowMs: number): void {
    const { reporter } = this.streams.deps;
    this.sentMs = nowMs;
    this.sentCalls = reporter.calls;
    this.sentLong = reporter.longCallsAt(nowMs);
    this.sentIdle = reporter.idleStreams;
    const message = reporter.message(nowMs);
    this.session.connection.sendData(this.stream, message, 0, message.length, false);
  }

  /** A watching sidecar is told of a change early, also of the first call: one may take all places. It asks only while it has calls to place. */
  private plan(): void {
    const { context } = this.streams.deps;
    const now = context.clock.now();
    const dueMs = Math.max(this.sentMs + this.intervalMs, now + 1);
    context.wheel.add(this, Math.min(dueMs, now + (this.watches ? CHANGE_MS : LOOK_MS)));
  }

  private unreadable(detail: string): void {
    const why = { detail: `the request for load reports cannot be read: ${detail}` };
    this.end(makeLocalReply(ModelReplyReasons.badRequest, why));
  }

  /** Ends the stream with this reply. */
  end({ reason, message }: LocalReply): void {
    const { connection } = this.session;
    if (this.isBegun) connection.sendTrailers(this.stream, replyTrailers(reason), [messageField(message)]);
    else connection.sendHeaders(this.stream, replyHeaders(reason, ''), [messageField(message)], true);
    this.leave();
  }

  private leave(): void {
    this.isOver = true;
    this.streams.deps.context.wheel.cancel(this);
    this.streams.leave(this);
    if (this.watches && this.isBegun) this.session.isToldLoad = false;
  }
}
