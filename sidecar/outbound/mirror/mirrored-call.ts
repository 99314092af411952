/**
 * A call that is copied, and its copy. The request is kept beside the call, within the budget of memory; when the call is
 * over, its copy is made as a call of its own to the other upstream, whose caller is nobody: what comes back is kept until
 * it has been compared. The call itself never waits for any of it.
 */

import { MODEL_INFER } from '../../codec/inference.js';
import type { MirrorConfig } from '../../config/model.js';
import { Status, statusName } from '../../core/outcome/status.js';
import type { HeaderBlock } from '../../http2/hpack/header-list.js';
import type { Attempt } from '../../relay/attempt.js';
import type { ChunkList } from '../../transport/chunk-list.js';
import type { MemoryBudget } from '../../transport/memory-budget.js';
import type { CallObserver, OutboundCall } from '../call.js';
import { compareResponses } from './response-diff.js';
import type { MirrorScheduler, MirrorTask } from './scheduler.js';
import { type MirrorTarget, makeShadow, ShadowObserver, sendShadow } from './shadow-call.js';
import type { MirrorStats } from './stats.js';

/** Copies leave at least this share of the budget to calls. */
const SHARE_FOR_CALLS = 0.5;
const OVERHEAD_BYTES = 512;
const NOTHING = Buffer.alloc(0);

/** The call whose copy is to be made. */
export class MirroredCall implements CallObserver, MirrorTask {
  /** All of the request; null: it is empty, or not held. */
  private request: ChunkList | null = null;
  private isHeld = false;
  private heldBytes = 0;
  /** Of the call; null: it is empty, or not whole. */
  private answer: ChunkList | null = null;
  private answerBytes = 0;
  private isWhole = false;
  private status: number = Status.UNKNOWN;
  private completeMs = 0;
  private tookMs = 0;
  private isShort = false;
  private isDegraded = false;

  constructor(
    private readonly config: MirrorConfig,
    private readonly counts: MirrorStats,
    private readonly scheduler: MirrorScheduler,
    private readonly place: MirrorTarget,
    private readonly block: HeaderBlock,
  ) {}

  onRequest(call: OutboundCall): void {
    if (this.isHeld || !call.requestEnded || !call.isReplayable) return;
    this.completeMs = this.scheduler.context.nowMs;
    if (!this.hold(costOf(call.buffered))) {
      this.isShort = true;
      return;
    }
    this.isHeld = true;
    this.request = call.buffered;
  }

  onAttemptEnd(call: OutboundCall, attempt: Attempt): void {
    this.isWhole = !call.isCommitted && attempt.trailers !== null;
    this.answer = this.isWhole ? attempt.heldResponse : null;
  }

  onFinish(call: OutboundCall, status: number): void {
    const { counts } = this;
    const isCancelled = status === Status.CANCELLED && call.reason === '' && !this.isWhole;
    if (!this.isHeld || isCancelled) {
      this.letGo();
      return counts.skip(isCancelled ? 'cancelled' : this.isShort ? 'memory' : 'not-held');
    }
    this.status = status;
    this.isDegraded = call.degraded !== '';
    this.holdAnswer();
    this.tookMs = this.scheduler.context.nowMs - this.completeMs;
    this.scheduler.send(this);
  }

  /** Sends the copy. */
  run(): void {
    const { counts, place, request } = this;
    if (counts.inFlight >= this.config.maxInFlight) {
      this.letGo();
      this.letAnswerGo();
      return counts.skip('busy');
    }
    counts.sent++;
    counts.inFlight++;
    counts.tally.started++;
    counts.tally.inFlight++;
    const copy = makeShadow(this.scheduler.context, place, this.block, counts.tally, request === null);
    copy.observer = new ShadowObserver((...end) => this.compare(copy, ...end));
    // The copy counts what it keeps itself.
    this.letGo();
    for (let i = 0; request !== null && i < request.count; i++) {
      const { buffer, start, end } = request.at(i);
      copy.onData(copy.stream, buffer, start, end, i === request.count - 1);
    }
    sendShadow(copy, place);
  }

  drop(): void {
    this.letGo();
    this.letAnswerGo();
    this.counts.skip('cancelled');
  }

  private hold(bytes: number): boolean {
    if (!isRoomIn(this.scheduler.context.memory, bytes)) return false;
    this.heldBytes = bytes;
    return true;
  }

  private letGo(): void {
    if (this.heldBytes > 0) this.scheduler.context.memory.release(this.heldBytes);
    this.heldBytes = 0;
    this.request = null;
  }

  /** Until it is compared. What there is no room for is not compared. */
  private holdAnswer(): void {
    if (!this.isWhole || !this.isCompared) return;
    const bytes = costOf(this.answer);
    if (isRoomIn(this.scheduler.context.memory, bytes)) {
      this.answerBytes = bytes;
      return;
    }
    this.isWhole = false;
    this.isShort = true;
    this.answer = null;
  }

  private letAnswerGo(): void {
    if (this.answerBytes > 0) this.scheduler.context.memory.release(this.answerBytes);
    this.answerBytes = 0;
  }

  /** Whether its answer is one that can be compared. */
  private get isCompared(): boolean {
    return this.status === Status.OK && this.place.path === MODEL_INFER && !this.isDegraded;
  }

  /** The copy is over. `answer`: as of the call; `isWhole`: it is all there. */
  private compare(copy: OutboundCall, status: number, answer: ChunkList | null, isWhole: boolean): void {
    const { counts, scheduler } = this;
    const now = scheduler.context.nowMs;
    this.letAnswerGo();
    counts.inFlight--;
    counts.took(now - copy.startMs - this.tookMs);
    if (this.isDegraded) return counts.skipComparison('degraded');
    if (status !== this.status) {
      const reason = copy.reason === '' ? '' : ` (${copy.reason})`;
      const why = `the copy ended with ${statusName(status)}${reason}, the call with ${statusName(this.status)}`;
      return counts.disagree('status', why, now);
    }
    if (!this.isCompared) return counts.agree();
    if (!this.isWhole || !isWhole) return counts.skipComparison(this.isShort ? 'memory' : 'too-large');
    const pair = new ResponsePair(this.answer, answer, this.config.tolerance, counts, scheduler);
    if (!isRoomIn(scheduler.context.memory, pair.bytes)) return counts.skipComparison('memory');
    if (!scheduler.compare(pair)) pair.drop();
  }
}

/** Two answers that are to be compared. */
class ResponsePair implements MirrorTask {
  readonly bytes: number;

  constructor(
    private readonly call: ChunkList | null,
    private readonly copy: ChunkList | null,
    private readonly tolerance: number,
    private readonly counts: MirrorStats,
    private readonly desk: MirrorScheduler,
  ) {
    this.bytes = costOf(call) + costOf(copy);
  }

  run(): void {
    const { counts, desk } = this;
    desk.context.memory.release(this.bytes);
    const found = compareResponses(
      this.call?.whole() ?? NOTHING,
      this.copy?.whole() ?? NOTHING,
      this.tolerance,
    );
    if (found.kind === 'not-compared') return counts.skipComparison(found.why);
    if (found.argmax !== undefined) counts.argmax[found.argmax ? 'same' : 'other']++;
    if (found.kind === 'same') counts.agree();
    else counts.disagree(found.about, found.why, desk.context.nowMs);
  }

  drop(): void {
    this.desk.context.memory.release(this.bytes);
    this.counts.skipComparison('busy');
  }
}

/** Takes `bytes` of what copies may have of the budget. */
function isRoomIn(memory: MemoryBudget, bytes: number): boolean {
  return memory.held + bytes <= memory.limit * (1 - SHARE_FOR_CALLS) && memory.reserve(bytes);
}

/** What holding them costs: slices pin the reads they came from, or are copies. */
function costOf(pieces: ChunkList | null): number {
  let bytes = OVERHEAD_BYTES;
  for (let i = 0; pieces !== null && i < pieces.count; i++) bytes += pieces.at(i).buffer.buffer.byteLength;
  return bytes;
}
