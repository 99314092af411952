import type { EngineCodec } from '../codec/engines/engine-codec.js';
import { readRequestTokens } from '../codec/engines/request-tokens.js';
import type { TokenReservation } from '../core/admission/token-budget.js';
import { type CallEnding, costOf, type TokenCost, usedTokens } from '../core/admission/token-cost.js';
import { AttemptEnd, isNeverProcessed } from '../core/outcome/outcome.js';
import { Status } from '../core/outcome/status.js';
import type { Attempt } from '../relay/attempt.js';
import type { Call } from '../relay/call.js';
import { TokenUsage } from '../relay/stream/token-usage.js';
import type { ChunkList } from '../transport/chunk-list.js';

/** How calls of an engine are counted in tokens. */
export interface TokenCounting {
  readonly codec: EngineCodec;
  /** The service that is called. */
  readonly service: string;
  /** What a request counts as that does not say `max_tokens`. */
  readonly defaultMaxTokens: number;
}

/** The tokens of one call: what it may use, what is set aside for it, and what of its answer has come. */
export class CallTokens {
  /** Null: its request is not all here. */
  cost: TokenCost | null = null;
  /** Null: no limit is about it, or it was refused. */
  reservation: TokenReservation | null = null;
  readonly usage: TokenUsage;

  constructor(
    private readonly counting: TokenCounting,
    /** Empty: it has no identity. */
    private readonly caller: string,
  ) {
    this.usage = new TokenUsage(counting.codec);
  }

  /** What its request asks for. It is here, or is longer than what is kept of one. */
  read({ buffered, requestBytes, requestEnded, context }: Call): TokenCost {
    if (this.cost !== null) return this.cost;
    const { usage, caller } = this;
    const { codec, defaultMaxTokens, service } = this.counting;
    usage.stats = context.stats.engines.of({ direction: 'inbound', service, caller, engine: codec.name });
    const asked = requestEnded && buffered !== null ? readRequestTokens(codec, buffered) : null;
    usage.maxTokens = asked?.maxTokens ?? -1;
    this.cost = costOf(asked, requestBytes, defaultMaxTokens);
    return this.cost;
  }

  /** More of its answer. */
  take({ requestBytes, context, startMs }: Call, buffer: Buffer, start: number, end: number): void {
    const { usage, cost, reservation } = this;
    if (cost === null) return;
    const { answer } = usage;
    usage.count(buffer, start, end, context.nowMs - startMs, context.nowMs);
    if (reservation === null || cost.output >= answer.output) return;
    reservation.use(usedTokens(cost, requestBytes, reservation.reserved, answer, 'left'), context.nowMs);
  }

  /** The same for an answer that was held back. */
  takeHeld(call: Call, held: ChunkList | null): void {
    for (let i = 0; held !== null && i < held.count; i++) {
      const { buffer, start, end } = held.at(i);
      this.take(call, buffer, start, end);
    }
  }

  /** The call is over: what it did not use goes back. */
  settle({ attempt, requestBytes, context }: Call): void {
    const { usage, cost, reservation } = this;
    usage.finish();
    if (reservation === null || cost === null) return;
    const { answer } = usage;
    const used = usedTokens(cost, requestBytes, reservation.reserved, answer, endingOf(attempt));
    reservation.settle(used, context.nowMs);
  }
}

function endingOf(attempt: Attempt | null): CallEnding {
  if (attempt === null || isNeverProcessed(attempt.ended as AttemptEnd)) return 'unsent';
  const { ended, status, sentBytes, head } = attempt;
  if (sentBytes === 0 && head === null) return 'unsent';
  if (ended === AttemptEnd.cancelled || ended === AttemptEnd.deadline) return 'left';
  // The engine may see the end of its caller's patience before this sidecar does.
  return status === Status.CANCELLED || status === Status.DEADLINE_EXCEEDED ? 'left' : 'failed';
}
