import { MODEL_INFER } from '../../codec/inference.js';
import type { MirrorConfig } from '../../config/model.js';
import { Status, statusName } from '../../core/outcome/status.js';
import type { HeaderBlock } from '../../http2/hpack/header-list.js';
import type { Attempt } from '../../relay/attempt.js';
import type { ChunkList } from '../../transport/chunk-list.js';
import { ResponseTee } from '../../transport/response-tee.js';
import type { CallObserver, OutboundCall } from '../call.js';
import { compareResponses } from './response-diff.js';
import type { MirrorScheduler, MirrorTask } from './scheduler.js';
import { type MirrorTarget, makeShadow, ShadowObserver, sendShadow } from './shadow-call.js';
import type { MirrorStats, SkipReason } from './stats.js';

const OVERHEAD_BYTES = 512;

/**
 * A call that is mirrored. Its request is held beside the call, within the memory budget; when the call is over, a copy is
 * made as a call of its own to the other upstream, and both responses are held until they are compared. The call itself
 * never waits for any of it.
 */
export class MirroredCall implements CallObserver, MirrorTask {
  /** All of the request; null: it is empty, or not held. */
  private request: ChunkList | null = null;
  private isHeld = false;
  private heldBytes = 0;
  /** The response of the call; null: it is empty, or not whole. */
  private answer: ChunkList | null = null;
  private answerBytes = 0;
  private isWhole = false;
  /** gRPC status of the last attempt that is over; −1: there is none. */
  private answered = -1;
  private status: number = Status.UNKNOWN;
  private completeMs = 0;
  private tookMs = 0;
  private isShort = false;
  private isDegraded = false;

  constructor(
    private readonly config: MirrorConfig,
    private readonly stats: MirrorStats,
    private readonly scheduler: MirrorScheduler,
    private readonly target: MirrorTarget,
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

  /** Its answer is kept as it passes by, if it can be compared. */
  onLongResponse(call: OutboundCall): void {
    if (this.isHeld && this.target.path === MODEL_INFER)
      call.tee ??= new ResponseTee(this.scheduler.context.memory, call.plan.sampleBytes);
  }

  onAttemptEnd(call: OutboundCall, attempt: Attempt): void {
    const { tee } = call;
    const { trailers, heldResponse } = attempt;
    this.answer = call.isCommitted ? (tee?.response ?? null) : heldResponse;
    this.isWhole = trailers !== null && (!call.isCommitted || this.answer !== null);
    this.answered = attempt.status;
    this.isShort ||= tee?.missing === 'memory';
  }

  onFinish(call: OutboundCall, status: number): void {
    const { stats } = this;
    // Of the caller, unless the model itself said so: an earlier attempt may have failed with another status.
    const isSaid = this.isWhole && this.answered === status;
    const isCancelled = status === Status.CANCELLED && call.reason === '' && !isSaid;
    const notHeld = this.isHeld ? undefined : this.isShort ? 'memory' : whyNotHeld(call);
    const why = isCancelled ? 'cancelled' : (whyNotCopied(call, status) ?? notHeld);
    if (why !== undefined) {
      this.releaseRequest();
      return stats.skip(why);
    }
    this.status = status;
    this.isDegraded = call.degraded !== '';
    this.holdAnswer();
    this.tookMs = this.scheduler.context.nowMs - this.completeMs;
    this.scheduler.send(this);
  }

  /** Sends the copy. */
  run(): void {
    const { stats, target, request } = this;
    if (stats.inFlight >= this.config.maxInFlight) {
      this.releaseRequest();
      this.releaseAnswer();
      return stats.skip('busy');
    }
    stats.sent++;
    stats.inFlight++;
    stats.calls.begin();
    const copy = makeShadow(this.scheduler.context, target, this.block, stats.calls, request === null);
    copy.observer = new ShadowObserver((...end) => this.compare(copy, ...end));
    // The copy reserves memory for its request itself.
    this.releaseRequest();
    // What the call has sent may still be in the queue of its socket.
    if (request !== null) copy.takeRequest(request);
    sendShadow(copy, target);
  }

  drop(): void {
    this.releaseRequest();
    this.releaseAnswer();
    this.stats.skip('cancelled');
  }

  private hold(bytes: number): boolean {
    if (!this.scheduler.context.memory.reserveAside(bytes)) return false;
    this.heldBytes = bytes;
    return true;
  }

  private releaseRequest(): void {
    if (this.heldBytes > 0) this.scheduler.context.memory.release(this.heldBytes);
    this.heldBytes = 0;
    this.request = null;
  }

  /** Holds the response until it is compared; one that there is no room for is not compared. */
  private holdAnswer(): void {
    if (!this.isWhole || !this.isCompared) return;
    const bytes = costOf(this.answer);
    if (this.scheduler.context.memory.reserveAside(bytes)) {
      this.answerBytes = bytes;
      return;
    }
    this.isWhole = false;
    this.isShort = true;
    this.answer = null;
  }

  private releaseAnswer(): void {
    if (this.answerBytes > 0) this.scheduler.context.memory.release(this.answerBytes);
    this.answerBytes = 0;
  }

  /** Whether the response is a ModelInfer message, which can be compared. */
  private get isCompared(): boolean {
    return this.status === Status.OK && this.target.path === MODEL_INFER && !this.isDegraded;
  }

  /** The copy is over. `answer`: its response, complete where `isWhole`. */
  private compare(copy: OutboundCall, status: number, answer: ChunkList | null, isWhole: boolean): void {
    const { stats, scheduler } = this;
    const now = scheduler.context.nowMs;
    this.releaseAnswer();
    stats.inFlight--;
    stats.took(now - copy.startMs - this.tookMs);
    if (this.isDegraded) return stats.skipComparison('degraded');
    if (status !== this.status) {
      const reason = copy.reason === '' ? '' : ` (${copy.reason})`;
      const why = `the copy ended with ${statusName(status)}${reason}, the call with ${statusName(this.status)}`;
      return stats.disagree('status', why, now);
    }
    if (!this.isCompared) return stats.agree();
    if (!this.isWhole || !isWhole) return stats.skipComparison(this.isShort ? 'memory' : 'too-large');
    const pair = new ResponsePair(this.answer, answer, this.config.tolerance, stats, scheduler);
    if (!scheduler.context.memory.reserveAside(pair.bytes)) return stats.skipComparison('memory');
    if (!scheduler.compare(pair)) pair.drop();
  }
}

/** Two responses that wait to be compared. */
class ResponsePair implements MirrorTask {
  readonly bytes: number;

  constructor(
    private readonly call: ChunkList | null,
    private readonly copy: ChunkList | null,
    private readonly tolerance: number,
    private readonly stats: MirrorStats,
    private readonly scheduler: MirrorScheduler,
  ) {
    this.bytes = costOf(call) + costOf(copy);
  }

  run(): void {
    const { stats, scheduler } = this;
    scheduler.context.memory.release(this.bytes);
    const seed = Math.floor(scheduler.context.random() * 2 ** 31);
    const found = compareResponses(this.call, this.copy, { tolerance: this.tolerance, seed });
    if (found.kind === 'not-compared') return stats.skipComparison(found.why);
    if (found.argmax !== undefined) stats.argmax[found.argmax ? 'same' : 'other']++;
    if (found.kind === 'same') stats.agree();
    else stats.disagree(found.about, found.why, scheduler.context.nowMs);
  }

  drop(): void {
    this.scheduler.context.memory.release(this.bytes);
    this.stats.skipComparison('busy');
  }
}

/**
 * What ended a model process may end the next one, and usually runs the same server there. Where no endpoint of its upstream worked on the
 * call, its end says nothing about the version, and the copy would only add to the load.
 */
function whyNotCopied(call: OutboundCall, status: number): SkipReason | undefined {
  // A fallback may have answered in place of the service: that proves nothing about the request.
  const isAnswered = status === Status.OK && call.degraded === '';
  const hasLostModel = call.crash?.hasLostModel === true && !isAnswered;
  if (call.hasCrashed || hasLostModel) return 'crashed';
  return isAnswered || call.mayBeProcessedAtHome ? undefined : 'refused';
}

function whyNotHeld(call: OutboundCall): SkipReason {
  return call.requestBytes > call.plan.replayBytes ? 'too-large' : 'not-held';
}

/** Bytes of memory that holding them costs. */
function costOf(pieces: ChunkList | null): number {
  return OVERHEAD_BYTES + (pieces === null ? 0 : pieces.pinnedBytes);
}
