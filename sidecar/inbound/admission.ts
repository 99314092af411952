import type { EngineName } from '../codec/engines/engine-codecs.js';
import type { InboundConfig, QueueConfig } from '../config/model.js';
import { FirstMessageTime } from '../core/admission/first-message-time.js';
import { AdaptiveLimit } from '../core/admission/gradient-limit.js';
import { answerByMs, waitEndMs } from '../core/admission/longest-wait.js';
import { MemoryPressure, type MemoryReading, Pressure } from '../core/admission/memory-pressure.js';
import { Priorities } from '../core/admission/priority-class.js';
import { Admission, InboundQueue } from '../core/admission/queue.js';
import {
  type RatedCall,
  RateLimits,
  type RateRefusal,
  type TokenRefusal,
} from '../core/admission/rate-limit.js';
import { TokenLedger, TokenReservation } from '../core/admission/token-budget.js';
import { type TokenCost, totalOf } from '../core/admission/token-cost.js';
import { type LocalReplyReason, LocalReplyReasons } from '../core/outcome/local-reply-reason.js';
import { AttemptEnd } from '../core/outcome/outcome.js';
import { Status } from '../core/outcome/status.js';
import { MULTI_INFERENCE } from '../core/routing/method.js';
import { headerViewOf } from '../http2/header-view.js';
import { ENTRY_OVERHEAD, type HeaderField, makeField } from '../http2/hpack/field.js';
import { attemptTimeoutIn } from '../relay/attempt-timeout-header.js';
import { NEVER } from '../relay/call.js';
import { resumeAt } from '../relay/call-timer.js';
import { type LocalReply, makeLocalReply, NO_RETRY } from '../relay/local-reply.js';
import { sendLocalReply } from '../relay/response.js';
import type { DataPlaneContext } from '../transport/context.js';
import { type InboundCall, isUnaryInference, type LimitsOfCall, Ticket } from './call.js';
import { type CallTokens, EngineFacts } from './call-tokens.js';
import { ModelRoutedCall, type NamedModel } from './model-routed-call.js';

/** Longest time that a caller is told to stay away, ms. */
const MAX_PUSHBACK_MS = 60_000;
/** Pushback under memory pressure, ms: memory comes back with the next garbage collection or not at all. */
const MEMORY_PUSHBACK_MS = 1_000;
/** Tokens that may wait in a queue that counts them, where the file does not say how many. */
const DEFAULT_WAITING_TOKENS = 262_144;
/** Calls at an engine at once where `concurrency: auto` says that it tells, and it has not. */
export const UNKNOWN_SLOTS = 16;
/** Why a call that has waited for as long as it may is refused. */
const WAITED = 'it has waited for as long as its class or its caller allows';

/** Why a call over a rate limit is refused: a limit of all of the service, or of one model. */
interface RateReasons {
  readonly ofService: LocalReplyReason;
  readonly ofModel: LocalReplyReason;
}

const AT_BEGIN: RateReasons = {
  ofService: LocalReplyReasons.rateLimited,
  ofModel: LocalReplyReasons.modelRateLimited,
};
/** Of a stream whose first messages have been processed: it is not marked as never processed. */
const IN_STREAM: RateReasons = {
  ofService: LocalReplyReasons.streamRateLimited,
  ofModel: LocalReplyReasons.streamModelRateLimited,
};

/** Limits for all calls of peers together, whichever model they are for. */
export class SharedLimits {
  /** Null: memory is not measured. */
  readonly memory: MemoryPressure | null;
  /** Null: callers have no rate limit. */
  rates: RateLimits | null = null;
  /** Calls that a language-model engine runs at once; it says so once it serves. */
  engineSlots = UNKNOWN_SLOTS;
  readonly engineFacts = new EngineFacts();
  /** Tokens that are set aside for calls; it outlives changed limits. */
  readonly ledger = new TokenLedger();

  constructor(config: InboundConfig, readMemory: (() => MemoryReading) | undefined) {
    this.memory = readMemory === undefined ? null : new MemoryPressure(readMemory);
    this.update(config);
  }

  /** Rate limits keep the tokens of each caller. */
  update({ rateLimits: rules = [] }: InboundConfig): void {
    this.rates = rules.length === 0 ? null : new RateLimits(rules, this.rates ?? undefined, this.ledger);
  }
}

/**
 * How much is let through to one local model: rate limits of callers, the queue with its classes and its fairness between
 * callers, the number of calls at once, and what is refused under memory pressure. The model has not seen a call that is
 * refused here; the reply says so (`outrider-unprocessed`) and when to try again (`grpc-retry-pushback-ms`). A limit that
 * is not configured costs a null check.
 */
export class InboundAdmission implements LimitsOfCall {
  readonly queue: InboundQueue<Ticket>;
  priorities: Priorities | null = null;
  /** Of each instance. Null: the number of calls at once is the configured one. */
  adaptive: AdaptiveLimit | null = null;
  private isFair = false;
  /** The queue counts tokens. */
  private countsTokens = false;
  /** Of streams whose callers say how long they wait for it. */
  private readonly firstMessages = new FirstMessageTime();
  /** Instances of the model that are ready for calls. */
  private ready = 0;
  /** Refuses a call that waited and gave way to the one that is offered. Made once: it would be a closure per call. */
  private readonly evict = (ticket: Ticket): void =>
    sendLocalReply(ticket.call, this.overloaded(ticket, 'others go first'));

  constructor(
    private config: InboundConfig,
    private readonly service: string,
    private readonly context: DataPlaneContext,
    readonly shared: SharedLimits,
  ) {
    this.queue = new InboundQueue({ ...config.queue, concurrency: 0 });
    this.update(config);
  }

  /** Calls that wait keep their place and their class, and the adaptive limit keeps its samples. */
  update(config: InboundConfig): void {
    this.config = config;
    const { priority, adaptive, fair, concurrency, cost } = config.queue;
    this.priorities = priority === undefined ? null : new Priorities(priority);
    this.isFair = fair === true;
    this.countsTokens = cost === 'tokens';
    if (adaptive === undefined) this.adaptive = null;
    else if (this.adaptive === null) this.adaptive = new AdaptiveLimit(adaptive, concurrency);
    else this.adaptive.configure(adaptive);
    this.configureQueue();
  }

  /** The kind of language-model engine that the model is; undefined: it is none. */
  get engine(): EngineName | undefined {
    return this.config.engine;
  }

  /** How many instances of the model are ready for calls; while none is, they wait. */
  open(ready: number): void {
    this.ready = ready;
    this.configureQueue();
  }

  /** What its limits share has changed. */
  resize(): void {
    this.configureQueue();
  }

  // ---- arrivals ----

  /** Before more of the request is read than names its model: the reply where memory is short or the caller is over its rate, else null. */
  check(call: InboundCall, path: string): LocalReply | null {
    const { memory, rates } = this.shared;
    const { service } = this;
    const now = this.context.nowMs;
    if (memory !== null && memory.at(now) !== Pressure.none && this.isShed(memory, call))
      return makeLocalReply(LocalReplyReasons.memoryPressure, { service }, pushback(MEMORY_PUSHBACK_MS));
    if (rates === null) return null;
    const rated = ratedCall(call, path);
    const refusal = this.overRate(rates.take(rated, now), call, problemOf(call, path), AT_BEGIN);
    if (refusal !== null || call.tokens === null || !rates.hasTokens) return refusal;
    const out = rates.foresee(rated, now);
    return out === null ? null : this.overTokens(call, 'this request is not read', out);
  }

  /** The same for a stream whose messages go on with another model, or version, than before: null where it is within the limits of that one. */
  checkMoved(call: ModelRoutedCall, { model, version, problem }: NamedModel): LocalReply | null {
    const { rates } = this.shared;
    if (rates === null) return null;
    const of = ratedCall(call, headerViewOf(call.block).path);
    const moved = { ...of, model, version, isUnreadable: problem !== '' };
    return this.overRate(rates.takeMoved(moved, this.context.nowMs), call, problem, IN_STREAM);
  }

  /** @param problem why the model cannot be read, where it cannot. */
  private overRate(
    refusal: RateRefusal | null,
    call: InboundCall,
    problem: string,
    reasons: RateReasons,
  ): LocalReply | null {
    if (refusal === null) return null;
    const { service } = this;
    const { waitMs, model } = refusal;
    const source = call.caller?.service ?? 'a caller without identity';
    if (model === undefined) return makeLocalReply(reasons.ofService, { source, service }, pushback(waitMs));
    const what = model === '' ? `a model whose name cannot be read (${problem})` : `model '${model}'`;
    return makeLocalReply(reasons.ofModel, { source, what, service }, pushback(waitMs));
  }

  /** Sets the tokens aside that a call may use, once all of its request is here: the reply where its caller has not so many, else null. */
  reserve(call: InboundCall, tokens: CallTokens): LocalReply | null {
    const { rates } = this.shared;
    const cost = tokens.read(call);
    if (rates === null || !rates.hasTokens || tokens.reservation !== null) return null;
    const found = rates.reserve(ratedCall(call, headerViewOf(call.block).path), cost, this.context.nowMs);
    if (found === null) return null;
    if (!(found instanceof TokenReservation)) return this.overTokens(call, whatOf(cost), found);
    tokens.reservation = found;
    return null;
  }

  private overTokens(call: InboundCall, what: string, refusal: TokenRefusal): LocalReply {
    const { waitMs, perMinute, left } = refusal;
    const source = call.caller?.service ?? 'a caller without identity';
    const of = `${perMinute} a minute`;
    if (waitMs === Number.POSITIVE_INFINITY) {
      const detail = `${what}, which is more than the ${of} that it has`;
      return makeLocalReply(
        LocalReplyReasons.tokenRateLimited,
        { source, service: this.service, detail },
        NO_RETRY,
      );
    }
    const detail = `${what}, and ${Math.max(0, Math.floor(left))} of ${of} are left`;
    return makeLocalReply(
      LocalReplyReasons.tokenRateLimited,
      { source, service: this.service, detail },
      pushback(waitMs),
    );
  }

  /** Before all of the request is here: the reply where the queue would refuse it now, so that the rest need not be sent. */
  foresee(call: InboundCall): LocalReply | null {
    // Where a place is free, no call is refused.
    if (!this.queue.isFull) return null;
    const ticket = this.ticketOf(call);
    const admission = this.queue.predict(ticket, call.deadlineMs, this.context.nowMs);
    return isRefusal(admission) ? this.refusalFor(admission, ticket) : null;
  }

  /** Offers the call to the queue. Null: its ticket is running or waiting; else the reply that it gets. */
  admit(call: InboundCall): LocalReply | null {
    const ticket = call.ticket ?? this.ticketOf(call);
    ticket.limits = this;
    ticket.isOffered = true;
    if (call.tokens !== null) ticket.queueCost = totalOf(call.tokens.read(call));
    const { nowMs } = this.context;
    const admission = this.queue.offer(ticket, call.requestBytes, call.deadlineMs, nowMs, this.evict);
    if (admission === Admission.waiting) {
      ticket.waitsSinceMs = nowMs;
      return this.waitOn(call, ticket);
    }
    return isRefusal(admission) ? this.refusalFor(admission, ticket) : null;
  }

  /**
   * A call in the queue waits on (null), and `onResume` comes when that is to be asked again; or it has waited for as long as it may: it leaves the queue, and
   * this is the reply to it. It may for as long as its class allows, and while its caller still listens and the model has time for it.
   */
  waitOn(call: InboundCall, ticket: Ticket): LocalReply | null {
    const { queueClass, waitsSinceMs } = ticket;
    const { nowMs } = this.context;
    const { requestEnded, plan, block, session, stream } = call;
    const answerMs = answerByMs(call.deadlineMs, waitsSinceMs);
    if (answerMs <= nowMs) return this.expire(ticket);
    // A caller whose window is used up waits for this side, whatever more it has to send.
    const isAsked = requestEnded || session.connection.isNearlyClosed(stream);
    const bounds = {
      sinceMs: waitsSinceMs,
      classMs: this.priorities?.maxWaitMs(queueClass) ?? 0,
      // That of a unary request that is complete is its deadline (`ModelBackend.enqueue`).
      firstMessageMs: plan.holdsResponse && requestEnded ? NEVER : attemptTimeoutIn(block),
      askedMs: isAsked ? call.lastRequestMs : NEVER,
      usualMs: plan.holdsResponse ? 0 : this.firstMessages.meanMs,
    };
    const endMs = waitEndMs(bounds, nowMs);
    if (endMs <= nowMs) {
      this.queue.remove(ticket);
      return this.overloaded(ticket, WAITED);
    }
    const lookMs = Math.min(endMs, answerMs);
    if (lookMs !== NEVER) resumeAt(call, lookMs);
    return null;
  }

  /** The reply to a call that leaves the queue because of its deadline. */
  expire(ticket: Ticket): LocalReply {
    this.queue.expire(ticket);
    return makeLocalReply(LocalReplyReasons.queueExpired, { service: this.service });
  }

  /** The reply to a call that the queue has refused. */
  refusalFor(admission: Admission, ticket: Ticket): LocalReply {
    const { waiting, waitingBytes, waitingCost } = this.queue;
    if (admission === Admission.tooMany)
      return this.overloaded(
        ticket,
        waiting > 0 ? `${waiting} calls are waiting` : 'no call may wait for a place',
      );
    if (admission === Admission.tooLarge) return this.overloaded(ticket, `${waitingBytes} bytes are waiting`);
    if (admission === Admission.tooCostly) {
      // Of a request that is not all here the cost is not known.
      const own = ticket.queueCost === 0 ? '' : `, and this call may use ${ticket.queueCost}`;
      return this.overloaded(ticket, `${waitingCost} tokens are waiting${own}`);
    }
    return this.overloaded(ticket, 'wait and run would be longer than the time left');
  }

  private ticketOf(call: InboundCall): Ticket {
    const ticket = new Ticket(call, this);
    call.ticket = ticket;
    if (this.priorities !== null) ticket.queueClass = classOf(call, this.priorities);
    if (this.isFair && call.caller !== null) ticket.queueCaller = call.caller.service;
    return ticket;
  }

  private isShed(memory: MemoryPressure, call: InboundCall): boolean {
    if (memory.at(this.context.nowMs) === Pressure.critical) return true;
    if (this.priorities !== null) return classOf(call, this.priorities) > 0;
    // Without classes all calls are equally important: those are refused that would wait long.
    return this.queue.isFull && this.queue.isHalfFull;
  }

  private overloaded({ queueClass, queueCaller }: Ticket, detail: string): LocalReply {
    const waitMs = this.queue.retryAfterMs(queueClass, queueCaller, this.context.nowMs);
    return makeLocalReply(LocalReplyReasons.overloaded, { service: this.service, detail }, pushback(waitMs));
  }

  // ---- ends ----

  /** A call is over, however it ended: its place is free, and the limits take its duration as a sample. */
  release(call: InboundCall, ticket: Ticket, nowMs: number): void {
    const isSample = isUnaryInference(call);
    if (isSample && this.adaptive !== null) this.sample(this.adaptive, call, ticket, nowMs);
    if (isSample && call.attempt?.ended === AttemptEnd.trailers) this.queue.release(ticket, nowMs);
    else this.queue.releaseWithoutSample(ticket, nowMs);
    if (!call.plan.holdsResponse && call.requestEnded && call.responseBytes === 0 && saysFirstMessage(call))
      this.firstMessages.recordAtLeast(this.sinceAsked(call));
  }

  /** The first message of a stream has come whose caller says how long it waits for it. */
  recordFirstMessage(call: InboundCall): void {
    this.firstMessages.record(this.sinceAsked(call));
  }

  /** For how long the model has had all that was sent, ms; no longer than the caller waits, to which headers are enough with `attempt_timeout`. */
  private sinceAsked({ lastRequestMs, block }: InboundCall): number {
    return Math.min(this.context.nowMs - lastRequestMs, attemptTimeoutIn(block));
  }

  private sample(adaptive: AdaptiveLimit, call: InboundCall, ticket: Ticket, nowMs: number): void {
    const { attempt } = call;
    if (attempt === null) return;
    const { isFull } = this.queue;
    const isGivenUp = attempt.ended === AttemptEnd.cancelled || attempt.ended === AttemptEnd.deadline;
    const isChanged = isGivenUp
      ? adaptive.recordCancelled(ticket.queueStartedMs, nowMs, isFull)
      : attempt.ended === AttemptEnd.trailers &&
        attempt.status === Status.OK &&
        adaptive.record(ticket.queueStartedMs, nowMs, isFull);
    if (isChanged) this.configureQueue();
  }

  private configureQueue(): void {
    const { queue }: { readonly queue: QueueConfig } = this.config;
    const said = queue.concurrency === 0 ? this.shared.engineSlots : queue.concurrency;
    const concurrency = this.adaptive?.concurrency ?? said;
    const maxWaitingCost = this.countsTokens ? (queue.maxWaitingTokens ?? DEFAULT_WAITING_TOKENS) : undefined;
    this.queue.configure({ ...queue, concurrency: concurrency * this.ready, maxWaitingCost });
  }
}

/** What a call asks for, for a message. */
function whatOf(cost: TokenCost): string {
  if (!cost.isRead) return 'this request cannot be read, and waits for all';
  return `this request may use ${totalOf(cost)} (${cost.prompt} of its prompt and ${cost.output} more)`;
}

/** What rate limits look at. The version is the one that the call gets, where versions are told apart, else the one that it names. */
function ratedCall(call: InboundCall, path: string): RatedCall {
  const caller = call.caller?.service ?? '';
  if (!(call instanceof ModelRoutedCall))
    return { caller, path, model: '', version: '', isUnreadable: path === MULTI_INFERENCE };
  const version = call.backend?.version || call.version;
  return { caller, path, model: call.model, version, isUnreadable: call.problem !== '' };
}

/** Why the model of a call cannot be read; empty: it can, or there is none. */
function problemOf(call: InboundCall, path: string): string {
  if (call instanceof ModelRoutedCall) return call.problem;
  return path === MULTI_INFERENCE ? 'each task names one' : '';
}

/** The priority class of a call: the first value of the key counts; one that is longer than every class's name is not read. */
function classOf(call: InboundCall, priorities: Priorities): number {
  const { block } = call;
  const model = call instanceof ModelRoutedCall ? call.model : '';
  const field = find(block.extras, priorities.key) ?? find(block.stable.toFields(), priorities.key);
  if (field === undefined || field.size - field.name.length - ENTRY_OVERHEAD > priorities.longest)
    return priorities.defaultFor(model);
  return priorities.classOf(field.value, model, call.caller?.service ?? '');
}

function find(fields: readonly HeaderField[], name: string): HeaderField | undefined {
  for (const field of fields) if (field.name === name) return field;
  return undefined;
}

/** Whether the caller of a stream says how long its first message may take. */
export function saysFirstMessage({ block }: InboundCall): boolean {
  return attemptTimeoutIn(block) !== NEVER;
}

/** Services about the server rather than the model: their calls are not queued, and have limits of their own (backend/server-calls.ts). */
const BYPASS_SERVICES = [
  '/grpc.health.v1.Health/',
  '/grpc.reflection.v1.ServerReflection/',
  '/grpc.reflection.v1alpha.ServerReflection/',
];

/** Whether calls of this path pass by the queue: health checks and reflection are about the server, not the model. */
export function isBypassed(path: string): boolean {
  for (const prefix of BYPASS_SERVICES) if (path.startsWith(prefix)) return true;
  return false;
}

function isRefusal(admission: Admission): boolean {
  return admission !== Admission.admitted && admission !== Admission.waiting;
}

/** `grpc-retry-pushback-ms`: when the caller may try again (gRFC A6). */
function pushback(waitMs: number): HeaderField {
  const ms = Math.min(Math.max(1, Math.ceil(waitMs)), MAX_PUSHBACK_MS);
  return makeField('grpc-retry-pushback-ms', String(ms));
}
