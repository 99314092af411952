import { AnswerReader } from '../../codec/engines/answer-reader.js';
import { PREFIX_BYTES } from '../../codec/grpc-message.js';
import type { HeaderBlock } from '../../http2/hpack/header-list.js';
import type { Attempt } from '../attempt.js';
import type { Call } from '../call.js';
import { disableReplay } from '../request-buffer.js';
import { EngineAnswer } from './engine-answer.js';
import type { EngineCall } from './engine-call.js';

/**
 * The answer of a language-model engine that no other engine can go on with once it has a token, or ends a sequence. Before that, another engine
 * gets the same request. Once all of its sequences have ended, it is whole, whatever becomes of the engine. An end under the status OK by which the
 * engine gives the answer up is kept back, and is a failure of the engine. Messages are passed on whole and as they are.
 */
export class AnswerWatch extends EngineAnswer {
  readonly isApproximate = false;
  /** Another engine begins it anew. */
  readonly model = null;
  private readonly reader: AnswerReader;
  /** Sequences whose end the caller has. */
  private ended = 0;

  /** @param isSpent the request is not kept */
  constructor(
    head: HeaderBlock,
    engineCall: EngineCall,
    public isSpent: boolean,
  ) {
    super(head, engineCall);
    this.reader = new AnswerReader(engineCall.codec.answer);
  }

  requestFor(): null {
    return null;
  }

  get isComplete(): boolean {
    return this.ended > 0 && this.ended === this.engineCall.sequences;
  }

  complete(): boolean {
    return this.isComplete;
  }

  mayEnd(): boolean {
    return !this.isResuming;
  }

  protected get changesMessages(): boolean {
    return false;
  }

  /** A compressed message says nothing. */
  protected readInPlace(call: Call, buffer: Buffer, start: number, end: number): boolean {
    const { reader, engineCall } = this;
    const isRead = buffer[start] === 0;
    if (isRead) reader.read(buffer, start + PREFIX_BYTES, end);
    if (isRead && reader.failure !== '' && !engineCall.isAborted) {
      this.failure = reader.failure;
      return false;
    }
    this.messages++;
    if (isRead && reader.hasEnd) this.recordEnd();
    if (!this.isSpent && (!isRead || reader.hasContent)) this.spend(call);
    return true;
  }

  protected spend(call: Call): void {
    this.isSpent = true;
    disableReplay(call);
  }

  protected recordEnd(): void {
    this.ended++;
  }

  protected takeMessage(call: Call, attempt: Attempt, message: Buffer): boolean {
    const { length } = message;
    const isPassed = this.readInPlace(call, message, 0, length);
    if (isPassed) this.pass(call, message, 0, length);
    else this.giveUp(call, attempt, message, 0, length);
    return isPassed;
  }
}
