import { MetadataKey } from '../../core/metadata-key.js';
import { metadataValue } from '../../http2/header-view.js';
import { type HeaderField, makeField } from '../../http2/hpack/field.js';
import type { HeaderBlock } from '../../http2/hpack/header-list.js';
import type { Attempt } from '../attempt.js';
import type { Call, Resumption } from '../call.js';
import { ForeignBytes } from './foreign-bytes.js';
import { MessageCounter } from './message-counter.js';
import { MessageEncoding, OTHER_ENCODING } from './message-encoding.js';
import { MessageHash } from './message-hash.js';
import { MessageTail } from './message-tail.js';
import { endResumption, sendShared, tellResumed } from './resumed-call.js';

/** Why an endpoint does not go on with a stream, in words that follow its name. */
const BEGINS_ANEW = 'begins anew';
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
  readonly isApproximate = false;
  readonly model = null;
  /** Messages that the caller has already, and which the present endpoint is about to repeat. */
  private repeated = 0;
  private counter = new MessageCounter();
  /** Of all messages that the caller has, and of those that the present endpoint has repeated; null: the service never repeats. */
  private readonly passed: MessageHash | null;
  private readonly repeats: MessageHash | null;
  /** As the head says that the caller has. */
  private readonly encoding: MessageEncoding;
  private readonly tail = new MessageTail();
  private readonly foreign = new ForeignBytes();

  constructor(head: HeaderBlock, isDeterministic: boolean) {
    this.passed = isDeterministic ? new MessageHash() : null;
    this.repeats = isDeterministic ? new MessageHash() : null;
    this.encoding = new MessageEncoding(head);
  }

  get field(): HeaderField {
    // Never indexed: it differs from call to call.
    return makeField(MetadataKey.resumeAfter, String(this.messages), true);
  }

  requestFor(): null {
    return null;
  }

  complete(): boolean {
    return false;
  }

  restart({ stream: { pendingBytes } }: Call): void {
    this.isResuming = true;
    this.hasSpoken = false;
    this.repeated = 0;
    this.repeats?.clear();
    this.counter = new MessageCounter();
    this.tail.drop();
    this.foreign.restart(pendingBytes);
  }

  refusalOf(head: HeaderBlock): string {
    if (!this.encoding.isSameIn(head)) return OTHER_ENCODING;
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
    this.release(call, attempt);
  }

  own(bytes: number): number {
    return this.foreign.own(bytes);
  }

  private onResumed(call: Call): void {
    this.isResuming = false;
    tellResumed(call);
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
    if (!this.counter.isBroken && this.tail.hold(attempt, buffer, start, end)) return;
    this.release(call, attempt);
    sendShared(call, buffer, start, end);
    if (this.isResuming) this.onResumed(call);
    endResumption(call, this.foreign);
  }

  private release(call: Call, attempt: Attempt): void {
    const held = this.tail.take(attempt);
    if (held === null) return;
    for (let i = 0; i < held.count; i++) {
      const chunk = held.at(i);
      this.pass(call, chunk.buffer, chunk.start, chunk.end);
    }
  }

  private pass(call: Call, buffer: Buffer, start: number, end: number): void {
    this.passed?.add(buffer, start, end);
    sendShared(call, buffer, start, end);
  }
}
