import type { HeaderBlock } from '../http2/hpack/header-list.js';
import type { OwnedBuffer } from '../http2/owned-buffer.js';
import type { Stream } from '../http2/stream.js';
import type { Attempt } from '../relay/attempt.js';
import type { CallHandler } from '../relay/call.js';
import type { DataPlaneContext } from '../transport/context.js';
import type { Session } from '../transport/session.js';
import { InboundCall } from './call.js';
import { CallTokens, type TokenCounting } from './call-tokens.js';
import type { Caller } from './caller.js';

/** A call of `Generate` whose tokens count. Its request is collected before it is queued, and its answer is read as it passes. */
export class CountedCall extends InboundCall {
  constructor(
    context: DataPlaneContext,
    handler: CallHandler,
    session: Session,
    stream: Stream,
    block: HeaderBlock,
    ended: boolean,
    counting: TokenCounting,
  ) {
    super(context, handler, session, stream, block, ended);
    this.tokens = new CallTokens(counting, (session.identity as Caller | null)?.service ?? '');
  }

  override forwardResponse(buffer: OwnedBuffer, start: number, end: number): void {
    this.tokens!.take(this, buffer, start, end);
    super.forwardResponse(buffer, start, end);
  }

  /** Of an answer that is held, where the route says that the method is unary. */
  override commitResponse(attempt: Attempt): void {
    this.tokens!.takeHeld(this, attempt.heldResponse);
    super.commitResponse(attempt);
  }

  override onAttemptEnd(attempt: Attempt): void {
    if (attempt.trailers !== null) this.tokens!.takeHeld(this, attempt.heldResponse);
    super.onAttemptEnd(attempt);
  }
}
