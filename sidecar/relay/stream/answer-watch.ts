import { AnswerReader } from '../../codec/engines/answer-reader.js';
import { PREFIX_BYTES } from '../../codec/grpc-message.js';
import type { HeaderBlock } from '../../http2/hpack/header-list.js';
import type { Attempt } from '../attempt.js';
import type { Call, Resumption } from '../call.js';
import { disableReplay } from '../request-buffer.js';
import { type EngineCall, givenUp } from './engine-call.js';
import { ForeignBytes } from './foreign-bytes.js';
import { giveUp } from './give-up.js';
import { MessageCounter } from './message-counter.js';
import { MessageEncoding, OTHER_ENCODING } from './message-encoding.js';
import { MessageTail } from './message-tail.js';
import { endResumption, sendShared, tellResumed } from './resumed-call.js';

/**
 * The answer of a language-model engine that no other engine can go on with once it has a token. Before that, another engine gets the same
 * request. An end under the status OK by which the engine gives the answer up is kept back, and is a failure of the engine. Messages are
 * passed on whole and as they are.
 */
export class AnswerWatch implements Resumption {
  messages = 0;
  isResuming = false;
  hasSpoken = true;
  readonly isComplete = false;
  readonly field = null;
  private counter = new MessageCounter();
  private readonly reader: AnswerReader;
  private readonly encoding: MessageEncoding;
  private readonly tail = new MessageTail();
  private readonly foreign = new ForeignBytes();

  /** @param isSpent the request is not kept */
  constructor(
    head: HeaderBlock,
    private readonly engineCall: EngineCall,
    public isSpent: boolean,
  ) {
    this.reader = new AnswerReader(engineCall.codec.answer);
    this.encoding = new MessageEncoding(head);
  }

  requestFor(): null {
    return null;
  }

  restart({ stream: { pendingBytes } }: Call): void {
    this.engineCall.heldEnd = null;
    this.isResuming = true;
    this.hasSpoken = false;
    this.counter = new MessageCounter();
    this.tail.drop();
    this.foreign.restart(pendingBytes);
  }

  refusalOf(head: HeaderBlock): string {
    return this.encoding.isSameIn(head) ? '' : OTHER_ENCODING;
  }

  mayEnd(): boolean {
    return !this.isResuming;
  }

  forward(call: Call, attempt: Attempt, buffer: Buffer, start: number, end: number): void {
    if (this.engineCall.heldEnd !== null) return this.engineCall.holdMore(buffer, start, end);
    const { counter } = this;
    let from = start;
    let to = start;
    for (let at = start; at < end; ) {
      at = counter.next(buffer, at, end);
      if (at < 0) break;
      this.hasSpoken = true;
      if (!this.tail.isEmpty) {
        const message = Buffer.concat([this.tail.take(attempt)!.whole(), buffer.subarray(to, at)]);
        from = at;
        if (this.isGivenUp(call, message, 0, message.length)) {
          this.end(call, attempt, message, 0, message.length);
          return this.engineCall.holdMore(buffer, at, end);
        }
        this.pass(call, message, 0, message.length);
      } else if (this.isGivenUp(call, buffer, to, at)) {
        if (to > from) this.pass(call, buffer, from, to);
        return this.end(call, attempt, buffer, to, end);
      }
      to = at;
    }
    if (to > from) this.pass(call, buffer, from, to);
    if (to < end) this.keep(call, attempt, buffer, to, end);
  }

  flush(call: Call, attempt: Attempt): void {
    const held = this.tail.take(attempt);
    if (held === null) return;
    const bytes = held.whole();
    this.pass(call, bytes, 0, bytes.length);
  }

  own(bytes: number): number {
    return this.foreign.own(bytes);
  }

  /** Reads a whole message; a compressed one says nothing. */
  private isGivenUp(call: Call, buffer: Buffer, start: number, end: number): boolean {
    const { reader, engineCall } = this;
    const isRead = buffer[start] === 0;
    if (isRead) reader.read(buffer, start + PREFIX_BYTES, end);
    if (isRead && reader.failure !== '' && !engineCall.isAborted) return true;
    this.messages++;
    if (this.isSpent || (isRead && !reader.hasTokens)) return false;
    this.isSpent = true;
    disableReplay(call);
    return false;
  }

  /** The engine has given it up. One that repeats it has failed: it is not known by the id that an Abort from elsewhere may have. */
  private end(call: Call, attempt: Attempt, buffer: Buffer, start: number, end: number): void {
    const finish = this.reader.failure;
    if (this.isResuming) attempt.fail(givenUp(finish));
    else giveUp({ call, attempt, finish }, buffer, start, end);
  }

  private pass(call: Call, buffer: Buffer, start: number, end: number): void {
    sendShared(call, buffer, start, end);
    if (!this.isResuming) return;
    this.isResuming = false;
    tellResumed(call);
  }

  private keep(call: Call, attempt: Attempt, buffer: Buffer, start: number, end: number): void {
    if (!this.counter.isBroken && this.tail.hold(attempt, buffer, start, end)) return;
    this.flush(call, attempt);
    this.pass(call, buffer, start, end);
    endResumption(call, this.foreign);
  }
}
