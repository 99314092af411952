import { metadataValue } from '../../http2/header-view.js';
import { type HeaderField, makeField } from '../../http2/hpack/field.js';
import type { HeaderBlock } from '../../http2/hpack/header-list.js';
import { ChunkList } from '../../transport/chunk-list.js';
import type { Attempt } from '../attempt.js';
import type { Call, Resumption } from '../call.js';
import { RESUME_AFTER_KEY, RESUMED_FROM_KEY } from '../header-rewrite.js';
import { disableReplay } from '../request-buffer.js';
import { MessageCounter } from './message-counter.js';

/**
 * A message that is larger, octets, is passed on as it comes, and the stream is not resumed any more: held back, the beginning
 * gives the endpoint no credit, and it could not send the rest (RFC 9113 section 6.9.1).
 */
const LARGEST_BYTES = 16 * 1024;

/**
 * The response of a stream that another endpoint may go on with. Messages are passed on whole, and counted; the request is
 * kept. When the endpoint dies, another gets the request again, and what it sends begins where the last whole message ended.
 */
export class ResumableStream implements Resumption {
  messages = 0;
  isResuming = false;
  hasSpoken = true;
  /** Messages that the caller has already, and which the present endpoint is about to repeat. */
  private repeated = 0;
  private counter = new MessageCounter();
  /** The beginning of a message. Octets in it are counted as held by the attempt. */
  private tail: ChunkList | null = null;
  /** Octets of endpoints before that have not gone to the caller yet: they are not the present one's to be credited. */
  private foreignBytes = 0;

  get field(): HeaderField {
    // Never indexed: it differs from call to call.
    return makeField(RESUME_AFTER_KEY, String(this.messages), true);
  }

  restart(pendingBytes: number): void {
    this.isResuming = true;
    this.hasSpoken = false;
    this.repeated = 0;
    this.counter = new MessageCounter();
    this.tail = null;
    this.foreignBytes = pendingBytes;
  }

  accepts(head: HeaderBlock, isDeterministic: boolean): boolean {
    if (metadataValue(head, RESUMED_FROM_KEY) === String(this.messages)) return true;
    if (isDeterministic) this.repeated = this.messages;
    return isDeterministic;
  }

  /** Whether the endpoint may end the stream well here: not before it has repeated what the caller has. */
  mayEnd({ isTrailersOnly, trailers }: Attempt, isDeterministic: boolean): boolean {
    return !(isTrailersOnly && !this.accepts(trailers!, isDeterministic)) && this.repeated === 0;
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
        attempt.credit(to - from);
        from = to;
      }
    }
    if (to > from) {
      this.release(call, attempt);
      send(call, buffer, from, to);
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
    call.handler.onResumed?.(call);
  }

  private keep(call: Call, attempt: Attempt, buffer: Buffer, start: number, end: number): void {
    // The caller has it: its beginning is not needed either.
    if (this.repeated > 0) return attempt.credit(end - start);
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
      send(call, chunk.buffer, chunk.start, chunk.end);
    }
  }
}

function send(call: Call, buffer: Buffer, start: number, end: number): void {
  call.responseBytes += end - start;
  call.session.connection.sendData(call.stream, buffer, start, end, false);
}
