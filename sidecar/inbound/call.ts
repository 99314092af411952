import { type Admission, type InboundQueue, QueueEntry } from '../core/admission/queue.js';
import type { SilentStreams } from '../core/admission/silent-streams.js';
import { answerDeadlineMs } from '../core/deadline/deadline.js';
import type { ReadLimits } from '../core/deadline/unread-response.js';
import { INFERENCE_SERVICE } from '../core/routing/method.js';
import type { SerialWait } from '../core/stats/serial-wait.js';
import { headerViewOf } from '../http2/header-view.js';
import type { Attempt } from '../relay/attempt.js';
import { callDeadlineIn } from '../relay/attempt-timeout-header.js';
import type { BufferPlace } from '../relay/buffer-admission.js';
import type { LocalReply } from '../relay/local-reply.js';
import { RelayedCall } from '../relay/relayed-call.js';
import type { Match } from '../relay/route-table.js';
import type { RefusingModel } from './backend/refusing-model.js';
import type { CallTokens } from './call-tokens.js';
import { type Caller, serviceOf } from './caller.js';

/** The limits that a call is under, as it uses them; `InboundAdmission` is them. */
export interface LimitsOfCall {
  readonly queue: InboundQueue<Ticket>;
  refusalFor(admission: Admission, ticket: Ticket): LocalReply;
  waitOn(call: InboundCall, ticket: Ticket): LocalReply | null;
  expire(ticket: Ticket): LocalReply;
  recordFirstMessage(call: InboundCall): void;
  release(call: InboundCall, ticket: Ticket, nowMs: number): void;
}

/** A call's entry in the queue of its model. */
export class Ticket extends QueueEntry {
  /** Where it is among the calls that its model runs; −1: it is not. Only `ModelActivity` changes it. */
  runningAt = -1;
  /** It has been offered to the queue, and not only asked about. */
  isOffered = false;
  /** Since when it waits, monotonic ms; 0: it had a place at once. */
  waitsSinceMs = 0;

  constructor(
    readonly call: InboundCall,
    /** Those it was offered to last, whatever the file says meanwhile. */
    public limits: LimitsOfCall,
  ) {
    super();
  }

  /** The caller's connection. */
  get holder(): object {
    return this.call.session;
  }
}

/**
 * What a call is for, as far as it matters to its way. `model`: work of a model, as most are. `front`: the sidecar answers it for all
 * models, once it is complete; `asked`: that answer is under way. `health`: a health check, or a watch, that the sidecar may answer itself.
 * `serverCheck` and `serverStream`: the model's server answers it, beside the queue (backend/server-calls.ts); so does a language-model
 * engine `engineQuery` and `engineDownload`.
 */
export const Purpose = {
  model: 0,
  front: 1,
  asked: 2,
  health: 3,
  serverCheck: 4,
  serverStream: 5,
  engineQuery: 6,
  engineDownload: 7,
} as const;
export type Purpose = (typeof Purpose)[keyof typeof Purpose];
export type ServerPurpose =
  | typeof Purpose.serverCheck
  | typeof Purpose.serverStream
  | typeof Purpose.engineQuery
  | typeof Purpose.engineDownload;

export function isAboutServer(purpose: Purpose): purpose is ServerPurpose {
  return purpose >= Purpose.serverCheck;
}

/** Of a call that one of its model's processes failed: what came of that. */
export class ProcessFailure {
  /** It was sent to another process. */
  isRepeated = false;
  /** A process was lost with it inside, and is not known to have crashed. */
  hasLostModel = false;
  /** Its answer of NOT_FOUND was held, and goes to the caller as it is. */
  isAnswerKept = false;
}

/** A model, as its calls use it; `ModelBackend` is one. */
export interface ModelOfCall {
  readonly isRetired: boolean;
  /** Empty: versions are not told apart. */
  readonly version: string;
  admit(call: InboundCall): LocalReply | null;
  enqueue(call: InboundCall): LocalReply | null;
  repeat(call: InboundCall): boolean;
  unavailable(detail: string): LocalReply;
  onInactive(call: InboundCall, ticket: Ticket): void;
  onActive(call: InboundCall, ticket: Ticket): void;
  onFinish(call: InboundCall, ticket: Ticket, status: number): void;
  /** The same for a call about the server. */
  onServerCallFinish(call: InboundCall): void;
}

/** The process that runs a call, as the call uses it; `ModelInstance` is one. */
export interface InstanceOfCall {
  readonly isReady: boolean;
  readonly refusing: RefusingModel;
  readonly endingServer: {
    holds(call: InboundCall, attempt: Attempt, nowMs: number): boolean;
    onTimeout(call: InboundCall): boolean;
    forget(call: InboundCall): boolean;
  };
  readonly activity: {
    begin(ticket: Ticket): void;
    suspend(ticket: Ticket): boolean;
    end(ticket: Ticket): boolean;
    onResponse(call: InboundCall, nowMs: number): void;
    readonly serialWait: SerialWait;
  };
  readonly lostCalls: {
    onLost(call: InboundCall, nowMs: number): void;
    onTimeout(call: InboundCall): void;
    forget(call: InboundCall): void;
  };
  readonly silentStreams: SilentStreams<Ticket>;
  endExcessStreams(): void;
}

/** A call of a peer to a local model. */
export class InboundCall extends RelayedCall {
  /** Null until the call is authorized and its route known. */
  match: Match | null = null;
  /** Null for calls that are not queued: those refused before, and those about the server. */
  ticket: Ticket | null = null;
  /** Null: the peer has no identity. */
  caller: Caller | null = null;
  /** The deadline of the call itself, where `deadlineMs` was shortened to the limit of one attempt; 0: it was not. */
  fullDeadlineMs = 0;
  purpose: Purpose = Purpose.model;
  /** Null: no process has failed it. */
  failure: ProcessFailure | null = null;
  /** Its model; null until it is known. */
  backend: ModelOfCall | null = null;
  /** The process of the model that it is sent to; null until then. */
  instance: InstanceOfCall | null = null;
  /** Of a call of a language-model engine whose tokens count; null: it is none. */
  tokens: CallTokens | null = null;
  /** Its process has the state of its sequence from calls before it. */
  isLaterInSequence = false;
  /** Its request while it is buffered beyond the first window; null: it is not. */
  place: BufferPlace | null = null;

  /** When an answer that has begun has to be complete, monotonic ms. Few calls need it: only those pay for reading `outrider-deadline`. */
  get answerDeadlineMs(): number {
    if (this.fullDeadlineMs > 0) return this.fullDeadlineMs;
    if (this.match === null) return this.deadlineMs;
    const { timeoutMs, maxTimeoutMs } = this.match.plan.config;
    return answerDeadlineMs(
      this.deadlineMs,
      this.startMs,
      callDeadlineIn(this.block),
      timeoutMs,
      maxTimeoutMs,
    );
  }

  /** Limits of a complete answer: it has begun. */
  override get readLimits(): ReadLimits {
    return { deadlineMs: this.answerDeadlineMs, idleTimeoutMs: this.plan.idleTimeoutMs };
  }

  /** It is queued when all of its request is here, so that a slow uploader holds no place, or its cost is known. */
  get waitsForWhole(): boolean {
    return this.plan.holdsResponse || this.tokens !== null;
  }

  /** What the sidecar itself does for it, such as loading a model, may be done by half. */
  override get isUnprocessed(): boolean {
    return this.purpose !== Purpose.asked && super.isUnprocessed;
  }

  /** It has been queued, forwarded or asked for, or is over. */
  get isUnderWay(): boolean {
    const isOffered = this.ticket?.isOffered === true;
    return isOffered || this.purpose === Purpose.asked || this.attempt !== null || this.isFinished;
  }

  /** The record of its failures, made where there is none. */
  ensureFailure(): ProcessFailure {
    this.failure ??= new ProcessFailure();
    return this.failure;
  }
}

/** The service that calls, for limits of one caller and for messages. */
export function nameOfCaller({ caller }: InboundCall): string {
  return serviceOf(caller);
}

/** The inference protocol has methods about server and model beside the work; of other services every method is work. */
export function isInference(path: string): boolean {
  return !path.startsWith(INFERENCE_SERVICE) || path.endsWith('Infer');
}

/** Only the duration of a unary inference tells how busy the model is: a stream lasts as long as its caller likes. */
export function isUnaryInference({ plan, block }: InboundCall): boolean {
  return plan.holdsResponse && isInference(headerViewOf(block).path);
}
