import { ScalerMethod } from '../../codec/external-scaler.js';
import { framed } from '../../codec/grpc-message.js';
import { Status } from '../../core/outcome/status.js';
import { ErrorCode } from '../../http2/constants.js';
import { makeField } from '../../http2/hpack/field.js';
import { StableList } from '../../http2/hpack/header-list.js';
import { NO_FIELDS, type Stream, type StreamOwner } from '../../http2/stream.js';
import { messageField } from '../../relay/local-reply.js';
import { WheelEntry } from '../../runtime/time/timing-wheel.js';
import { ChunkList } from '../../transport/chunk-list.js';
import type { DataPlaneContext } from '../../transport/context.js';
import type { Session } from '../../transport/session.js';
import type { ScalerAnswer } from './answers.js';

const MAX_REQUEST_BYTES = 16 * 1024;
/** In which a request has to be all here. */
const REQUEST_MS = 10_000;
/** How often a stream looks whether what it told has changed. */
const LOOK_MS = 1_000;

const HEAD = StableList.of([makeField(':status', '200'), makeField('content-type', 'application/grpc')]);
const trailersOf = (status: number): StableList => StableList.of([makeField('grpc-status', String(status))]);
const OK = trailersOf(Status.OK);

/** What a stream is about. */
export interface ScalerQuestion {
  readonly context: DataPlaneContext;
  readonly path: string;
  /** There are as many as may be. */
  readonly isFull: boolean;
  answer(body: Buffer): ScalerAnswer;
  onEnd(): void;
}

/** One question of KEDA, and its answer; `StreamIsActive` is answered again whenever the answer changes. */
export class ScalerStream extends WheelEntry implements StreamOwner {
  private request = new ChunkList();
  private isAsked = false;
  private hasHeaders = false;
  private isOver = false;
  private requestByMs = 0;
  private body: Buffer = NOTHING;
  /** What was told last. */
  private told: Buffer | null = null;

  constructor(
    private readonly session: Session,
    private readonly stream: Stream,
    private readonly question: ScalerQuestion,
  ) {
    super();
    stream.owner = this;
  }

  begin(ended: boolean): void {
    if (this.question.isFull)
      return this.fail({ status: Status.RESOURCE_EXHAUSTED, why: 'too many questions at once' });
    if (ended) return this.ask();
    const now = this.question.context.clock.now();
    this.requestByMs = now + REQUEST_MS;
    this.question.context.wheel.add(this, this.requestByMs);
  }

  // ---- StreamOwner ----

  onHeaders(): void {}

  onData(stream: Stream, buffer: Buffer, start: number, end: number, ended: boolean): void {
    if (this.isOver || this.isAsked) return;
    this.session.connection.credit(stream, end - start, 0);
    this.request.add(buffer, start, end);
    if (this.request.bytes > MAX_REQUEST_BYTES)
      return this.fail({ status: Status.RESOURCE_EXHAUSTED, why: `more than ${MAX_REQUEST_BYTES} bytes` });
    if (ended) this.ask();
  }

  onTrailers(): void {
    if (!this.isOver && !this.isAsked) this.ask();
  }

  onEnding(): void {
    this.end();
  }

  onSent(): void {}

  /** An exception in its handling ends the stream. */
  giveUp(): void {
    if (this.isOver) return;
    this.session.connection.reset(this.stream, ErrorCode.internalError);
    this.end();
  }

  // ---- answers ----

  fire(): void {
    const { context } = this.question;
    context.nowMs = context.clock.now();
    if (!this.isAsked)
      return this.fail({ status: Status.DEADLINE_EXCEEDED, why: 'the request does not end' });
    this.tell();
  }

  /** The request is complete. */
  private ask(): void {
    this.isAsked = true;
    this.question.context.wheel.cancel(this);
    this.body = this.request.whole();
    this.request = new ChunkList();
    this.tell();
  }

  private tell(): void {
    const { context, path } = this.question;
    const answer = this.question.answer(this.body);
    const isStream = path === ScalerMethod.streamIsActive;
    if (!Buffer.isBuffer(answer)) {
      // What is not known for a while is no change: the client goes on with what it was told, and is told once it is known. Any other status
      // says that nothing more will be told, such as of an upstream that a reload has removed.
      if (!isStream || answer.status !== Status.UNAVAILABLE) return this.fail(answer);
    } else if (this.told === null || !this.told.equals(answer)) {
      // A client that does not read gets the next one.
      if (this.stream.pendingBytes === 0) this.send(answer);
    }
    if (isStream) context.wheel.add(this, context.clock.now() + LOOK_MS);
    else this.close(OK, '');
  }

  private send(message: Buffer): void {
    const { connection } = this.session;
    if (!this.hasHeaders) connection.sendHeaders(this.stream, HEAD, NO_FIELDS, false);
    this.hasHeaders = true;
    this.told = message;
    const bytes = framed(message);
    connection.sendData(this.stream, bytes, 0, bytes.length, false);
  }

  private fail({ status, why }: Exclude<ScalerAnswer, Buffer>): void {
    this.close(trailersOf(status), why);
  }

  /** The sidecar ends: the client asks elsewhere. */
  leave(): void {
    if (!this.isOver) this.fail({ status: Status.UNAVAILABLE, why: 'this sidecar ends' });
  }

  private close(trailers: StableList, why: string): void {
    const { connection } = this.session;
    const extras = why === '' ? NO_FIELDS : [messageField(why)];
    if (this.hasHeaders) connection.sendTrailers(this.stream, trailers, extras);
    else
      connection.sendHeaders(
        this.stream,
        StableList.of([...HEAD.toFields(), ...trailers.toFields()]),
        extras,
        true,
      );
    this.end();
  }

  private end(): void {
    if (this.isOver) return;
    this.isOver = true;
    this.question.context.wheel.cancel(this);
    this.question.onEnd();
  }
}

const NOTHING = Buffer.alloc(0);
