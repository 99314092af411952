import { MetadataKey } from '../../core/metadata-key.js';
import { AttemptEnd } from '../../core/outcome/outcome.js';
import { Status } from '../../core/outcome/status.js';
import type { HeaderField } from '../../http2/hpack/field.js';
import type { StableList } from '../../http2/hpack/header-list.js';
import type { Stream } from '../../http2/stream.js';
import { Attempt, type AttemptOwner } from '../../relay/attempt.js';
import { timeoutField } from '../../relay/header-rewrite.js';
import { messageBytes } from '../../relay/request-prefix.js';
import { WheelTimer } from '../../runtime/time/timing-wheel.js';
import type { ChunkList } from '../../transport/chunk-list.js';
import type { DataPlaneContext } from '../../transport/context.js';
import type { Session } from '../../transport/session.js';
import type { Endpoint } from '../endpoint.js';

/** A peer that is not done by then says nothing. */
const MAX_MS = 5_000;
/** Longest answer that is looked at, bytes: the largest message that gRPC lets through by default. */
const MAX_ANSWER_BYTES = messageBytes(4 * 1024 * 1024);

/** How much time the call had, and where it is traced, is nothing to the replay. */
const OF_THE_CALL: ReadonlySet<string> = new Set([
  'grpc-timeout',
  'traceparent',
  MetadataKey.deadline,
  MetadataKey.attemptTimeout,
]);

const isOfRequest = ({ name }: HeaderField): boolean => !OF_THE_CALL.has(name);

/** What was sent. */
export interface ReplayRequest {
  readonly headers: StableList;
  readonly extras: readonly HeaderField[];
  readonly body: ChunkList;
}

/**
 * The same request once more, at another endpoint, to learn what it answers. It is no call: no caller waits for it, it is
 * counted nowhere but where it runs, and it ends early rather than cost much.
 */
export class Replay implements AttemptOwner {
  readonly holder = this;
  readonly holdsResponse = true;
  readonly checksMessages = false;
  readonly holdBytes = MAX_ANSWER_BYTES;
  isCommitted = false;
  readonly isReplayable = true;
  private attempt: Attempt | null = null;
  private readonly timer = new WheelTimer(() => this.end(null));
  private isOver = false;
  /** Bytes of the memory budget that its window takes. */
  private windowBytes = 0;

  /** @param onAnswer the answer as it was sent; null: there is none, or it is too large. */
  constructor(
    private readonly request: ReplayRequest,
    private readonly endpoint: Endpoint,
    private readonly relay: DataPlaneContext,
    private readonly onAnswer: (body: ChunkList | null) => void,
  ) {}

  start(): void {
    const { endpoint, relay } = this;
    const now = relay.clock.now();
    endpoint.inFlight++;
    this.attempt = new Attempt(this, endpoint, now);
    relay.wheel.add(this.timer, now + MAX_MS);
    this.attempt.start();
  }

  stop(): void {
    this.end(null);
  }

  writeRequest(_attempt: Attempt, link: Session, stream: Stream): void {
    const { headers, extras, body } = this.request;
    link.connection.sendHeaders(
      stream,
      headers,
      [timeoutField(MAX_MS), ...extras.filter(isOfRequest)],
      false,
    );
    for (let i = 0; i < body.count; i++) {
      const { buffer, start, end } = body.at(i);
      link.connection.sendData(stream, buffer, start, end, i === body.count - 1);
    }
  }

  onRequestSent(): void {}

  /** It is larger than what is looked at. */
  commitResponse(): void {
    this.end(null);
  }

  forwardResponse(): void {}

  beginStream(): void {}

  onMessages(): void {}

  /** Within what the budget has beside calls. */
  reserveWideWindow(bytes: number): boolean {
    if (!this.relay.memory.reserveWindowAside(bytes)) return false;
    this.windowBytes += bytes;
    return true;
  }

  /** It passes nothing on. */
  widenResponse(): boolean {
    return false;
  }

  onAttemptEnd(attempt: Attempt): void {
    const isGood = attempt.ended === AttemptEnd.trailers && attempt.status === Status.OK;
    this.end(isGood ? attempt.takeBufferedResponse() : null);
  }

  private end(body: ChunkList | null): void {
    if (this.isOver) return;
    this.isOver = true;
    this.relay.wheel.cancel(this.timer);
    this.endpoint.inFlight--;
    this.attempt!.abort(AttemptEnd.superseded);
    this.relay.memory.withdraw(this.windowBytes);
    this.onAnswer(body);
  }
}
