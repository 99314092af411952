import { MetadataKey } from '../../core/metadata-key.js';
import { metadataValue } from '../../http2/header-view.js';
import { type HeaderField, makeField } from '../../http2/hpack/field.js';
import type { HeaderBlock } from '../../http2/hpack/header-list.js';
import { ChunkList } from '../../transport/chunk-list.js';
import type { Attempt } from '../attempt.js';
import type { Call, Resumption } from '../call.js';
import { CallEvent, step } from '../call-phase.js';
import { disableReplay } from '../request-buffer.js';
import { MessageCounter } from './message-counter.js';
import { contentTypeOf, encodingOf } from './message-encoding.js';
import { MessageHash } from './message-hash.js';

/**
 * A message that is larger, bytes, is passed on as it comes, and the stream is not resumed any more: held back, the beginning
 * gives the endpoint no credit, and it could not send the rest (RFC 9113 section 6.9.1).
 */
const LARGEST_BYTES = 16 * 1024;

/** Why an endpoint does not go on with a stream, in words that follow its name. */
const BEGINS_ANEW = 'begins anew';
const OTHER_ENCODING = 'encodes messages otherwise';
const OTHER_MESSAGES = 'repeated other messages';

/**
 * The response of a stream that another endpoint may go on with. Messages are passed on whole, and counted; the request is
 * kept. When the endpoint dies, another gets the request again, and what it sends begins where the last whole message ended.
 *
 * An endpoint that begins anew has to repeat the messages that the caller has, byte for byte. The same tokens in other messages, as an
 * engine that batches sends them, would lose or repeat some. No message is ever passed on in part and then resumed, so whole messages
 * are all that there is to compare.
 */
export class ResumableStream implements Resumption {
  messages = 0;
  isResuming = false;
  hasSpoken = true;
  readonly isComplete = false;
  readonly isSpent = false;
  /** Messages that the caller has already, and which the present endpoint is about to repeat. */
  private repeated = 0;
  private counter = new MessageCounter();
  /** Of all messages that the caller has, and of those that the present endpoint has repeated; null: the service never repeats. */
  private readonly passed: MessageHash | null;
  private readonly repeats: MessageHash | null;
  /** How messages are encoded under the head that the caller has. */
  private readonly encoding: string;
  private readonly contentType: string;
  /** The beginning of a message. Bytes in it are counted as held by the attempt. */
  private tail: ChunkList | null = null;
  /** Bytes of endpoints before that have not gone to the caller yet: they are not the present one's to be credited. */
  private foreignBytes = 0;

  constructor(head: HeaderBlock, isDeterministic: boolean) {
    this.passed = isDeterministic ? new MessageHash() : null;
    this.repeats = isDeterministic ? new MessageHash() : null;
    this.encoding = encodingOf(head);
    this.contentType = contentTypeOf(head);
  }

  get field(): HeaderField {
    // Never indexed: it differs from call to call.
    return makeField(MetadataKey.resumeAfter, String(this.messages), true);
  }

  requestFor(): null {
    return null;
  }

  restart({ stream: { pendingBytes } }: Call): void {
    this.isResuming = true;
    this.hasSpoken = false;
    this.repeated = 0;
    this.repeats?.clear();
    this.counter = new MessageCounter();
    this.tail = null;
    this.foreignBytes = pendingBytes;
  }

  refusalOf(head: HeaderBlock): string {
    if (encodingOf(head) !== this.encoding || contentTypeOf(head) !== this.contentType) return OTHER_ENCODING;
    if (this.isResumedIn(head)) return '';
    if (this.passed === null) return BEGINS_ANEW;
    this.repeated = this.messages;
    return '';
  }

  /** Whether the endpoint may end the stream well here: not before it has repeated what the caller has. */
  mayEnd({ isTrailersOnly, trailers }: Attempt): boolean {
    return isTrailersOnly ? this.isResumedIn(trailers!) : this.repeated === 0;
  }

  private isResumedIn(block: HeaderBlock): boolean {
    return metadataValue(block, MetadataKey.resumedFrom) === String(this.messages);
  }

  forward(call: Call, attempt: Attempt, buffer: Buffer, start: number, end: number): void {
    const { counter } = this;
    let from = start;
    let to = start;
    for (let at = start; at >= 0 && at < end; ) {
      at = counter.next(buffer, at, end);
      if (at < 0) break;
      to = at;
      this.hasSpoken = true;
      if (this.repeated === 0) this.messages++;
      else {
        this.repeated--;
        this.skip(attempt, buffer, from, to);
        if (this.repeated === 0 && !this.hasRepeated())
          return call.handler.onNotResumed?.(call, attempt, OTHER_MESSAGES);
        from = to;
      }
    }
    if (to > from) {
      this.release(call, attempt);
      this.pass(call, buffer, from, to);
      if (this.isResuming) this.onResumed(call);
    }
    if (to < end) this.keep(call, attempt, buffer, to, end);
  }

  /** The end of the response: what is left is no whole message, and is passed on for the caller to judge. */
  flush(call: Call, attempt: Attempt): void {
    if (this.tail !== null) this.release(call, attempt);
  }

  own(bytes: number): number {
    const foreign = Math.min(bytes, this.foreignBytes);
    this.foreignBytes -= foreign;
    return bytes - foreign;
  }

  private onResumed(call: Call): void {
    this.isResuming = false;
    step(call, CallEvent.resume);
    call.handler.onResumed?.(call);
  }

  /** The caller has it. */
  private skip(attempt: Attempt, buffer: Buffer, start: number, end: number): void {
    this.repeats?.add(buffer, start, end);
    attempt.credit(end - start);
  }

  private hasRepeated(): boolean {
    return this.passed === null || this.passed.equals(this.repeats!);
  }

  private keep(call: Call, attempt: Attempt, buffer: Buffer, start: number, end: number): void {
    if (this.repeated > 0) return this.skip(attempt, buffer, start, end);
    const { tail, counter } = this;
    if (!counter.isBroken && (tail?.bytes ?? 0) + end - start <= LARGEST_BYTES) {
      this.tail ??= new ChunkList();
      this.tail.add(buffer, start, end);
      return attempt.hold(end - start);
    }
    this.release(call, attempt);
    send(call, buffer, start, end);
    if (this.isResuming) this.onResumed(call);
    call.resumable = null;
    disableReplay(call);
  }

  private release(call: Call, attempt: Attempt): void {
    const { tail } = this;
    if (tail === null) return;
    this.tail = null;
    attempt.releaseHeld();
    for (let i = 0; i < tail.count; i++) {
      const chunk = tail.at(i);
      this.pass(call, chunk.buffer, chunk.start, chunk.end);
    }
  }

  private pass(call: Call, buffer: Buffer, start: number, end: number): void {
    this.passed?.add(buffer, start, end);
    send(call, buffer, start, end);
  }
}

function send(call: Call, buffer: Buffer, start: number, end: number): void {
  call.responseBytes += end - start;
  call.session.connection.sendData(call.stream, buffer, start, end, false);
}
