import type { EngineCodec } from '../../codec/engines/engine-codec.js';
import { type GenerateRequest, NOT_KEPT, readGenerateRequest } from '../../codec/engines/generate-request.js';
import { readRequestTokens } from '../../codec/engines/request-tokens.js';
import type { ByteCount } from '../../http2/stream.js';
import type { EngineStats } from '../../telemetry/engine-stats.js';
import type { ChunkList } from '../../transport/chunk-list.js';
import type { EndTokens } from './end-tokens.js';
import { TokenUsage } from './token-usage.js';

/** Calls by the ids of their clients. */
export interface RequestTable {
  remove(id: string, call: object): void;
}

/** What of the request of `Generate` is read, and how far its answer has come. */
export class EngineCall {
  readonly request: GenerateRequest;
  /** The id that its client gave it, also where the rest of the request is not read; empty: none that can be told. */
  clientId: string;
  /** What the present engine knows it by; empty: nothing that can be told. */
  requestId: string;
  /** Where it is found by the id of its client; null: nowhere. */
  table: RequestTable | null = null;
  /** Blocks of its prompt (core/balancing/prompt-blocks.ts); null: they have not been read, as nothing asks for them. */
  prompt: Uint32Array | null = null;
  /** Engines that went on with it. */
  continuations = 0;
  /** Its client has asked for its end (Abort): no other engine goes on with it. */
  isAborted = false;
  /** What the engine has sent from the message on by which it gave the answer up; null: it has not, or that is judged. */
  private heldEnd: Buffer[] | null = null;
  /** Bytes of that, which the memory budget counts. */
  heldBytes = 0;
  private waiting: ByteCount | null = null;
  /** Since when it is held, monotonic ms, and what it says against the engine. */
  heldSinceMs = 0;
  heldWhy = '';
  /** Tokens that the client has got. */
  readonly usage: TokenUsage;
  /** Sequences that the answer has, each with an end of its own; 0: not known. */
  readonly sequences: number;

  /**
   * @param body all of the request; null: it is empty, or not kept
   * @param ends of its upstream, where its route lets an answer go on with other tokens; null: it does not
   */
  constructor(
    readonly codec: EngineCodec,
    body: ChunkList | null,
    stats: EngineStats,
    readonly ends: EndTokens | null = null,
  ) {
    this.usage = new TokenUsage(codec);
    this.usage.stats = stats;
    const tokens = body === null ? null : readRequestTokens(codec, body);
    this.usage.maxTokens = tokens?.maxTokens ?? -1;
    this.sequences = tokens?.sequences ?? 0;
    this.request = body === null ? NOT_KEPT : readGenerateRequest(codec, body);
    this.clientId = this.request.requestId;
    this.requestId = this.clientId;
  }

  /** Why no other engine may go on with its answer, in words; empty: one may. */
  get obstacle(): string {
    return this.ends === null ? this.request.obstacle : this.request.refusal;
  }

  /** Its engine has it under an id that is known here: no Abort of an unknown id ends it. */
  get hasKnownId(): boolean {
    return this.table !== null || this.continuations > 0;
  }

  /** The end of the answer is held. */
  get isHolding(): boolean {
    return this.heldEnd !== null;
  }

  /** The end of the answer is held from here on. @param waiting the count of the memory budget @param why what it says against the engine */
  beginHold(waiting: ByteCount, nowMs: number, why: string): void {
    this.heldEnd = [];
    this.waiting = waiting;
    this.heldSinceMs = nowMs;
    this.heldWhy = why;
  }

  /** These bytes belong to that end; without one, they are dropped. */
  holdMore(buffer: Buffer, start: number, end: number): void {
    if (this.heldEnd === null || end <= start) return;
    this.heldEnd.push(Buffer.from(buffer.subarray(start, end)));
    this.heldBytes += end - start;
    this.waiting!.bytes += end - start;
  }

  /** Hands over what is held, which counts no more. */
  takeHeld(): readonly Buffer[] {
    const held = this.heldEnd ?? [];
    this.heldEnd = null;
    if (this.heldBytes > 0) this.waiting!.bytes -= this.heldBytes;
    this.heldBytes = 0;
    return held;
  }

  /**
   * It goes to another engine, under an id of its own there: the engine before may have it still. A part of it is drawn, as another sidecar may
   * bring a request of the same id to that engine.
   */
  renew(random: () => number): void {
    this.continuations++;
    const drawn = Math.floor(random() * 2 ** 48).toString(36);
    this.requestId = `${this.clientId || 'outrider'}~${this.continuations}-${drawn}`;
  }
}

/** Why an attempt has failed whose engine gave the answer up, in words. @param finish its `finish_reason` */
export function givenUp(finish: string): string {
  return `it gave the answer up (finish_reason "${finish}")`;
}
