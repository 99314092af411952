import { EndReader, endMessage } from '../../codec/engines/answer-end.js';
import { AnswerReader } from '../../codec/engines/answer-reader.js';
import type { ResumeLayout } from '../../codec/engines/engine-codec.js';
import { continuedRequest } from '../../codec/engines/generate-request.js';
import { ResponsePart, ResponseReader, splicedResponse } from '../../codec/engines/generate-response.js';
import { TokenIds } from '../../codec/engines/token-ids.js';
import { framed, PREFIX_BYTES } from '../../codec/grpc-message.js';
import type { HeaderBlock } from '../../http2/hpack/header-list.js';
import type { Attempt } from '../attempt.js';
import type { Call } from '../call.js';
import { disableReplay } from '../request-buffer.js';
import { EngineAnswer } from './engine-answer.js';
import { type EngineCall, givenUp } from './engine-call.js';
import { engineModelIn, OTHER_MODEL } from './engine-model.js';
import { OTHER_ENCODING } from './message-encoding.js';
import { endResumption, sendShared } from './resumed-call.js';

/** Bytes of token ids that are kept of one call, at most: 350,000 ids and more. */
const MOST_ID_BYTES = 1024 * 1024;

const UNREADABLE = 'sent what is no message of its engine';
const TOO_LARGE = 'sent a message that is larger than what is read of one';
/** In words that follow the name of an engine. */
export const OTHER_TOKENS = 'made another token where the first one of its own is known';
const NO_TOKEN = 'ended the answer before the token that the caller has last';

/**
 * The answer of a language-model engine that another engine may go on with (decision 194). Messages are passed on whole, and the ids of
 * their tokens are kept. When the engine dies, another gets the prompt and these ids, but for the last one, which it has to make again:
 * that shows that both agree, and leaves the engine to decide whether that token was the end.
 *
 * Where its route says so (decision 233), an answer goes on also where that cannot be exact, or where an engine made another token: behind
 * all tokens that the caller has.
 */
export class TokenStream extends EngineAnswer {
  isComplete = false;
  isSpent = false;
  isApproximate = false;
  private readonly reader: ResponseReader;
  private readonly layout: ResumeLayout;
  private readonly ends: AnswerReader;
  /** Null: nothing goes on in other tokens. */
  private readonly endReader: EndReader | null;
  /** Of all tokens that the caller has, but for the one that is still to be repeated. */
  private ids = new TokenIds();
  /** Bytes of them that the memory budget knows. */
  private accountedBytes = 0;
  /** The token that the present engine has to make first, as the caller has it; −1: none. */
  private expected = -1;
  /** The present engine goes on for another. */
  private isSpliced = false;
  /** What it makes may be other tokens than the one before would have made. */
  private isInexact = false;
  /** An engine has made another token in place of the last one that the caller has. */
  private isRefuted = false;
  /** Tokens that were left out of the last chunk. */
  private dropped = 0;
  /** As the engine said that made the first token, in its first message. */
  private promptTokens = 0;
  private cachedTokens = 0;
  private hasCounts = false;
  /** What the engine runs that began it: while it has no token, the one that has it now. */
  private begunBy: string;

  constructor(head: HeaderBlock, engineCall: EngineCall) {
    super(head, engineCall);
    this.layout = engineCall.codec.resume!;
    this.reader = new ResponseReader(this.layout);
    this.ends = new AnswerReader(engineCall.codec.answer);
    this.begunBy = engineModelIn(head);
    this.endReader = engineCall.ends === null ? null : new EndReader(this.layout);
  }

  /** Tokens that the caller has. */
  get tokens(): number {
    return this.ids.count + (this.expected < 0 ? 0 : 1);
  }

  /** An answer without a token is begun anew by any engine. */
  get model(): string | null {
    return this.tokens === 0 ? null : this.begunBy;
  }

  override restart(call: Call): void {
    super.restart(call);
    // To a caller that has no token yet it is as good as the first one.
    this.isSpliced = this.tokens > 0;
    if (!this.isSpliced) this.hasCounts = false;
    this.dropped = 0;
    const { ids, repeatsLast } = this;
    const { obstacle } = this.engineCall.request;
    if (!repeatsLast) this.keepLast();
    else if (this.expected < 0 && ids.count > 0) {
      const { lastStart, count } = ids;
      this.expected = ids.idAt(lastStart);
      ids.truncate(lastStart, count - 1);
    }
    this.isInexact = this.tokens > 0 && (!repeatsLast || obstacle !== '');
    this.isRefuted = false;
    this.engineCall.renew(call.context.random);
  }

  /** Whether the next engine is asked to make the last token again. */
  private get repeatsLast(): boolean {
    return this.engineCall.request.isGreedy && !this.isRefuted;
  }

  /** The token that was to be repeated is not. */
  private keepLast(): void {
    if (this.expected < 0) return;
    this.ids.addId(this.expected);
    this.expected = -1;
  }

  complete(call: Call): boolean {
    if (this.isComplete) return true;
    const { ids, layout, repeatsLast, promptTokens, cachedTokens } = this;
    // An engine that makes the last token again says itself whether it was the end.
    if (this.endReader === null || repeatsLast) return false;
    this.keepLast();
    if (ids.count === 0) return false;
    const { lastStart } = ids;
    const last = ids.idAt(lastStart);
    const isNamed = this.isNamedEnd(last);
    if (isNamed === undefined && ids.count < this.mostTokens) return false;
    const end = {
      isStop: isNamed !== undefined,
      isNamed: isNamed === true,
      last,
      promptTokens,
      cachedTokens,
    };
    const message = framed(endMessage(layout, { ...end, lastBytes: ids.view(lastStart) }));
    this.isComplete = true;
    this.messages++;
    this.foreign.add(message.length);
    sendShared(call, message, 0, message.length);
    return true;
  }

  private get mostTokens(): number {
    const { maxTokens } = this.engineCall.request;
    return maxTokens < 0 ? Number.POSITIVE_INFINITY : maxTokens;
  }

  /** Whether the token ended the answer, and is named; undefined: it is not known to have ended it. */
  private isNamedEnd(last: number): boolean | undefined {
    const { ends, request } = this.engineCall;
    const { ignoresEnd, stopTokens, minTokens } = request;
    if (this.tokens < minTokens) return undefined;
    const isNamed = ignoresEnd ? undefined : ends!.isNamed(this.begunBy, last);
    return isNamed ?? (stopTokens?.includes(last) === true ? true : undefined);
  }

  requestFor({ buffered }: Call): Buffer {
    const { codec, request, requestId } = this.engineCall;
    const { ids, expected } = this;
    const isDrawn = expected < 0 && ids.count > 0;
    return continuedRequest(codec, buffered!, request, {
      ...{ requestId, ids: ids.view(), count: ids.count, isDrawn },
    });
  }

  override refusalOf(head: HeaderBlock): string {
    if (this.tokens === 0) this.begunBy = engineModelIn(head);
    return engineModelIn(head) === this.begunBy ? super.refusalOf(head) : OTHER_MODEL;
  }

  /** One that goes on has to complete the answer. What the first one does is its own. */
  mayEnd(): boolean {
    return !this.isSpliced || this.isComplete;
  }

  protected get changesMessages(): boolean {
    return this.isSpliced;
  }

  /** Of the first engine: reads a message that is passed on as it is. False: it cannot be read, and the stream is not resumed any more. */
  protected readInPlace(call: Call, buffer: Buffer, start: number, end: number): boolean {
    const { reader, ids } = this;
    if (buffer[start] !== 0 || !reader.read(buffer, start + PREFIX_BYTES, end, ids)) {
      endResumption(call, this.foreign);
      return false;
    }
    if (reader.part === ResponsePart.complete && this.isGivenUp(buffer, start + PREFIX_BYTES, end))
      return false;
    this.messages++;
    if (!this.hasCounts) {
      this.hasCounts = true;
      this.promptTokens = reader.promptTokens;
      this.cachedTokens = reader.cachedTokens;
    }
    if (reader.part === ResponsePart.complete) {
      this.isComplete = true;
      if (this.endReader !== null) this.learnEnd(buffer, start + PREFIX_BYTES, end);
    }
    this.account(call);
    return true;
  }

  /** Whether the message that ends the answer says that the engine has given it up, though nobody asked for that. */
  private isGivenUp(buffer: Buffer, start: number, end: number): boolean {
    this.ends.read(buffer, start, end);
    this.failure = this.engineCall.isAborted ? '' : this.ends.failure;
    return this.failure !== '';
  }

  /**
   * The answer has ended: by which token, unless its request had ends of its own. Of stop strings the response alone does not say it: a front may leave out
   * which one matched, and the last token would be any.
   */
  private learnEnd(buffer: Buffer, start: number, end: number): void {
    const { endReader, ids, layout, engineCall } = this;
    const { stopTokens, hasStopText, ignoresEnd } = engineCall.request;
    if (ids.count === 0 || stopTokens?.length !== 0 || hasStopText || ignoresEnd) return;
    endReader!.read(buffer, start, end);
    const { finish, isNamed, isText } = endReader!;
    if (finish === layout.ends.stop && !isText)
      engineCall.ends!.learn(this.begunBy, ids.idAt(ids.lastStart), isNamed);
  }

  protected takeMessage(call: Call, attempt: Attempt, message: Buffer): boolean {
    if (!this.isSpliced) {
      this.readInPlace(call, message, 0, message.length);
      // Another engine may have the call when `giveUp` returns.
      const isPassed = this.failure === '';
      if (isPassed) this.pass(call, message, 0, message.length);
      else this.giveUp(call, attempt, message, 0, message.length);
      return isPassed;
    }
    const refusal = this.splice(call, attempt, message);
    if (refusal === '') return true;
    if (this.failure !== '') attempt.fail(refusal);
    else call.handler.onNotResumed?.(call, attempt, refusal);
    return false;
  }

  /** Why the engine does not go on, in words that follow its name; empty: it does. */
  private splice(call: Call, attempt: Attempt, message: Buffer): string {
    const { reader, ids, promptTokens, cachedTokens } = this;
    if (message[0] !== 0) return OTHER_ENCODING;
    const { length } = ids;
    if (!reader.read(message, PREFIX_BYTES, message.length, ids)) return UNREADABLE;
    let out = message;
    if (reader.part === ResponsePart.chunk) {
      const repeats = this.expected >= 0 && reader.count > 0;
      if (repeats && ids.idAt(length) !== this.expected) {
        ids.truncate(length, ids.count - reader.count);
        this.isRefuted = true;
        return OTHER_TOKENS;
      }
      if (repeats) this.expected = -1;
      this.dropped = repeats ? 1 : 0;
      if (repeats && reader.count === 1) {
        this.dropped = 0;
        attempt.credit(message.length);
        return '';
      }
    } else if (reader.part === ResponsePart.complete) {
      if (this.isGivenUp(message, PREFIX_BYTES, message.length)) return givenUp(this.failure);
      if (this.expected >= 0) return NO_TOKEN;
      this.isComplete = true;
      if (this.endReader !== null) this.learnEnd(message, PREFIX_BYTES, message.length);
    }
    if (reader.part !== ResponsePart.other) {
      const splice = { drop: this.dropped, promptTokens, cachedTokens };
      out = framed(splicedResponse(this.layout, message.subarray(PREFIX_BYTES), splice));
    }
    this.messages++;
    if (this.isInexact) this.isApproximate = true;
    this.passSpliced(call, attempt, out, message.length);
    this.account(call);
    return '';
  }

  /** The caller gets `out` for `taken` bytes of the engine: it is credited these, no more and no less, as its caller reads. */
  private passSpliced(call: Call, attempt: Attempt, out: Buffer, taken: number): void {
    if (out.length > taken) this.foreign.add(out.length - taken);
    else if (out.length < taken) attempt.credit(taken - out.length);
    sendShared(call, out, 0, out.length);
    this.tellResumed(call);
  }

  protected override passUnread(
    call: Call,
    attempt: Attempt,
    buffer: Buffer,
    start: number,
    end: number,
  ): void {
    if (!this.isSpliced) return super.passUnread(call, attempt, buffer, start, end);
    // One that goes on is not read: it would be passed on with other counts, or with a token twice.
    call.handler.onNotResumed?.(call, attempt, this.counter.isBroken ? UNREADABLE : TOO_LARGE);
  }

  protected spend(call: Call): void {
    this.isSpent = true;
    this.ids = new TokenIds();
    disableReplay(call);
  }

  protected recordEnd(): void {
    this.isComplete = true;
  }

  /** The memory budget learns of the ids; where there is no room, the stream is not resumed any more. */
  private account(call: Call): void {
    if (this.isSpent) return this.ids.truncate(0, 0);
    const more = this.ids.capacity - this.accountedBytes;
    if (more === 0) return;
    // It is still to be read, and cannot be resumed again.
    if (this.ids.length > MOST_ID_BYTES || !call.context.memory.reserve(more)) return this.spend(call);
    this.accountedBytes += more;
    call.bufferCost += more;
  }
}
