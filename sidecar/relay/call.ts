import type { EngineCodec } from '../codec/engines/engine-codec.js';
import { CallKind, type EndpointLoad } from '../core/balancing/balancer.js';
import type { HeaderField } from '../http2/hpack/field.js';
import type { HeaderBlock, StableList } from '../http2/hpack/header-list.js';
import { NO_FIELDS, type Stream } from '../http2/stream.js';
import { WheelEntry } from '../runtime/time/timing-wheel.js';
import type { CallStats } from '../telemetry/call-stats.js';
import type { SizeReason } from '../telemetry/size-counts.js';
import type { CallTrace } from '../telemetry/traces/call-trace.js';
import type { ChunkList } from '../transport/chunk-list.js';
import type { DataPlaneContext } from '../transport/context.js';
import type { ResponseTee } from '../transport/response-tee.js';
import type { Session } from '../transport/session.js';
import type { Attempt } from './attempt.js';
import { CallPhase, isCommittedIn, isFinishedIn } from './call-phase.js';
import type { HeaderEditor } from './header-rewrite.js';
import type { PartialPrefix } from './request-messages.js';
import type { EngineCall } from './stream/engine-call.js';
import type { ForeignBytes } from './stream/foreign-bytes.js';

/** No deadline, no timeout: a time in ms that never comes. */
export const NEVER = Number.POSITIVE_INFINITY;

/**
 * What the first message of a stream is to the sidecar. `ignored`: nothing, as in unary calls. `timed`: the time until it
 * is what the endpoint is judged by. `awaited`: so it is, and the response headers of a call whose request is complete wait
 * for it, so that another attempt is possible until then.
 */
export const FirstMessage = { ignored: 0, timed: 1, awaited: 2 } as const;
export type FirstMessage = (typeof FirstMessage)[keyof typeof FirstMessage];

/**
 * What is looked for in the messages of a response whose method may be what it is not taken for. `described`: that it has one message, as
 * its service says; a second one shows that it does not. `counted`: whether it has one message. `single`: so far it had; a second one is
 * noticed at once.
 */
export const MessageWatch = { none: 0, described: 1, counted: 2, single: 3 } as const;
export type MessageWatch = (typeof MessageWatch)[keyof typeof MessageWatch];

/** Of a language-model engine: which of its methods the route is about, and how its messages are read. */
export interface EnginePlan {
  readonly codec: EngineCodec;
  readonly method: 'generate' | 'abort';
  /** An answer may go on with tokens that the engine before might not have made. */
  readonly isApproximate: boolean;
}

/** What a route asks of its calls; made once per route. Times in ms, 0 = no limit. */
export interface CallPlan {
  /** By which of the endpoints' times its calls are balanced and judged. */
  readonly judgedAs: CallKind;
  readonly watch: MessageWatch;
  /** The response is held until its status is known (unary), so that the call can be tried again. */
  readonly holdsResponse: boolean;
  /** Of streams at the side of the caller. */
  readonly firstMessage: FirstMessage;
  /** A unary response up to so many bytes is held; a longer one is passed on as it comes. */
  readonly holdBytes: number;
  /** Bytes of a longer response that are kept beside passing it on, at most, for a reader of responses. */
  readonly sampleBytes: number;
  /** A stream without a frame in either direction for this long is ended. */
  readonly idleTimeoutMs: number;
  /** Longest time that one attempt may take. */
  readonly attemptTimeoutMs: number;
  /** A stream whose endpoint dies is continued at another (relay/stream/resumable-stream.ts). */
  readonly isResumable: boolean;
  /** The same request gets the same messages. */
  readonly isDeterministic: boolean;
  /** What the calls of an engine are about; null: they are nothing that is read. */
  readonly engine: EnginePlan | null;
  /** That limits the time to the first message, also where the response headers have been passed on already. */
  readonly timesFirstMessage: boolean;
  /** The longest time between two messages of a stream, at the side of the caller. */
  readonly messageTimeoutMs: number;
  /** That ends a stream also where no other endpoint could go on with it. */
  readonly endsSilent: boolean;
  /** After this long without a frame in either direction `onInactive` is called, and `onActive` at the next one. */
  readonly quietAfterMs: number;
  /** A stream is ended so long after a drain has begun; NEVER: with all other calls. */
  readonly drainTimeoutMs: number;
  /** Request bytes buffered for another attempt, at most. */
  readonly replayBytes: number;
  /** `outrider-*` metadata of the response is removed: it comes from outside the mesh. */
  readonly stripsResponse: boolean;
  /** Load reports in trailers are removed. */
  readonly stripsReports: boolean;
  /** What a traffic rule does to the headers of the response; null: nothing. */
  readonly responseEditor: HeaderEditor | null;
}

/** What becomes of the response of a call, for a side that learns from it. */
export interface ResponseEvents {
  /** The response of a streaming call begins; its end may be far away. */
  onStreaming(call: Call, attempt: Attempt): void;
  /** Its first message is complete, and is passed on next. Only where the plan asks for it. */
  onFirstMessage(call: Call, attempt: Attempt): void;
  /** The response of a unary call is longer than what is held: it is passed on from now on. The request is still buffered. */
  onLongResponse(call: Call, attempt: Attempt): void;
  /** A second message has come of a call that has one by the description of its service; nothing of it has been passed on. */
  onNotUnary(call: Call): void;
}

/** What a side needs that sends a call more than once. */
export interface RepeatEvents {
  /** The sidecar stopped an attempt; `attempt.ended` says why. Every attempt ends here or in `onAttemptEnd`. */
  onStopped(call: Call, attempt: Attempt): void;
  /** The attempt timeout has stopped the attempt. Only where `attemptDueMs` is set. */
  onAttemptTimeout(call: Call, attempt: Attempt): void;
  /** The request is longer than what is buffered, or there is no memory to buffer it: no other attempt gets it. */
  onRequestNotKept(call: Call, why: SizeReason): void;
  /** The buffered request is about to be freed while its last attempt runs: the last moment to read it. */
  onBufferReleased(call: Call): void;
  /** More messages of a stream have come whose counter `goesOn`. */
  onCountedMessages(call: Call, attempt: Attempt): void;
  /** Whether a stream whose endpoint has fallen silent in the middle of it is to be taken from there. */
  mayLeaveSilent(call: Call, attempt: Attempt): boolean;
  /** Another endpoint goes on with a stream: its first message is passed on. */
  onResumed(call: Call): void;
  /** The endpoint that was to go on with a stream does not. @param why in words that follow its name. */
  onNotResumed(call: Call, attempt: Attempt, why: string): void;
}

/** What a side needs whose plans have `quietAfterMs`. */
export interface SilenceEvents {
  /** No frame in either direction for `quietAfterMs`, or none of a response that its caller does not read. */
  onInactive(call: Call): void;
  /** The first frame after `onInactive`, or the caller of a paused call has read so much that its endpoint could go on. */
  onActive(call: Call): void;
}

/** The decisions that every side makes about its calls, as events of a call. */
export interface CallDecisions {
  /** The caller has sent all of the request, or half of the window that it was given. */
  onRequestReady(call: Call): void;
  /** The stable header list of the request for this attempt. */
  requestHeaders(call: Call, attempt: Attempt): StableList;
  /** The header fields that vary from call to call. */
  requestExtras(call: Call, attempt: Attempt): readonly HeaderField[];
  onAttemptEnd(call: Call, attempt: Attempt): void;
  /** `call.resumeMs` has come: the call, or its next attempt, had been put off until now. */
  onResume(call: Call): void;
  onDeadline(call: Call): void;
  onIdle(call: Call): void;
  /** The call is over with this gRPC status. */
  onFinish(call: Call, status: number): void;
}

/** What a call tells its side. A side says which of the groups it needs, and has all events of those. */
export type CallHandler = CallDecisions & Partial<ResponseEvents & RepeatEvents & SilenceEvents>;

/** The response of a stream that another endpoint may go on with (stream/resumable-stream.ts). */
export interface Resumption {
  /** Messages that have been passed on. */
  readonly messages: number;
  /** An endpoint is to go on, and nothing that it sent has been passed on yet. */
  readonly isResuming: boolean;
  /** The present endpoint has sent a whole message, be it one that the caller has already. */
  readonly hasSpoken: boolean;
  /** The caller has all of the answer: it ends well, whatever becomes of the endpoint. */
  readonly isComplete: boolean;
  /** It cannot be resumed again. */
  readonly isSpent: boolean;
  /** The caller has something that the endpoint before might have made otherwise. */
  readonly isApproximate: boolean;
  /** What the engine runs that began it, as its sidecar said, or empty; null: it is no answer of one, or has no token yet. */
  readonly model: string | null;
  /** The field that tells the next endpoint where to begin; null: its request says it. */
  readonly field: HeaderField | null;
  /** The request for the endpoint that goes on, with the prefix of its message; null: it is the same. */
  requestFor(call: Call): Buffer | null;
  /** The endpoint has died. True: the caller has all of the answer, or gets here what is left, and no other endpoint is asked. */
  complete(call: Call): boolean;
  /** The endpoint has died, and another is to go on. */
  restart(call: Call): void;
  /** Response headers of the endpoint that is to go on. Why it does not, in words that follow its name; empty: it does. */
  refusalOf(head: HeaderBlock): string;
  /** Whether the endpoint may end the stream well here. */
  mayEnd(attempt: Attempt): boolean;
  /** Passes on what is whole, and keeps the rest. */
  forward(call: Call, attempt: Attempt, buffer: Buffer, start: number, end: number): void;
  /** The end of the response: passes on what is left. */
  flush(call: Call, attempt: Attempt): void;
  /** Of bytes that have gone to the caller, those that the present endpoint sent. */
  own(bytes: number): number;
}

/** Of a call that waits for one of its sides to take what is there: bytes taken when its idle timeout was last due, and when that was. */
export interface Stall {
  takenBytes: number;
  sinceMs: number;
}

/** Of a response that has begun, and whose messages have a time limit between them. */
export interface SilenceWatch {
  /** When it is looked at next whether the endpoint has fallen silent. */
  dueMs: number;
  /** A message was late when that was looked at last, and the attempt is ended if it still is. */
  isLate: boolean;
}

/** A second attempt that runs beside the first, and when its own timeout is due. */
export interface HedgedAttempt {
  readonly attempt: Attempt;
  readonly dueMs: number;
}

/**
 * The record of one call from the caller's stream to its last byte, and its one entry in the timing wheel. The
 * functions that work on it are in files of one idea: request-buffer, call-attempts, call-timer, call-timeouts and
 * response. All fields are set here or in the constructor, so that the record keeps one hidden class. What only some calls
 * need is in a record of its own, which is made when that state begins: `hedge`, `resumable`, `silence`, `stall`, `prefix`, `trace`, `tee`.
 * The request buffer has its fields here, as nearly every call has one, and a record would only be one more object.
 */
export abstract class Call extends WheelEntry {
  plan: CallPlan = NO_PLAN;
  /** Counters of its method; null until the route is known. */
  stats: CallStats | null = null;
  /** Arrival, monotonic ms as all times here. */
  readonly startMs: number;
  deadlineMs = NEVER;
  /** When the timeout of `attempt` is due. */
  attemptDueMs = NEVER;
  /** When `onResume` is due. */
  resumeMs = NEVER;
  /** When the caller last sent a frame, or the attempt began that sent it on. */
  lastRequestMs: number;
  /** When the endpoint last sent something that was forwarded. */
  lastResponseMs: number;
  /** Null: nobody looks whether its endpoint has fallen silent. */
  silence: SilenceWatch | null = null;
  /** Null: its idle timeout has not been due while one of its sides had something to take. */
  stall: Stall | null = null;
  /** Reads of the response in a row that came soon after the one before (stream/patience.ts). */
  quickReads = 0;
  /** `onInactive` has been called, and nothing since by which its silence would count anew. */
  isInactive = false;
  /** From when on its silence counts, whatever frames came before (`restartQuiet`). */
  activeMs = 0;
  /** It is paused (`pauseCall`): credit for the response that its endpoint gets afterwards, bytes; −1: it is not. */
  heldCredit = -1;

  attempt: Attempt | null = null;
  /** Beside it, for a while: the first good response wins. Only while the whole request is buffered. */
  hedge: HedgedAttempt | null = null;
  /** Attempts begun so far, hedges included. */
  attempts = 0;
  /** One that another attempt followed, or was beside, may have been processed. */
  wasProcessed = false;
  /** Head of the list of all attempts, latest first; kept only while calls are recorded. */
  lastAttempt: Attempt | null = null;
  /** Endpoints of the attempts before the present one. */
  tried: EndpointLoad[] = NO_ENDPOINTS;

  /** How far it is; only `step` (call-phase.ts) changes it. */
  phase: CallPhase = CallPhase.waiting;
  /** What it held has been given back. */
  isSettled = false;
  /** Its endpoint may change after its first message; null: not any more, or not yet. */
  resumable: Resumption | null = null;
  /** Of bytes on their way to the caller, those that another endpoint sent before its resumption ended; null: there were none. */
  foreign: ForeignBytes | null = null;
  /** Of a call that generates tokens: what was read of it; null: it is none, or its request is not here yet. */
  engineCall: EngineCall | null = null;
  /** For the access log: name of the local reply's reason, and the value of `outrider-degraded`; empty: none. */
  reason = '';
  degraded = '';
  /** Its place in a trace; null: traces are off, or no attempt has been sent. */
  trace: CallTrace | null = null;

  /** The request body as far as it is buffered; all of it while `isReplayable`. Null: nothing is. */
  buffered: ChunkList | null = null;
  isReplayable = true;
  /** What the caller sends is buffered for now, and not forwarded. */
  isRequestHeld = false;
  /** The handler is told of everything that comes of the request: it waits to read its beginning. */
  isRequestAwaited = false;
  /** The caller has sent END_STREAM. */
  requestEnded: boolean;
  requestBytes = 0;
  /** Bytes of the request at which the message ends that it is in (request-messages.ts); Infinity: it is none. */
  messageEndsAt = 0;
  /** The prefix of its next message, where that has come in part; null: it has not. */
  prefix: PartialPrefix | null = null;
  responseBytes = 0;
  /** Fields of ours in the headers of the response. */
  responseFields: readonly HeaderField[] = NO_FIELDS;
  /** What is kept of a response that is passed on; null: nothing is. */
  tee: ResponseTee | null = null;
  /** Request bytes for which the caller has been given new credit. */
  creditedBytes = 0;
  /** Bytes of the memory budget that the buffered request takes. */
  bufferCost = 0;
  /** Buffered bytes beyond that: the request cannot go on without them. */
  unbudgetedBytes = 0;
  /** The caller was given a wide window for its request. */
  hasWideWindow = false;
  /** That of the endpoint may be. */
  hasWideResponse = false;
  /** Bytes of the memory budget that the wide windows of this call take. */
  reservedBytes = 0;

  constructor(
    readonly context: DataPlaneContext,
    /** Another upstream's, once a call has fallen back to it. */
    public handler: CallHandler,
    readonly session: Session,
    readonly stream: Stream,
    /** The request's headers; a rule may replace them before the first attempt. */
    public block: HeaderBlock,
    ended: boolean,
  ) {
    super();
    this.startMs = context.nowMs;
    this.lastRequestMs = context.nowMs;
    this.lastResponseMs = context.nowMs;
    this.requestEnded = ended;
  }

  /** Something of the response has gone to the caller: no attempt from the beginning is possible. */
  get isCommitted(): boolean {
    return isCommittedIn(this.phase);
  }

  get isFinished(): boolean {
    return isFinishedIn(this.phase);
  }

  /** Nothing of it has been processed, certainly, and its caller has got nothing of an answer. */
  get isUnprocessed(): boolean {
    return !this.isCommitted && !this.mayBeProcessed;
  }

  /** An endpoint may have done something for it. */
  get mayBeProcessed(): boolean {
    const { attempt, hedge } = this;
    if (this.wasProcessed || attempt?.mayBeProcessed) return true;
    return hedge?.attempt.mayBeProcessed === true;
  }

  /** It is the copy of another call, and no caller waits for it. */
  get isCopy(): boolean {
    return false;
  }
}

/** Shared by the many calls that need one attempt; replaced, never added to. */
const NO_ENDPOINTS: EndpointLoad[] = [];

const NO_PLAN: CallPlan = {
  judgedAs: CallKind.stream,
  watch: MessageWatch.none,
  holdsResponse: false,
  firstMessage: FirstMessage.ignored,
  holdBytes: 0,
  sampleBytes: 0,
  idleTimeoutMs: 0,
  attemptTimeoutMs: 0,
  isResumable: false,
  isDeterministic: false,
  engine: null,
  timesFirstMessage: false,
  messageTimeoutMs: 0,
  endsSilent: false,
  quietAfterMs: 0,
  drainTimeoutMs: NEVER,
  replayBytes: 0,
  stripsResponse: false,
  stripsReports: false,
  responseEditor: null,
};
