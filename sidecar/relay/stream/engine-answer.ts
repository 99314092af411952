import type { HeaderBlock } from '../../http2/hpack/header-list.js';
import type { Attempt } from '../attempt.js';
import type { Call, Resumption } from '../call.js';
import type { EngineCall } from './engine-call.js';
import { givenUp } from './engine-call.js';
import { ForeignBytes } from './foreign-bytes.js';
import { giveUp } from './give-up.js';
import { MessageCounter } from './message-counter.js';
import { MessageEncoding, OTHER_ENCODING } from './message-encoding.js';
import { MessageTail } from './message-tail.js';
import { endResumption, sendShared, tellResumed } from './resumed-call.js';

const EMPTY = Buffer.alloc(0);

/**
 * The answer of a language-model engine on its way to the caller: finds its whole messages, and passes them on together where they came
 * together. What is read of each, and what becomes of it, a subclass says. Of a message that is too large to be held, which is passed on as it
 * comes, only its end is read: whether the engine has given the answer up by it.
 */
export abstract class EngineAnswer implements Resumption {
  messages = 0;
  isResuming = false;
  hasSpoken = true;
  readonly field = null;
  abstract readonly isComplete: boolean;
  abstract readonly isSpent: boolean;
  abstract readonly isApproximate: boolean;
  abstract readonly model: string | null;
  /** The `finish_reason` by which the engine has given the answer up; empty: it has not. */
  protected failure = '';
  protected counter = new MessageCounter();
  protected readonly foreign = new ForeignBytes();
  private readonly tail = new MessageTail();
  /** The caller has the beginning of the present message. */
  private isParted = false;
  private readonly encoding: MessageEncoding;

  constructor(
    head: HeaderBlock,
    protected readonly engineCall: EngineCall,
  ) {
    this.encoding = new MessageEncoding(head);
  }

  abstract requestFor(call: Call): Buffer | null;
  abstract complete(call: Call): boolean;
  abstract mayEnd(attempt: Attempt): boolean;
  /** No other engine can go on with it any more, as a message of it was not read. */
  protected abstract spend(call: Call): void;
  /** The end of a sequence was in such a message. */
  protected abstract recordEnd(): void;
  /** Each message is taken for itself, and may be changed: none is passed on where it lies. */
  protected abstract get changesMessages(): boolean;
  /**
   * Reads a whole message in a read. True: it is passed on as it is, with those around it. False: it is not, as the engine has given the
   * answer up (`failure`), or all that follows goes to the caller unread (`call.resumable` is null).
   */
  protected abstract readInPlace(call: Call, buffer: Buffer, start: number, end: number): boolean;
  /** Takes a message that came in parts, or may be changed, and passes it on. False: the attempt is over, or its end is held. */
  protected abstract takeMessage(call: Call, attempt: Attempt, message: Buffer): boolean;

  /** Its first message is whole with the next bytes, after so many that have been held. */
  expect(bytes: number): void {
    this.tail.expect(bytes);
  }

  restart(call: Call): void {
    this.isResuming = true;
    this.hasSpoken = false;
    this.failure = '';
    this.engineCall.takeHeld();
    this.counter = new MessageCounter();
    this.tail.drop();
    this.foreign.restart(call.stream.pendingBytes);
  }

  refusalOf(head: HeaderBlock): string {
    return this.encoding.isSameIn(head) ? '' : OTHER_ENCODING;
  }

  forward(call: Call, attempt: Attempt, buffer: Buffer, start: number, end: number): void {
    const { engineCall, counter } = this;
    if (engineCall.isHolding) return engineCall.holdMore(buffer, start, end);
    // Messages `[from, to)` wait to be passed on together.
    let from = start;
    let to = start;
    for (let at = start; at < end; ) {
      at = counter.next(buffer, at, end);
      if (at < 0) break;
      this.hasSpoken = true;
      if (this.isParted) {
        this.pass(call, buffer, to, at);
        from = at;
        to = at;
        if (!this.endParted(call, attempt)) return engineCall.holdMore(buffer, at, end);
      } else if (!this.tail.isEmpty || this.changesMessages) {
        const message = this.wholeMessage(attempt, buffer, to, at);
        from = at;
        to = at;
        if (!this.takeMessage(call, attempt, message)) return engineCall.holdMore(buffer, at, end);
        // It could not be read, and is passed on with all that follows.
        if (call.resumable === null) break;
      } else if (this.readInPlace(call, buffer, to, at)) to = at;
      else break;
    }
    if (call.resumable === null) {
      if (end > from) sendShared(call, buffer, from, end);
      return;
    }
    if (to > from) this.pass(call, buffer, from, to);
    if (this.failure !== '') this.giveUp(call, attempt, buffer, to, end);
    else if (to < end) this.keep(call, attempt, buffer, to, end);
  }

  flush(call: Call, attempt: Attempt): void {
    const held = this.tail.take(attempt);
    if (held === null) return;
    for (let i = 0; i < held.count; i++) {
      const { buffer, start, end } = held.at(i);
      this.pass(call, buffer, start, end);
    }
  }

  own(bytes: number): number {
    return this.foreign.own(bytes);
  }

  /** Passes bytes on as they are. */
  protected pass(call: Call, buffer: Buffer, start: number, end: number): void {
    sendShared(call, buffer, start, end);
    this.tellResumed(call);
  }

  /** The caller has got something of the engine that goes on. */
  protected tellResumed(call: Call): void {
    if (!this.isResuming) return;
    this.isResuming = false;
    tellResumed(call);
  }

  /**
   * The engine has given the answer up, by a message that begins at `start`. One that repeats it has failed: it is not known by the id that an Abort
   * from elsewhere may have.
   */
  protected giveUp(call: Call, attempt: Attempt, buffer: Buffer, start: number, end: number): void {
    const { failure: finish } = this;
    if (this.isResuming) attempt.fail(givenUp(finish));
    else giveUp({ call, attempt, finish }, buffer, start, end);
  }

  /** A message begins that is too large to be held, or no message of gRPC: it is passed on as it comes. */
  protected passUnread(call: Call, attempt: Attempt, buffer: Buffer, start: number, end: number): void {
    this.flush(call, attempt);
    this.pass(call, buffer, start, end);
    if (this.counter.isBroken) return endResumption(call, this.foreign);
    this.isParted = true;
    this.spend(call);
  }

  /** A message has ended that was passed on as it came. False: the attempt is over, or its end is held. */
  private endParted(call: Call, attempt: Attempt): boolean {
    this.isParted = false;
    this.messages++;
    const { usage, isAborted } = this.engineCall;
    const { failure, hasEnd } = usage.answer;
    if (failure !== '' && !isAborted) {
      giveUp({ call, attempt, finish: failure }, EMPTY, 0, 0);
      return false;
    }
    if (hasEnd) this.recordEnd();
    return true;
  }

  private keep(call: Call, attempt: Attempt, buffer: Buffer, start: number, end: number): void {
    if (this.isParted) return this.pass(call, buffer, start, end);
    if (!this.counter.isBroken && this.tail.hold(attempt, buffer, start, end)) return;
    this.passUnread(call, attempt, buffer, start, end);
  }

  /** A message in one piece: what is held of it, and bytes `[start, end)`. */
  private wholeMessage(attempt: Attempt, buffer: Buffer, start: number, end: number): Buffer {
    const held = this.tail.take(attempt);
    const rest = buffer.subarray(start, end);
    return held === null ? rest : Buffer.concat([held.whole(), rest]);
  }
}
