import type { EngineCodec } from '../codec/engines/engine-codec.js';
import { readRequestTokens } from '../codec/engines/request-tokens.js';
import type { TokenReservation } from '../core/admission/token-budget.js';
import {
  type CallEnding,
  costOf,
  isForNothing,
  type TokenCost,
  usedTokens,
} from '../core/admission/token-cost.js';
import { AttemptEnd, isNeverProcessed } from '../core/outcome/outcome.js';
import { Status } from '../core/outcome/status.js';
import { GIVING_UP_MS } from '../core/stats/given-up-answers.js';
import type { Attempt } from '../relay/attempt.js';
import type { Call } from '../relay/call.js';
import { FAILED } from '../relay/stream/give-up.js';
import { TokenUsage } from '../relay/stream/token-usage.js';
import type { ChunkList } from '../transport/chunk-list.js';

/** How calls of an engine are counted in tokens. */
export interface TokenCounting {
  readonly codec: EngineCodec;
  /** The service that is called. */
  readonly service: string;
  /** What a request counts as that does not say `max_tokens`. */
  readonly defaultMaxTokens: number;
  readonly facts: EngineFacts;
}

/** What is known of the engine. */
export class EngineFacts {
  /** Tokens of prompt and answer together, at most; Infinity: it has not said it. */
  contextTokens = Number.POSITIVE_INFINITY;
  /** When an Abort last went to it. */
  abortMs = Number.NEGATIVE_INFINITY;

  /** An answer that ends by `abort` now was given up for its caller. */
  isAborting(nowMs: number): boolean {
    return nowMs - this.abortMs <= GIVING_UP_MS;
  }
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
    const { codec, defaultMaxTokens, service, facts } = this.counting;
    usage.stats = context.stats.engines.of({ direction: 'inbound', service, caller, engine: codec.name });
    const asked = requestEnded && buffered !== null ? readRequestTokens(codec, buffered) : null;
    usage.maxTokens = asked?.maxTokens ?? -1;
    this.cost = costOf(asked, requestBytes, defaultMaxTokens, facts.contextTokens);
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

  /** The call is over: what it did not use goes back. One that the engine failed before its first token counts nowhere. */
  settle({ attempt, requestBytes, context }: Call): void {
    const { usage, cost, reservation, counting } = this;
    const { answer } = usage;
    const ending = endingOf(attempt, answer.failure, counting.facts.isAborting(context.nowMs));
    if (!isForNothing(answer, ending)) usage.finish();
    if (reservation === null || cost === null) return;
    reservation.settle(usedTokens(cost, requestBytes, reservation.reserved, answer, ending), context.nowMs);
  }
}

/**
 * @param failure the word by which the engine has given the answer up; empty: it has not
 * @param isAborting an Abort went to the engine just now
 */
function endingOf(attempt: Attempt | null, failure: string, isAborting: boolean): CallEnding {
  if (attempt === null || isNeverProcessed(attempt.ended as AttemptEnd)) return 'unsent';
  const { ended, status, sentBytes, head } = attempt;
  if (sentBytes === 0 && head === null) return 'unsent';
  if (ended === AttemptEnd.cancelled || ended === AttemptEnd.deadline) return 'left';
  if (status === Status.OK && failure === '') return 'answered';
  if (status === Status.OK && failure !== FAILED && isAborting) return 'left';
  // The engine may see the end of its caller's patience before this sidecar does.
  return status === Status.CANCELLED || status === Status.DEADLINE_EXCEEDED ? 'left' : 'failed';
}
